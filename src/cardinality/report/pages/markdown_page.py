"""The same content as Markdown, for where repositories show it."""

from collections.abc import Iterable, Sequence

from cardinality.common.text import Markdown, code, link, markdown
from cardinality.report.lines import Interval, TableLine
from cardinality.report.pages import wording as say
from cardinality.report.pages.content import tally
from cardinality.report.pages.shapes import (
    ClaimLine,
    Figure,
    Numbers,
    Overview,
    Page,
    RunGroup,
    Table,
)

# Numbers under a figure: more lines than that are for the CSV file and the page.
MOST = 60


def protocol_markdown(page: Page) -> str:
    """A protocol's report."""
    parts = [
        f"# {markdown(page.protocol)}: {markdown(page.title)}",
        _lead(page),
        markdown(page.evidence),
        *_claims(page.claims, page.unjudged),
        *(part for table in page.tables for part in _table(table)),
        *(
            part
            for table in page.arithmetic
            for part in (
                f"## {markdown(table.title)}",
                markdown(table.question),
                _numbers(table.numbers),
            )
        ),
        *_runs(page.groups),
        *_absent(page),
    ]
    return "\n\n".join(parts) + "\n"


def _lead(page: Page) -> str:
    if not page.started:
        lines = [f"- {code(command)}: {markdown(title)}" for command, title in page.commands]
        return "\n".join(
            ["**Nothing has been run at this scale yet.** To compute a table:", "", *lines]
        )
    if not page.asked:
        return f"Nothing is trained at this scale. {markdown(page.data)}."
    counts = ", ".join(
        f"{count} {decision}" + (f" ({words})" if words else "")
        for decision, count, final in tally(page.claims)
        for words in (say.settled(decision, count, final),)
    )
    return (
        f"**Claims: {counts}.** {page.done} of {page.asked} runs are there. {markdown(page.data)};"
        f" {page.seeds} a line."
    )


# --- claims ----------------------------------------------------------------------------------


def _claims(claims: Sequence[ClaimLine], unjudged: int) -> Iterable[str]:
    yield "## What is claimed, and what shows here"
    yield (
        "Effects are in points of error with 95 % intervals over seeds. A final verdict has every"
        " run that its protocol states; an interim one may still change."
    )
    headings = (
        "verdict",
        "claim",
        "table",
        "effect",
        "pairs",
        "p",
        "paper's effect",
        "seeds needed",
    )
    yield rows(headings, [_claim(claim) for claim in claims], "lllrrrrl")
    if unjudged:
        yield say.left_out(unjudged)


def _interval(value: Interval | None, digits: int) -> Markdown:
    """With its ends in brackets, which are no link."""
    return Markdown(say.interval(value, digits))


def _claim(claim: ClaimLine) -> tuple[str, ...]:
    settled = say.state(claim)
    mark = "**" if claim.state == "final" else "*"
    verdict = claim.decision if claim.decision == "not run" else f"{mark}{claim.decision}{mark}"
    unit = "" if claim.unit == "points" else f" {claim.unit}"
    effect = _interval(claim.effect, 2)
    return (
        Markdown(f"{verdict}, {settled}" if settled else verdict),
        claim.text,
        claim.table,
        Markdown(effect + unit) if claim.effect.mean is not None else effect,
        str(claim.effect.pairs),
        say.probability(claim.p),
        say.signed(claim.paper, 2),
        claim.seeds_needed,
    )


# --- tables ----------------------------------------------------------------------------------


def _table(table: Table) -> Iterable[str]:
    yield f"## {markdown(table.title)}"
    yield markdown(table.question)
    state = f"{table.state}."
    yield state if table.whole else f"**{state}**"
    top5 = any(line.paper is not None and line.paper.top5 is not None for line in table.lines)
    bare = any(line.without is not None for line in table.lines)
    headings, sides = _headings(table, bare, top5)
    yield rows(headings, [_line(table, line, bare, top5) for line in table.lines], sides)
    yield "\n".join(f"- {markdown(note)}" for note in table.notes)
    for figure in table.figures:
        yield _figure(figure)


def _headings(table: Table, bare: bool, top5: bool) -> tuple[list[str], str]:
    paper = f"paper, {table.paper_data}" if table.paper_source else ""
    ours = ["depth", "setting", "model", "n", "params, M", "MACs, M", "top-1 error"]
    ours += ["Δ to"] * table.named + ["Δ"]
    ours += ["Δ without shortcuts"] * bare + ["top-5 error"] * top5 + ["train error"]
    theirs = [f"{paper}: depth", "its top-1", "its Δ"] if paper else []
    if paper:
        theirs += ["its Δ without shortcuts"] * bare + ["its top-5"] * top5
    both = [*ours, *theirs]
    return both, "rll" + "r" * (len(both) - 3)


def _line(table: Table, line: TableLine, bare: bool, top5: bool) -> tuple[str, ...]:
    digits, cost, paper = table.digits, line.entry.complexity, line.paper
    difference: str = _interval(line.top1.difference, digits)
    if line.is_reference:
        difference = say.signed(0.0 if line.n else None, digits)
    ours = [
        *(str(line.depth), line.net, line.model, say.counted(line)),
        *(say.millions(cost.params), say.millions(cost.macs)),
        say.measured(line, digits),
        *[line.against or say.DASH] * table.named,
        difference,
    ]
    ours += [_interval(line.without, digits)] * bare
    ours += [say.spread(line.top5, digits)] * top5 + [say.spread(line.train, digits)]
    if not table.paper_source:
        return tuple(ours)
    theirs = [
        say.DASH if paper is None else str(paper.depth),
        say.number(None if paper is None else paper.top1, digits),
        say.signed(None if paper is None else paper.top1_difference, digits),
    ]
    theirs += [say.signed(None if paper is None else paper.without, digits)] * bare
    theirs += [say.number(None if paper is None else paper.top5, digits)] * top5
    return (*ours, *theirs)


def _figure(figure: Figure) -> str:
    body = f"{markdown(figure.caption)}\n\n{_numbers(figure.numbers)}"
    return _folded(f"{markdown(figure.title)}, in numbers", body)


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _numbers(numbers: Numbers) -> str:
    shown = numbers.on_page[:MOST]
    words = [
        any(isinstance(line[n], str) for line in numbers.lines)
        for n in range(len(numbers.headings))
    ]
    sides = "".join("l" if word else "r" for word in words)
    table = rows(
        [heading.replace("_", " ") for heading in numbers.headings],
        [tuple(map(say.cell, line)) for line in shown],
        sides,
    )
    rest = len(numbers.lines) - len(shown)
    return table + (
        f"\n\n{rest:,} more lines are in the page's {code(numbers.file)}." if rest else ""
    )


def rows(headings: Sequence[str], lines: Sequence[Sequence[str]], sides: str) -> str:
    """A Markdown table of texts, of which only `Markdown` has marks; columns left or right."""
    rule = [":--" if side == "l" else "--:" for side in sides]
    return "\n".join(f"| {' | '.join(map(markdown, line))} |" for line in (headings, rule, *lines))


# --- runs ------------------------------------------------------------------------------------


def _runs(groups: Sequence[RunGroup]) -> Iterable[str]:
    yield "## Runs"
    if not groups:
        yield "No run has ended yet."
        return
    lines = [
        (
            link(run.name, f"{run.folder}/run.json"),
            run.status,
            say.number(run.top1, 2),
            say.number(run.train, 2),
            say.seconds(run.seconds),
            "; ".join(dict.fromkeys(sitting.where for sitting in run.sittings)),
            ", ".join(dict.fromkeys(sitting.commit for sitting in run.sittings)),
            run.data,
        )
        for group in groups
        for run in group.runs
    ]
    headings = ("run", "state", "top-1 error", "train error", "time", "where", "code", "images")
    body = rows(headings, lines, "llrrrlll")
    yield _folded(say.plural(len(lines), "run"), body)


def _absent(page: Page) -> Iterable[str]:
    yield "## Not there"
    if not page.absent:
        yield "Every planned run has ended and has a result."
    else:
        lines = [
            (each.what, say.seeds(each.seeds), each.status, each.reason, code(each.command))
            for each in page.absent
        ]
        body = rows(("net", "seeds", "state", "reason", "command"), lines, "lrlll")
        count = sum(max(1, len(each.seeds)) for each in page.absent)
        what = f"{say.plural(count, 'planned run')} without a result"
        yield _folded(what, body)
    for line in page.left_out:
        yield f"Left out: {markdown(line)}."


# --- every scale -----------------------------------------------------------------------------


def comparison_markdown(over: Overview) -> str:
    """Every scale beside the paper."""
    names = [page.protocol for page in over.pages]
    lines = [
        (each.text, say.signed(each.paper, 2), *(_verdict(claim) for _, claim in each.lines))
        for each in over.claims
    ]
    parts = [
        "# At which scale which of the paper's findings shows",
        "Scales differ in data, nets and training, so differences are compared and never errors.",
    ]
    if not names:
        parts.append("**Nothing has been run yet.** `make table3` begins.")
    else:
        links = [link(name, f"{name}/report.md") for name in names]
        parts.append(rows(("claim", "paper's effect", *links), lines, "lr" + "l" * len(names)))
        for figure in over.figures:
            parts += [
                f"## {markdown(figure.title)}",
                markdown(figure.caption),
                _numbers(figure.numbers),
            ]
    waiting = [f"- {code(command)}: {markdown(title)}" for _, title, command in over.waiting]
    if waiting:
        parts += ["## Not begun", "\n".join(waiting)]
    return "\n\n".join(parts) + "\n"


def _verdict(claim: ClaimLine | None) -> str:
    """A claim's verdict at a scale; nothing where that does not ask it."""
    if claim is None:
        return say.DASH
    if claim.decision == "not run":
        return claim.decision
    effect, pairs = _interval(claim.effect, 2), say.plural(claim.effect.pairs, "pair")
    return Markdown(f"{claim.decision} ({say.state(claim)}) {effect}, {pairs}")
