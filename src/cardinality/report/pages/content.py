"""Everything that the pages say, collected from the records alone."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cardinality.analysis.claims import Claims, read_all_claims
from cardinality.analysis.comparisons import Effect
from cardinality.analysis.ledger import Ledger
from cardinality.analysis.planning import Needed, Runs
from cardinality.analysis.verdicts import Verdict
from cardinality.architecture.names import net_in_words
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.text import plural
from cardinality.experiment.configuration import Protocol
from cardinality.experiment.grid import possible_plans
from cardinality.experiment.places import PROTOCOLS, command, find
from cardinality.experiment.plan import Plan
from cardinality.experiment.reading import load
from cardinality.report.judged import DECISIONS, borrowed, folders_of
from cardinality.report.lines import Interval, TableLine
from cardinality.report.markdown import whose_reference
from cardinality.report.pages.charts.every import choice_of, figures_of
from cardinality.report.pages.gathered import Gathered, TableRead, gather
from cardinality.report.pages.runs import absent_of, groups_of, left_out_of
from cardinality.report.pages.shapes import (
    Across,
    Arithmetic,
    Bar,
    ClaimLine,
    Figure,
    Forest,
    LinkLine,
    Numbers,
    Overview,
    Page,
    Table,
    Value,
)
from cardinality.report.pages.tables import numbers_of
from cardinality.report.pages.wording import interval
from cardinality.report.recorded import ANY, Counts
from cardinality.report.tables import arithmetic_table
from cardinality.report.wording import signed

# Planning's reasons, as a sentence goes on.
WHY = {
    "no effect stated": "The paper's figures do not have this effect to plan seeds for.",
    "no effect that way": "The paper's figures have no effect that way to plan seeds for.",
    "no deviation": "How many seeds it needs is known once two of them have ended.",
    "more than 1000": "To find the paper's effect would take more than 1000 seeds.",
}


def page_of(gathered: Gathered) -> Page:
    """A protocol's page."""
    plan = gathered.plan
    protocol = plan.protocol
    done, asked = _counted(gathered)
    tables = tuple(_table(gathered, table) for table in gathered.tables)
    data = protocol.data
    return Page(
        protocol=gathered.protocol,
        title=protocol.title,
        evidence=(protocol.evidence or "Of what results here are evidence is not stated.").strip(),
        data=f"{data.title}, {data.training_images:,} training and {data.evaluated_images:,} test"
        f" images, {data.side} × {data.side} pixels",
        seeds=_seeds(gathered.tables),
        started=bool(gathered.results.read_all()[0]),
        done=done,
        asked=asked,
        claims=claims_of(gathered.judged.ledger),
        unjudged=gathered.judged.found.others,
        rules=tuple(gathered.judged.claims.rules.model_dump(exclude_none=True).items()),
        arithmetic=tuple(map(_arithmetic, gathered.arithmetic)),
        tables=tables,
        groups=groups_of(gathered),
        absent=absent_of(gathered),
        left_out=left_out_of(gathered),
        commands=commands_of([*(table.plan for table in gathered.tables), *gathered.arithmetic]),
    )


def _counted(gathered: Gathered) -> tuple[int, int]:
    """How many runs have ended, and how many all tables ask for; a run of several counts once."""
    runs = {
        run.name: run.name in table.found.done or run.name in table.found.diverged
        for table in gathered.tables
        for run in table.plan.runs()
    }
    return sum(runs.values()), len(runs)


def _seeds(tables: Sequence[TableRead]) -> str:
    counts = sorted({len(entry.runs) for table in tables for entry in table.plan.entries})
    if not counts:
        return "no seeds"
    return f"{counts[0]} to {counts[-1]} seeds" if len(counts) > 1 else plural(counts[0], "seed")


def commands_of(plans: Sequence[Plan]) -> tuple[tuple[str, str], ...]:
    """What to type for each table, with what it answers."""
    return tuple((command(*plan.typed), plan.ablation.title) for plan in plans)


# --- claims ----------------------------------------------------------------------------------


def claims_of(found: Ledger) -> tuple[ClaimLine, ...]:
    """Every verdict, primary claims first."""
    needed = {each.claim: each for each in found.needed}
    lines = []
    for verdict in found.verdicts:
        more = needed.get(verdict.claim)
        lines.append(_claim(verdict, "" if more is None else _needed(more, verdict)))
    return tuple(sorted(lines, key=lambda line: line.family != "primary"))


def _needed(needed: Needed, verdict: Verdict) -> str:
    """By how many seeds an undecided claim would be decided, were its effect the paper's."""
    if needed.seeds is None:
        return WHY[needed.why or "no deviation"]
    words = f"The paper's effect would be found 4 times of 5 with {needed.seeds} seeds"
    return f"{words}{', and it has them.' if verdict.evidence.pairs >= needed.seeds else '.'}"


def _claim(verdict: Verdict, needed: str) -> ClaimLine:
    evidence = verdict.evidence
    links = (
        LinkLine(
            f"{net_in_words(*link.first)} against {net_in_words(*link.second)}",
            _effect(link.evidence.effect),
            link.evidence.paper,
        )
        for link in verdict.links
    )
    return ClaimLine(
        name=verdict.claim,
        text=verdict.text.strip(),
        source=verdict.source,
        table=verdict.table,
        family=verdict.family,
        rule=verdict.rule,
        decision=verdict.decision,
        state=verdict.state,
        unfinished=verdict.unfinished,
        after_the_fact=verdict.after_the_fact,
        effect=_effect(evidence.effect),
        unit=evidence.unit,
        paper=evidence.paper,
        p=verdict.p,
        p_against=verdict.p_against,
        family_size=verdict.family_size,
        seeds_needed=needed,
        diverged=evidence.effect.diverged,
        links=tuple(links),
    )


def _effect(effect: Effect) -> Interval:
    over = effect.over
    if over is None:
        return Interval(None, None, None, len(effect.seeds))
    return Interval(over.mean, over.low, over.high, len(effect.seeds))


def tally(claims: Sequence[ClaimLine]) -> tuple[tuple[str, int, int], ...]:
    """How many claims have each verdict, and of how many it is final, in the order of verdicts."""
    counts = Counter(claim.decision for claim in claims)
    final = Counter(claim.decision for claim in claims if claim.state == "final")
    return tuple((decision, counts[decision], final[decision]) for decision in DECISIONS)


# --- tables ----------------------------------------------------------------------------------


def _table(gathered: Gathered, table: TableRead) -> Table:
    plan, paper = table.plan, table.paper
    lines, counts = table.lines, table.found.counts
    return Table(
        name=plan.ablation_name,
        title=plan.ablation.title,
        question=plan.ablation.question.strip(),
        reference=str(plan.ablation.reference),
        state=_state(counts),
        whole=counts.whole,
        paper_source="" if paper is None else paper.source,
        paper_data="" if paper is None else paper.data,
        comparable=paper is not None and paper.data == plan.protocol.data.title,
        named=plan.names_references,
        digits=1 if paper is None else paper.digits,
        lines=lines,
        notes=tuple(_notes(table)),
        choice=choice_of(lines),
        figures=figures_of(gathered, table, lines),
        numbers=numbers_of(plan.ablation_name, lines),
    )


def _state(counts: Counts) -> str:
    """Whether the runs of a table are there."""
    told = f"; of {counts.diverged} the loss diverged" if counts.diverged else ""
    if counts.whole:
        return f"Complete: {plural(counts.asked, 'run')}{told}"
    return f"Partial: {counts.there} of {plural(counts.asked, 'run')}, {counts.lacking}{told}"


def _notes(table: TableRead) -> list[str]:
    plan, paper, found = table.plan, table.paper, table.found
    notes = [
        "Errors are of the last epoch, in percent, mean ± standard deviation over n seeds; lower is"
        f" better. Δ is to {whose_reference(plan)}, in points, paired by seed, with its 95 % t"
        " interval. Train error is the running average over the last epoch, under augmentation."
    ]
    if paper is not None and paper.data != plan.protocol.data.title:
        notes.append(
            f"The paper's figures ({paper.source}) are of {paper.data}: other data and other nets,"
            " so compare differences, not errors."
        )
    if found.others:
        others = plural(found.others, "run")
        notes.append(f"Left out, because their numerics or their images are others: {others}.")
    return [*notes, *(note.strip() for note in plan.ablation.notes)]


def _arithmetic(plan: Plan) -> Arithmetic:
    table = arithmetic_table(plan)
    lines: list[tuple[Value, ...]] = [
        tuple(None if value != value else value for value in line)
        for line in table.itertuples(index=False, name=None)
    ]
    return Arithmetic(
        plan.ablation_name,
        plan.ablation.title,
        plan.ablation.question.strip(),
        Numbers(f"numbers/{plan.ablation_name}.csv", tuple(map(str, table.columns)), tuple(lines)),
        tuple(note.strip() for note in plan.ablation.notes),
    )


# --- protocols side by side ------------------------------------------------------------------


def overview_of(
    results: Path, extra: str | None = None, runs: Sequence[Runs] | None = None
) -> Overview:
    """The first page and the comparison: every protocol, begun or not.

    One scale's mistake does not keep the others back.

    Args:
        results: the folder of all results.
        extra: a protocol's file that is not among the known ones.
        runs: of all protocols, where they have been read already.
    """
    known = dict.fromkeys(workspace.names(PROTOCOLS, ".yaml"))
    names: dict[str, str] = {name: name for name in known}
    if extra is not None:
        names[find(extra, PROTOCOLS).stem] = extra
    folders = {path.parent.parent.parent.name for path in results.glob("*/*/*/run.json")}
    pages, waiting, broken = [], [], []
    claims = read_all_claims()
    if runs is None:
        runs = borrowed(folders_of(results))
    for name, given in names.items():
        try:
            if name in folders:
                pages.append(page_of(gather(given, results, claims, runs)))
            else:
                waiting.append(_waiting(name, given, claims))
        except UserError as error:
            broken.append((name, str(error)))
    return Overview(
        tuple(pages),
        tuple(waiting),
        tuple(sorted(folders - names.keys())),
        tuple(broken),
        _across(pages),
        _compared(pages),
    )


def _waiting(name: str, given: str, claims: Claims) -> tuple[str, str, str]:
    """A protocol that has not begun: its name, its title, and how to begin with it."""
    scale = load(find(given, PROTOCOLS), Protocol, bases=PROTOCOLS)
    plans, _ = possible_plans(given, ANY, [claim.table for claim in claims.claims])
    trained = [plan for plan in plans if plan.runs()]
    return name, scale.title, command(*(trained or plans)[0].typed)


def _across(pages: Sequence[Page]) -> tuple[Across, ...]:
    """Each claim with its verdict at every scale, in the order of the scales."""
    asked = {page.protocol: {claim.name: claim for claim in page.claims} for page in pages}
    found = {name: claim for claims in asked.values() for name, claim in claims.items()}
    return tuple(
        Across(
            name,
            claim.text,
            claim.table,
            next((c[name].paper for c in asked.values() if name in c and c[name].paper), None),
            claim.unit,
            tuple((protocol, claims.get(name)) for protocol, claims in asked.items()),
        )
        for name, claim in found.items()
    )


def _compared(pages: Sequence[Page]) -> tuple[Figure, ...]:
    """For each table: every line's difference at every scale, and the paper's."""
    titles = {table.name: table.title for page in pages for table in page.tables}
    figures = (_compare(name, title, pages) for name, title in titles.items())
    return tuple(figure for figure in figures if figure is not None)


def _compare(name: str, title: str, pages: Sequence[Page]) -> Figure | None:
    rows: dict[tuple[str, str, str], list[tuple[str, int, TableLine]]] = {}
    for place, page in enumerate(pages):
        for table in page.tables:
            for line in table.lines if table.name == name else ():
                if line.top1.difference is not None and not line.is_reference:
                    key = (line.entry.role, line.net, line.model)
                    rows.setdefault(key, []).append((page.protocol, place, line))
    measured = {
        key: lines
        for key, lines in rows.items()
        if any(_mean(line) is not None for _, _, line in lines)
    }
    if not measured:
        return None
    roles = dict.fromkeys(role for role, _, _ in measured)
    panels = tuple(_panel(role, measured) for role in roles)
    values = tuple(
        value for key, lines in measured.items() for value in _compared_lines(key, lines)
    )
    headings = ("role", "net", "scale", "difference", "low", "high", "pairs")
    return Figure(
        name,
        title,
        "Top-1 error minus the reference's at the same scale, in points, with its 95 % t interval,"
        " one line a scale; hollow diamonds are the paper's.",
        panels,
        Numbers(f"numbers/comparison-{name}.csv", headings, values),
    )


def _mean(line: TableLine) -> float | None:
    return None if line.top1.difference is None else line.top1.difference.mean


def _panel(role: str, rows: dict[tuple[str, str, str], list[tuple[str, int, TableLine]]]) -> Forest:
    bars = []
    for (its, net, _), lines in rows.items():
        if its == role:
            paper = lines[0][2].paper
            theirs = None if paper is None else paper.top1_difference
            for protocol, place, line in lines:
                effect = line.top1.difference
                if effect is not None and effect.mean is not None:
                    says = f"{net}, {protocol}, {line.depth} layers: {interval(effect, 2)} points,"
                    says += f" {plural(effect.pairs, 'pair')}; paper {signed(theirs)}"
                    label = f"{net}, {protocol}"
                    bars.append(Bar(label, protocol, place, says, effect, theirs))
    return Forest(
        role if "layers" in role else f"{role} depth", 0, "points", tuple(bars), keyed=True
    )


def _compared_lines(
    key: tuple[str, str, str], lines: list[tuple[str, int, TableLine]]
) -> list[tuple[Value, ...]]:
    role, net, _ = key
    found: list[tuple[Value, ...]] = []
    paper = lines[0][2].paper
    if paper is not None:
        found.append((role, net, "paper", paper.top1_difference, None, None, None))
    for protocol, _, line in lines:
        effect = line.top1.difference
        if effect is not None and effect.mean is not None:
            found.append((role, net, protocol, effect.mean, effect.low, effect.high, effect.pairs))
    return found
