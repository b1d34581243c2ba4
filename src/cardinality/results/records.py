"""The record of one run: what it was, what it came to, and in which sittings."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from cardinality.common.errors import UserError
from cardinality.common.files import read_text
from cardinality.common.strict import Strict, first_problem
from cardinality.common.text import line
from cardinality.data.images import Identity, Kind
from cardinality.experiment.run import Numerics, Run, digest
from cardinality.host.machine import Device, Precision
from cardinality.results.epochs import Epoch

LARGEST_RECORD = 1_000_000  # bytes; ours are some thousand

# A failed run may be tried again; one that diverged would diverge again.
Ended = Literal["done", "failed", "diverged"]
Percent = Annotated[float, Field(ge=0, le=100)]
Checksum = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]
Count = Annotated[int, Field(ge=0)]
Number = Annotated[int, Field(ge=1)]
# Of seconds, joules and losses, none of which is below nothing.
Amount = Annotated[float, Field(ge=0)]


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).utcoffset() != timedelta(0):
        raise ValueError(f"{text}: is not in UTC; allowed: as 2026-01-31T12:00:00+00:00")
    return text


# A clock may be set back while a run goes on, so that two are not held to their order.
Moment = Annotated[str, AfterValidator(_moment)]


class Final(Strict):
    """The figures of the last epoch; errors in percent, top-5 only with more than five classes."""

    train_loss: Amount
    train_error: Percent
    test_loss: Amount
    top1_error: Percent
    top5_error: Percent | None
    images: Number | None = None


class Energy(Strict):
    """What a sitting took, and who says so: a GPU's driver, or a CPU's counters."""

    joules: Amount
    source: str


class Sitting(Strict):
    """One process's work on a run, from its start or its checkpoint to its end or its stop.

    Attributes:
        machine: the processor's own name.
        device: the name of what computed: a GPU's as torch has it, a MIG slice's included, or
            the processor's.
        cores: CPU cores that the process might use.
        processes: how many shared the run.
        side_by_side: how many runs the driver had going at once, of GPUs on the same one, where
            it is known.
        commit, clean: of the code, and whether the tree outside results/ was as that has it.
        versions: of Python, this suite and the libraries that compute.
        first_epoch, last_epoch: of those that it computed, as a whole or a part, and that were
            kept.
        epochs: how many these come to, where it began or ended inside one.
        began, ended: in UTC; ``ended`` is when the last of them was kept.
        wall_seconds, cpu_seconds: between the two; the second is of all threads and loaders.
        peak_memory: bytes at most, where it is known: of a CPU's process with everything in it,
            of a GPU's tensors.
        energy: between the two, where the machine says it; a CPU's package divided by the runs
            side by side.

    Of several processes that share a run (``processes``) the first is measured: CPU seconds, memory
    and energy are its own and its GPU's.
    """

    machine: str
    device: str
    cores: Number
    processes: Number = 1
    side_by_side: Number | None
    commit: str | None
    clean: bool | None
    versions: dict[str, str]
    first_epoch: Number
    last_epoch: Number
    epochs: Amount | None = Field(default=None, exclude_if=lambda value: value is None)
    began: Moment | None
    ended: Moment
    wall_seconds: Amount
    cpu_seconds: Amount | None
    peak_memory: Count | None
    energy: Energy | None = None

    @model_validator(mode="after")
    def _check(self) -> "Sitting":
        if self.first_epoch > self.last_epoch:
            raise ValueError(
                f"first_epoch: {self.first_epoch} comes after the last, {self.last_epoch}"
            )
        if self.passes > self.last_epoch - self.first_epoch + 1:
            raise ValueError(f"epochs: {self.epochs} are more than from its first to its last")
        return self

    @property
    def passes(self) -> float:
        """How many epochs it computed, as parts."""
        return self.last_epoch - self.first_epoch + 1 if self.epochs is None else self.epochs


def check_order(sittings: Sequence[Sitting]) -> None:
    """See that each sitting begins with the epoch after the last, or goes on inside that.

    Raises:
        ValueError: one does not.
    """
    ends = (0, *(sitting.last_epoch for sitting in sittings))
    for last, sitting in zip(ends, sittings, strict=False):
        if sitting.first_epoch not in (last + 1, last or 1):
            raise ValueError(f"sittings: one begins with epoch {sitting.first_epoch}, after {last}")


class _Part(BaseModel):
    """Keys that every revision's configuration has; others may stand beside them."""

    model_config = ConfigDict(strict=True)


class _Net(_Part):
    setting: str
    depth: int
    residual: bool


class _Data(_Part):
    name: str
    side: Annotated[int, Field(ge=1, le=100_000)] | None = None


class _Training(_Part):
    epochs: Number | None = None


class _Numerics(Strict):
    """As `Numerics`; one with a key that is not known here must not pass for one without it."""

    device: Device
    precision: Precision
    threads: Number
    fused: bool = False


class _Configuration(_Part):
    revision: Annotated[int, Field(ge=1, lt=2**31)]
    net: _Net
    data: _Data
    training: _Training
    numerics: _Numerics
    seed: Annotated[int, Field(ge=0, lt=2**63)]  # as far as torch seeds, and a frame's columns


_NUMERICS = TypeAdapter(Numerics)


class Record(Strict):
    """What is kept of one run besides its epochs and its images.

    Attributes:
        name: of the run (`cardinality.experiment.run.Run.name`).
        status: how it ended.
        failure: why it is not done.
        configuration: the run's effective configuration, which its name is a hash of.
        params, macs, activations: of the net.
        data_checksum, data_kind: of the images (`cardinality.data.images.Identity`); empty where
            a run failed before they were read.
        final: the last epoch's figures, of a finished run.
        correct_checksum: of the file that says which images the last epoch got right.
        weights_checksum: of the finished net's weights.
        seconds: of training and evaluation, over all sittings.
        sittings: in their order; none where the run failed before any of it was kept.
        finished: when, in UTC.
    """

    name: str
    status: Ended
    failure: str | None
    configuration: dict[str, Any]
    params: Count
    macs: Count
    activations: Count
    data_checksum: Checksum | Literal[""]
    data_kind: Kind | None = None
    final: Final | None
    correct_checksum: Checksum | None = None
    weights_checksum: Checksum | None
    seconds: Amount
    sittings: tuple[Sitting, ...]
    finished: Moment

    @model_validator(mode="after")
    def _check(self) -> "Record":
        if (self.status == "done") != (self.final is not None):
            raise ValueError("final: stands in a record that is done, and in no other")
        if self.final is not None and (self.final.top5_error or 0) > self.final.top1_error:
            raise ValueError("final.top5_error: is larger than top1_error")
        if (self.status == "done") != (self.failure is None):
            raise ValueError("failure: stands in every record that is not done, and in no other")
        if self.status == "done" and not (self.sittings and self.data_checksum):
            raise ValueError("sittings, data_checksum: a record that is done has them")
        check_order(self.sittings)
        try:
            _Configuration.model_validate_json(json.dumps(self.configuration))
        except ValidationError as error:
            raise ValueError(first_problem(error, "configuration")) from None
        return self

    @property
    def numerics(self) -> Numerics:
        """The numerics that the run was computed with."""
        return _NUMERICS.validate_python(self.configuration["numerics"])

    @property
    def side(self) -> int:
        """Pixels of a side of its images; CIFAR's are not stated."""
        side: int = self.configuration["data"].get("side") or 32
        return side

    @property
    def stated_epochs(self) -> int | None:
        """How many epochs were configured, where these were stated and not steps."""
        epochs: int | None = self.configuration["training"].get("epochs")
        return epochs

    def alone(self, sitting: Sitting) -> bool:
        """Whether nothing else took the device's time, so that its seconds say what a run takes.

        A process that shares its core with another does not get all of the clock's seconds.
        """
        if self.numerics.device == "cuda":
            return sitting.side_by_side == 1
        return sitting.cpu_seconds is None or sitting.cpu_seconds > 0.9 * sitting.wall_seconds

    @property
    def peak_memory(self) -> int | None:
        """Bytes at most in any sitting, where it is known."""
        known = [sitting.peak_memory for sitting in self.sittings]
        return max((peak for peak in known if peak is not None), default=None)

    @property
    def identity(self) -> Identity | None:
        """Which images it was trained and evaluated on, where it is known."""
        if not self.data_checksum:
            return None
        return Identity(self.data_checksum, self.data_kind or "pixels")


def make_record(
    run: Run,
    data: Identity | None,
    epochs: Sequence[Epoch],
    sittings: Sequence[Sitting],
    *,
    weights_checksum: str | None = None,
    correct_checksum: str | None = None,
    failure: str | None = None,
    diverged: bool = False,
) -> Record:
    """The record of a run that ended: with a reason if it failed, else with its last epoch.

    The last epoch is the result, never the best one.
    """
    final: Final | None = None
    status: Ended = "done"
    if failure is None:
        last = epochs[-1]
        final = Final(**{key: getattr(last, key) for key in Final.model_fields})
    else:
        failure = " ".join(failure.split())[:500]
        status = "diverged" if diverged else "failed"
    return Record(
        name=run.name,
        status=status,
        failure=failure,
        configuration=run.configuration,
        params=run.complexity.params,
        macs=run.complexity.macs,
        activations=run.complexity.activations,
        data_checksum="" if data is None else data.checksum,
        data_kind=None if data is None else data.kind,
        final=final,
        correct_checksum=correct_checksum,
        weights_checksum=weights_checksum,
        seconds=sum(epoch.seconds for epoch in epochs),
        sittings=tuple(sittings),
        finished=now(),
    )


def now() -> str:
    """This moment in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def parse(path: Path) -> Record:
    """Read the record of the run that the folder is named after.

    Raises:
        UserError: it cannot be read, or is another run's than its folder's name says.
    """
    try:
        text = read_text(path, LARGEST_RECORD)
        content = json.loads(
            text, parse_int=_whole, parse_constant=_no_number, object_pairs_hook=_once
        )
        # By way of JSON, where pydantic's strict mode still takes a list for a tuple.
        record = Record.model_validate_json(json.dumps(_of_today(content)))
    except ValidationError as error:
        raise UserError(f"{path}: {line(first_problem(error), 200)}; no record of ours") from None
    except UserError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: no record of ours: {line(error, 200)}") from None
    if record.name != path.parent.name or not record.name.endswith(digest(record.configuration)):
        raise UserError(f"{path}: is the record of another run than its folder's name says")
    return record


def _whole(text: str) -> int:
    """A whole number of a record; none of ours, nor a frame's, is longer than 64 bits."""
    value = int(text) if len(text) < 20 else 2**63
    if abs(value) >= 2**63:
        raise ValueError(f"{text[:30]}: no number of ours, which have 64 bits")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose keys stand once; of two readers would take one each."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text}: no number of ours, which are finite")


def _of_today(content: dict[str, Any]) -> dict[str, Any]:
    """A record up to revision 3, which had one provenance, as one of one sitting; else itself."""
    if "provenance" not in content:
        return content
    content = dict(content)
    made = content.pop("provenance")
    content["sittings"] = [
        {
            **made,
            "device": made["machine"],
            "side_by_side": None,
            "first_epoch": 1,
            "last_epoch": content["configuration"]["training"]["epochs"],
            "began": None,
            "ended": content["finished"],
            "wall_seconds": content["seconds"],
            "cpu_seconds": None,
            "peak_memory": content.pop("peak_memory", None),
        }
    ]
    return content
