"""What the YAML files may say: ablations (a question each) and protocols (a scale each)."""

from typing import Annotated, Literal, cast, get_args

from pydantic import Field, PlainSerializer, PlainValidator, ValidationError, model_validator

from cardinality.architecture.complexity import block_parameters, deviation
from cardinality.architecture.settings import (
    DEEPEST,
    Block,
    Role,
    Setting,
    Shortcut,
    Stem,
    variant,
)
from cardinality.common.errors import UserError
from cardinality.common.strict import Strict, first_problem
from cardinality.experiment.datasets import DataSpec
from cardinality.host.machine import Device


def _parse_setting(value: object) -> Setting:
    if isinstance(value, Setting):
        return value
    if not isinstance(value, str):
        raise ValueError("expected CARDINALITYxWIDTHd, like 32x4d")
    return Setting.parse(value)


SettingText = Annotated[Setting, PlainValidator(_parse_setting), PlainSerializer(str)]
# A depth in layers.
LayerCount = Annotated[int, Field(ge=1, le=DEEPEST)]
# One path: what a ResNet has, of bottlenecks and of basic blocks.
RESNET = Setting(1, 64)


class NetOptions(Strict):
    """What a net has that none of the ResNeXt paper's has (`Architecture`); nothing by default.

    Attributes:
        block: the kind of block; by default the protocol's.
        shortcut, deep_stem, pooled_projection, squeeze: as `Architecture` describes them.
    """

    block: Block | None = None
    shortcut: Shortcut = "B"
    deep_stem: bool = False
    pooled_projection: bool = False
    squeeze: bool = False

    @property
    def variant(self) -> str:
        """The same in words, as `Architecture.variant`."""
        return variant(
            self.block, self.shortcut, self.deep_stem, self.pooled_projection, self.squeeze
        )


def role_of(layers: int) -> str:
    """What stands in the place of a role where a depth is stated in layers."""
    return f"{layers} layers"


class Row(NetOptions):
    """One row of a table: a setting, and how it is to be compared.

    Attributes:
        setting: C and d; by default ResNet's.
        depth: the role of its depth, where the ablation has no common ``depths``; or
        layers: its depth itself, where the question is about nets of just these depths.
        budget: complexity relative to the ablation's reference, 1 or 2 times.
        deeper: the complexity is met by depth, so that Eq. (4) of one block says nothing.
        residual: False is the net without shortcuts.
        label: what the paper calls the model.
        against: the label of the row that it is compared with; by default that of the reference
            setting at the same depth, with shortcuts if it has them.
    """

    setting: SettingText = RESNET
    depth: Role | None = None
    budget: Literal[1, 2] = 1
    deeper: bool = False
    layers: LayerCount | None = None
    residual: bool = True
    label: str | None = None
    against: str | None = None

    @property
    def role(self) -> str | None:
        """What finds its depth: a role, or so many layers; none where the ablation has depths."""
        return self.depth if self.layers is None else role_of(self.layers)


class Ablation(Strict):
    """One question: which nets are compared, at which depths, against which row.

    Attributes:
        title: heading of the table.
        question: what the table answers.
        paper: name of the paper's figures in paper_tables/.
        reference: the setting whose block is the budget and whose row is compared with.
        tolerance: how far Eq. (4) of a row's block may lie from its budget, as a fraction; none
            where the question is what more complexity brings, so that rows are not matched.
        depths: depth roles at which every row stands; without any depth, in rows either, the
            ablation is arithmetic alone and trains nothing.
        rows: the rows in the table's order.
        protocols: the scales that it is for, and those that are based on them; by default all.
        notes: what a reader of the table must know.
    """

    title: str
    question: str
    paper: str | None = None
    reference: SettingText
    tolerance: float | None = Field(default=0.03, gt=0, lt=1)
    depths: tuple[Role, ...] | None = Field(default=None, min_length=1)
    rows: tuple[Row, ...] = Field(min_length=1, max_length=200)
    protocols: tuple[str, ...] | None = Field(default=None, min_length=1)
    notes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_reference(self) -> "Ablation":
        if not any(
            row.setting == self.reference and row.budget == 1 and not row.deeper
            for row in self.rows
        ):
            raise ValueError(f"reference: no row is {self.reference}; allowed: the setting of one")
        return self

    @model_validator(mode="after")
    def _check_twins(self) -> "Ablation":
        known: set[object] = set()
        for number, row in enumerate(self.rows):
            what = (row.setting, row.role, row.residual, row.deeper, row.variant)
            if what in known:
                raise ValueError(f"rows.{number}: stands twice; allowed: each row once")
            known.add(what)
        return self

    @model_validator(mode="after")
    def _check_rows(self) -> "Ablation":
        if self.depths is not None and len({*self.depths}) < len(self.depths):
            raise ValueError("depths: one stands twice; allowed: each once")
        for number, row in enumerate(self.rows):
            where = f"rows.{number}"
            if row.depth is not None and row.layers is not None:
                raise ValueError(f"{where}.layers: beside depth; allowed: one of the two")
            if self.depths is not None and row.role is not None:
                key = "depth" if row.layers is None else "layers"
                raise ValueError(f"{where}.{key}: the ablation has depths; allowed: one of the two")
            if self.depths is None and (row.role is None) != (self.rows[0].role is None):
                raise ValueError(f"{where}.depth: must stand in every row or in none")
            if row.label == "itself":  # what a reference is called in a table's data
                raise ValueError(f"{where}.label: itself; allowed: another word")
            if row.against is not None:
                self._check_against(where, row.against)
            if self.tolerance is not None and not row.deeper:
                self._check_budget(where, row, self.tolerance)
        return self

    def _check_against(self, where: str, label: str) -> None:
        labels = [row.label for row in self.rows if row.label is not None]
        if labels.count(label) != 1:
            raise ValueError(
                f"{where}.against: {label!r} is the label of {labels.count(label)} rows; allowed:"
                " that of one"
            )

    def _check_budget(self, where: str, row: Row, tolerance: float) -> None:
        budget = row.budget * block_parameters(self.reference)
        off = deviation(row.setting, budget)
        if abs(off) > tolerance:
            raise ValueError(
                f"{where}.setting: a block of {row.setting} has {block_parameters(row.setting):,}"
                f" parameters, {off:+.1%} of the {budget:,} of {row.budget} x {self.reference};"
                f" allowed: {tolerance:.1%}"
            )

    @property
    def trains(self) -> bool:
        """Whether the ablation asks for runs at all."""
        return self.depths is not None or self.rows[0].role is not None


class Warmup(Strict):
    """A first part of a training at a lower rate, of deep nets alone.

    Attributes:
        until: its length, in the unit of the duration.
        factor: of the rate.
        layers: nets of at least this depth have it.
    """

    until: int = Field(ge=1)
    factor: float = Field(gt=0, lt=1)
    layers: LayerCount


class Steps(Strict):
    """The rate is multiplied by ``factor`` after each of the epochs in ``drops``.

    Attributes:
        drops, factor: when and by how much.
        warmup: of deep nets, if any has one.
    """

    name: Literal["steps"]
    drops: tuple[int, ...] = Field(min_length=1)
    factor: float = Field(gt=0, lt=1)
    warmup: Warmup | None = None


class OneCycle(Strict):
    """Up to the rate over the first part ``warmup`` of all steps, then down to nearly zero."""

    name: Literal["one-cycle"]
    warmup: float = Field(gt=0, lt=1)


class Training(Strict):
    """How one net is trained.

    Attributes:
        epochs: passes over the training images; or in their place
        steps: batches in all, as papers state long trainings that are not cut into epochs. The
            last epoch then has what is left of them.
        batch: images a step; the last one of an epoch has what is left.
        rate: the learning rate (the largest one of a cycle), for this batch.
        momentum: Nesterov's.
        decay: weight decay, on every parameter (batch norm's too, as the authors' code does).
        schedule: how the rate changes; its drops are in the unit of the duration.
        shift: training images are moved by up to so many pixels each way (pad and crop); 0 where
            the data are cropped at random anyway.
        flip: whether half of them are mirrored.
        norm_images: batch norm's statistics are of groups of so many images, as when a batch is
            shared among GPUs (`cardinality.nets.ghost.GhostBatchNorm2d`); none for the whole batch.
        curve: after every epoch but the last the error is measured on so many of the test images,
            which a curve can do with; none for all of them.
    """

    epochs: int | None = Field(default=None, ge=1, le=10_000)
    steps: int | None = Field(default=None, ge=1, le=1_000_000_000)
    batch: int = Field(ge=2, le=100_000)
    rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    decay: float = Field(ge=0)
    schedule: Steps | OneCycle = Field(discriminator="name")
    shift: int = Field(ge=0, le=16)
    flip: bool
    norm_images: int | None = Field(default=None, ge=2)
    curve: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _check(self) -> "Training":
        stated = [length for length in (self.epochs, self.steps) if length is not None]
        if len(stated) != 1:
            raise ValueError("epochs or steps: exactly one of the two must stand here")
        if self.schedule.name == "steps":
            drops = list(self.schedule.drops)
            if drops != sorted(set(drops)) or not 0 < drops[0] <= drops[-1] < stated[0]:
                raise ValueError(
                    f"schedule.drops: {drops}; allowed: rising, from 1 to {stated[0] - 1}"
                )
            warmup = self.schedule.warmup
            if warmup is not None and warmup.until >= drops[0]:
                raise ValueError(
                    f"schedule.warmup.until: {warmup.until}; allowed: less than the first drop"
                )
        if self.norm_images is not None and self.norm_images > self.batch:
            raise ValueError(f"norm_images: {self.norm_images}; allowed: at most the batch")
        return self

    def steps_an_epoch(self, images: int) -> int:
        """Batches in which so many training images go by, the last one with what is left."""
        return -(-images // self.batch)

    def all_steps(self, images: int) -> int:
        """Batches of the whole training on so many images."""
        if self.steps is not None:
            return self.steps
        return self.steps_an_epoch(images) * (self.epochs or 0)

    def all_epochs(self, images: int) -> int:
        """Epochs of the whole training on so many images, one that is cut short included."""
        return -(-self.all_steps(images) // self.steps_an_epoch(images))

    def passes(self, images: int) -> float:
        """How often the training goes over so many images: its epochs, as parts."""
        return self.all_steps(images) / self.steps_an_epoch(images)

    def of_depth(self, layers: int) -> "Training":
        """The same for a net of so many layers: without the warm-up that only deeper ones have."""
        schedule = self.schedule
        if schedule.name != "steps" or schedule.warmup is None or layers >= schedule.warmup.layers:
            return self
        return self.model_copy(update={"schedule": schedule.model_copy(update={"warmup": None})})

    def with_batch(self, batch: int) -> "Training":
        """The same with another batch: the rate in proportion (the authors' README halves both
        for CIFAR on fewer GPUs), the epochs as they are.

        Raises:
            ValidationError: as for one that stands in a file.
        """
        changes = {"batch": batch, "rate": self.rate * batch / self.batch}
        return Training.model_validate(self.model_dump() | changes)


class Numerics(Strict):
    """Precision and threads; part of a run's identity.

    Attributes:
        precision: ``auto`` is bfloat16 where the device reports the instructions, else float32.
        threads: CPU threads of one run.
    """

    precision: Literal["auto", "bfloat16", "float32"]
    threads: int = Field(ge=1, le=1024)


class Depths(Strict):
    """The depth that plays each role at a protocol's scale; a role that it has not is not asked."""

    base: LayerCount | None = None
    deep: LayerCount | None = None
    double: LayerCount | None = None
    residual: LayerCount | None = None


Rate = Annotated[float, Field(gt=0)]

# How many seeds a row is trained with, or that by the role of its depth: ``{base: 10, deep: 2}``;
# of rows that state their layers, ``{20 layers: 5}``.
Count = Annotated[int, Field(ge=1, le=1000)]
Layers = Annotated[str, Field(pattern=r"^[1-9][0-9]{0,4} layers$")]
Seeds = Count | dict[Role | Layers, Count]


class Protocol(Strict):
    """One scale: data, template, depths, training and numerics of every run.

    Attributes:
        title: heading above its tables.
        evidence: what results at this scale are evidence of, and of what not, if that was stated.
        data: the data set.
        ablations: the questions that it is for; by default all that are for it.
        stem, base: of every net (`cardinality.architecture.settings.Architecture`).
        deeper_block: of the rows that go deeper; every other net has the original block.
        depths: the depth that plays each role.
        seeds: how many seeds each row is trained with by default, or that by the role of its
            depth. A row that states its layers has none where its depth is not among them: it is
            counted and not trained.
        training, numerics: how.
        claims: names of the claims (paper_tables/claims.yaml) that this scale asks, stated before
            its runs and corrected for one another alone; by default all of them.
        margin: within so many points a few runs are said to agree with the reference sample
            (paper_tables/reference/), if the interval of their difference lies inside.
        next: the scale at which the same is worth asking afterwards.
        speed: multiply-adds a second (10^9) of one training run, by device, stated for the
            estimate of time where nothing was measured.
        committed: of earlier versions; it has no effect. Which results are the repository's is
            known from its manifest (`cardinality.results.manifest`).
    """

    title: str
    evidence: str | None = None
    data: DataSpec
    ablations: tuple[str, ...] | None = Field(default=None, min_length=1)
    stem: Stem
    base: int = Field(ge=1, le=1024)
    deeper_block: Block = "original"
    depths: Depths
    seeds: Seeds
    training: Training
    numerics: Numerics
    claims: tuple[Annotated[str, Field(max_length=100)], ...] | None = Field(
        default=None, min_length=1
    )
    margin: float | None = Field(default=None, gt=0, le=100)
    next: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    speed: Rate | dict[Device, Rate] | None = None
    committed: bool | None = None

    def count(self, role: str) -> int:
        """How many seeds a row at the depth of a role, or of so many layers, is trained with.

        Raises:
            UserError: the protocol does not say.
        """
        if isinstance(self.seeds, int):
            return self.seeds
        if role not in self.seeds and role not in get_args(Role):
            return 0
        if role not in self.seeds:
            stated = ", ".join(self.seeds)
            raise UserError(f"seeds: none for the role {role}; stated are {stated}; allowed: all")
        return self.seeds[cast(Role, role)]

    def with_batch(self, batch: int) -> "Protocol":
        """The same with another batch, see `Training.with_batch`, held to what a file is held to.

        Raises:
            UserError: a batch that cannot be.
        """
        if not 2 <= batch <= 100_000:
            raise UserError(f"--batch {batch}: allowed are 2 to 100,000")
        try:
            other = self.model_copy(update={"training": self.training.with_batch(batch)})
            other._check_training()
        except ValueError as error:  # pydantic's is one, with more lines
            told = first_problem(error) if isinstance(error, ValidationError) else error
            raise UserError(f"--batch {batch}: {told}") from None
        return other

    @model_validator(mode="after")
    def _check(self) -> "Protocol":
        self._check_training()
        return self

    def _check_training(self) -> None:
        """See that the training can be of this data set."""
        if self.data.name == "folders" and self.training.shift:
            raise ValueError("training.shift: images in folders are cropped at random; allowed: 0")
        batch, images = self.training.batch, self.data.training_images
        if batch > images:
            raise ValueError(f"training.batch: {batch:,}; allowed: at most the {images:,} images")
        schedule, steps = self.training.schedule, self.training.all_steps(images)
        if schedule.name == "one-cycle" and schedule.warmup * steps <= 1:
            raise ValueError(
                f"training.schedule.warmup: {schedule.warmup:g} of {steps:,} steps in all is no"
                " more than one; allowed: a longer warm-up, more epochs or a smaller batch"
            )
