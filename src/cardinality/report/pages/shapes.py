"""What a page says, in plain values: the one thing that both renderers are given."""

from dataclasses import dataclass
from typing import Literal

from cardinality.report.lines import Interval, TableLine

Value = str | int | float | None


@dataclass(frozen=True)
class LinkLine:
    """One link of a chain: its two nets, and the difference of their errors."""

    text: str
    effect: Interval
    paper: float | None


@dataclass(frozen=True)
class ClaimLine:
    """A claim of the paper with its verdict.

    Attributes:
        name, text, source, table, family, rule: the claim's.
        decision: supported, contradicted, undecided or not run.
        state: final or interim.
        unfinished: how many of its stated runs have not ended.
        after_the_fact: whether the runs were there before the rules.
        effect, unit: of the claim; of a chain, of its weakest link.
        paper: the same effect in the paper's figures.
        p, p_against, family_size: after correction, and for how many claims.
        seeds_needed: by how many seeds an undecided one would be decided, in words.
        diverged: seeds left out because a run of theirs diverged.
        links: of a chain.
    """

    name: str
    text: str
    source: str
    table: str
    family: str
    rule: str
    decision: str
    state: str
    unfinished: int
    after_the_fact: bool
    effect: Interval
    unit: str
    paper: float | None
    p: float | None
    p_against: float | None
    family_size: int
    seeds_needed: str
    diverged: tuple[int, ...]
    links: tuple[LinkLine, ...]


@dataclass(frozen=True)
class Numbers:
    """Figures as lines of values, for a table under a figure and for a CSV file.

    Attributes:
        file: where the CSV goes, below the page's folder.
        headings, lines: all of them.
        shown: the numbers of the lines that the page has, where the file has more.
    """

    file: str
    headings: tuple[str, ...]
    lines: tuple[tuple[Value, ...], ...]
    shown: tuple[int, ...] | None = None

    @property
    def on_page(self) -> tuple[tuple[Value, ...], ...]:
        """The lines that the page has."""
        return self.lines if self.shown is None else tuple(self.lines[n] for n in self.shown)


@dataclass(frozen=True)
class Series:
    """One line or set of points of a plot.

    Attributes:
        label: in words.
        key: what choosing it goes by: the net's, or empty for what is always drawn.
        place: of its net in the table, which gives colour and mark.
        part: what it is of, which gives the style.
        seed: its run's, of a single run.
        x, y: of its points.
        low, high: of its band or bars, where it has them.
        says: what is said of each point.
    """

    label: str
    key: str
    place: int
    part: Literal["test", "train", "mean", "seeds", "paper"]
    seed: int | None
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] | None = None
    high: tuple[float, ...] | None = None
    says: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plot:
    """Lines and points over two axes."""

    title: str
    depth: int
    kind: Literal["curves", "points"]
    x_label: str
    y_label: str
    x_scale: Literal["linear", "log2"]
    series: tuple[Series, ...]


@dataclass(frozen=True)
class Bar:
    """One line of a forest: a difference with its interval, beside the paper's."""

    label: str
    key: str
    place: int
    says: str
    effect: Interval
    paper: float | None = None


@dataclass(frozen=True)
class Forest:
    """Differences below each other, with zero as a line; depth 0 is of no one depth."""

    title: str
    depth: int
    x_label: str
    bars: tuple[Bar, ...]
    keyed: bool = False


@dataclass(frozen=True)
class Choice:
    """What the reader may choose among in the figures of a table."""

    depths: tuple[int, ...]
    nets: tuple[tuple[str, int], ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Figure:
    """A figure: its drawings side by side, and its numbers."""

    name: str
    title: str
    caption: str
    panels: tuple[Plot | Forest, ...]
    numbers: Numbers


@dataclass(frozen=True)
class Table:
    """A table that trains, with its figures.

    Attributes:
        state: whether it is whole, in words; ``whole`` says the same.
        paper_source, paper_data: where the paper's figures stand and what they are of, if any.
        comparable: whether the paper's are of the same data.
        named: whether each line says what it is compared with.
        digits: after the point.
        notes: what a reader must know.
    """

    name: str
    title: str
    question: str
    reference: str
    state: str
    whole: bool
    paper_source: str
    paper_data: str
    comparable: bool
    named: bool
    digits: int
    lines: tuple[TableLine, ...]
    notes: tuple[str, ...]
    choice: Choice
    figures: tuple[Figure, ...]
    numbers: Numbers


@dataclass(frozen=True)
class Arithmetic:
    """A table that is arithmetic alone."""

    name: str
    title: str
    question: str
    numbers: Numbers
    notes: tuple[str, ...]


@dataclass(frozen=True)
class SittingLine:
    """One process's work on a run, in words and figures."""

    epochs: str
    where: str
    versions: str
    commit: str
    began: str
    ended: str
    seconds: float
    cpu_seconds: float | None
    memory: int | None
    joules: float | None


@dataclass(frozen=True)
class RunLine:
    """One run with everything that it came from.

    Attributes:
        folder: of its record, below the page's folder.
        status: done, failed or diverged; ``failure`` says why.
        command: computes it again.
        top1, top5, train: errors of the last epoch, in percent.
    """

    name: str
    folder: str
    seed: int
    status: str
    failure: str
    top1: float | None
    top5: float | None
    train: float | None
    seconds: float
    finished: str
    data: str
    weights: str
    command: str
    configuration: tuple[tuple[str, str], ...]
    sittings: tuple[SittingLine, ...]
    curves: Plot | None


@dataclass(frozen=True)
class RunGroup:
    """The runs of one cell."""

    cell: str
    title: str
    tables: tuple[str, ...]
    runs: tuple[RunLine, ...]


@dataclass(frozen=True)
class Absent:
    """Runs of one net that are not there: missing, failed, diverged or unsound; and why."""

    what: str
    seeds: tuple[int, ...]
    status: str
    reason: str
    command: str


@dataclass(frozen=True)
class Page:
    """Everything that a protocol's page says.

    ``unjudged`` is how many runs no claim takes: their numerics or images are not those of most.
    """

    protocol: str
    title: str
    evidence: str
    data: str
    seeds: str
    started: bool
    done: int
    asked: int
    claims: tuple[ClaimLine, ...]
    unjudged: int
    rules: tuple[tuple[str, str], ...]
    arithmetic: tuple[Arithmetic, ...]
    tables: tuple[Table, ...]
    groups: tuple[RunGroup, ...]
    absent: tuple[Absent, ...]
    left_out: tuple[str, ...]
    commands: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Across:
    """One claim at every scale that has begun; no line where a scale does not ask it."""

    name: str
    text: str
    table: str
    paper: float | None
    unit: str
    lines: tuple[tuple[str, ClaimLine | None], ...]


@dataclass(frozen=True)
class Overview:
    """What the first page and the comparison say: the protocols side by side.

    Attributes:
        pages: of the protocols that have begun.
        waiting: name, title and what to type, of those that have not.
        unknown: folders in results/ of which no protocol is found.
        broken: protocols of which a file is wrong, or no table can be planned, and why.
        claims: each at every scale.
        figures: differences at every scale beside the paper's.
    """

    pages: tuple[Page, ...]
    waiting: tuple[tuple[str, str, str], ...]
    unknown: tuple[str, ...]
    broken: tuple[tuple[str, str], ...]
    claims: tuple[Across, ...]
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Going:
    """A run that is being computed: how far it is, and how long it will take."""

    name: str
    done: int
    epochs: int | None
    error: float | None
    left: float | None
    curves: Plot | None


@dataclass(frozen=True)
class Progress:
    """A grid that is being computed, as it is now: how many of its runs, and how far some are."""

    running: int
    stopped: int
    going: tuple[Going, ...]
    tables: tuple[tuple[str, int, int, str], ...]
