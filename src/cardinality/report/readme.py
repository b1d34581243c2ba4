"""The figures of README.md and pages in docs/, from the records that the repository brings.

`make readme` writes them. Each stands between two marks, ``<!-- NAME -->`` and ``<!-- end -->``.
"""

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from cardinality.analysis.claims import read_claims
from cardinality.analysis.verdicts import Verdict, judge
from cardinality.common import workspace
from cardinality.common.errors import UserError
from cardinality.common.files import read_text, written_aside
from cardinality.common.text import code
from cardinality.experiment.grid import make_plan
from cardinality.report import reference, render
from cardinality.report.claims_page import overview_lines
from cardinality.report.judged import Judged, judge_protocol, paper_of, plans_of
from cardinality.report.markdown import columns_of, to_markdown
from cardinality.report.recorded import ANY, as_recorded
from cardinality.report.verdict_words import DOUBLING, REASONS, short
from cardinality.report.wording import number
from cardinality.results.folder import Results

LARGEST = 1_000_000  # bytes
# The scale whose grid the repository brings, and the sample of the one that is typed first.
SCALE, SAMPLED = "cifar10-small", "quick"
# The scale of photographs of another kind, which asks some of the claims.
PHOTOGRAPHS = "imagenette-small"
# The scales of ResNet's own tables, and of later additions to the nets.
RESNET, TRICKS = "resnet-cifar10-small", "cifar10-tricks"
BLOCK = re.compile(r"<!-- (?P<name>(?!end)\w+) -->\n(?:.*?\n)??<!-- end -->", re.DOTALL)
# Columns of Table 3, of Table 4, of the residual table, of ResNet's, and of later additions.
SHOWN = (
    *("setting", "depth", "params, M", "top-1 error, %", "n", "Δ top-1", "train error, %"),
    *("paper, ImageNet: depth", "its Δ top-1"),
)
TWICE = ("setting", "depth", "model", *SHOWN[2:])
DROPPED = (
    *("setting", "shortcuts", "params, M", "top-1 error, %", "n", "Δ top-1", "Δ without shortcuts"),
    *("train error, %", "its Δ top-1", "its Δ without shortcuts"),
)
RESNETS = (
    *("model", "params, M", "top-1 error, %", "n", "Δ to", "Δ top-1", "train error, %", "Δ train"),
    *("paper, CIFAR-10: top-1, %", "its Δ top-1"),
)
ADDED = (
    *("model", "params, M", "params ×", "MACs ×", "top-1 error, %", "n", "Δ to", "Δ top-1"),
    *("train error, %", "Δ train"),
)


def blocks() -> dict[str, Callable[[], str]]:
    """What makes each block."""
    return {
        "ledger": ledger,
        "claims": claims,
        "effort": effort,
        "table3": table3,
        "table4": table4,
        "residual": residual,
        "photographs": photographs,
        "dropped": dropped,
        "resnet": resnet,
        "shortcuts": shortcuts,
        "tricks": tricks,
    }


def claims() -> str:
    """Every claim, each with its verdict on the sample and on the committed grid."""
    return _ledger(primary=False)


def ledger() -> str:
    """The primary claims alone, and how much of the grid is there."""
    states = [_state(scale) for scale in (SCALE, PHOTOGRAPHS)]
    return f"{_ledger(primary=True)}\n\nThere are {', and '.join(states)}."


def _state(scale: str) -> str:
    """How many of a scale's runs are there."""
    done = _grid(scale).found.done
    stated = {run.name for plan in plans_of(scale) for run in plan.runs()}
    return f"{len(done)} of the {len(stated)} runs of `{scale}`"


def _ledger(primary: bool) -> str:
    judged, (sample, seeds) = _grid(SCALE), _sample()
    photographs = {verdict.claim: verdict for verdict in _grid(PHOTOGRAPHS).verdicts}
    theirs = {verdict.claim: verdict for verdict in sample}
    lines = []
    for verdict, line in zip(judged.verdicts, overview_lines([judged]), strict=True):
        if verdict.family != "primary" and primary:
            continue
        doubling = verdict.evidence.unit == DOUBLING and verdict.evidence.paper is not None
        lines.append(
            {
                "claim": verdict.text,
                "paper, ImageNet": line["paper"] + (" a doubling of C" if doubling else ""),
                f"patches, up to {seeds} seeds, as given": short(theirs[verdict.claim]),
                "CIFAR-10, five seeds stated": short(verdict),
                "Imagenette, five seeds stated": _short(photographs.get(verdict.claim)),
                "seeds to find the paper's effect on CIFAR-10": _needed(judged, verdict),
            }
        )
    return to_markdown(columns_of(lines))


def _short(verdict: Verdict | None) -> str:
    return "not asked" if verdict is None else short(verdict)


def _needed(judged: Judged, verdict: Verdict) -> str:
    """How many seeds decide a claim that is undecided, at the grid's scale."""
    for needed in judged.ledger.needed:
        if needed.claim == verdict.claim:
            return str(needed.seeds) if needed.seeds is not None else REASONS[needed.why]
    if verdict.decision == "not run":
        return "not planned yet"
    return "decided so far" if verdict.state == "interim" else "decided"


def effort() -> str:
    """What the committed runs took: on what, and for how long."""
    lines = []
    for folder in sorted((workspace.workspace() / "results").glob("*/manifest.sha256")):
        records = list(Results(folder.parent).finished())
        sittings = [sitting for record in records for sitting in record.sittings]
        measured = sum(sitting.energy is not None for sitting in sittings)
        lines.append(
            {
                "scale": code(folder.parent.name),
                "runs": str(len(records)),
                "device": ", ".join(sorted({sitting.device for sitting in sittings})),
                "hours of CPU": number(sum(each.cpu_seconds or 0 for each in sittings) / 3600, 1),
                "hours by the clock, a run after the other": number(
                    sum(each.wall_seconds or 0 for each in sittings) / 3600, 1
                ),
                "energy": f"measured in {measured} sittings" if measured else "not measured",
            }
        )
    return to_markdown(columns_of(lines))


def table3() -> str:
    """Table 3 of the committed grid."""
    return _table(SCALE, "table3", SHOWN)


def table4() -> str:
    """Table 4 of the committed grid."""
    return _table(SCALE, "table4", TWICE)


def residual() -> str:
    """The residual table of the committed grid."""
    return _table(SCALE, "residual", DROPPED)


def photographs() -> str:
    """Table 3 of the committed runs on photographs of another kind."""
    return _table(PHOTOGRAPHS, "table3", SHOWN)


def dropped() -> str:
    """The nets on photographs with shortcuts and without."""
    return _table(PHOTOGRAPHS, "residual", DROPPED)


def resnet() -> str:
    """ResNet's sentences about CIFAR-10 with their verdicts, and the nets of its Table 6."""
    judged = _grid(RESNET)
    lines = [
        {"claim": verdict.text, "paper": line["paper"], "CIFAR-10": short(verdict)}
        for verdict, line in zip(judged.verdicts, overview_lines([judged]), strict=True)
    ]
    return f"{to_markdown(columns_of(lines))}\n\n{_table(RESNET, 'resnet-table6', RESNETS)}"


def tricks() -> str:
    """Whether 32x4d's lead survives later additions, and the nets with them."""
    judged = _grid(TRICKS)
    lines = [{"claim": v.text, "CIFAR-10": short(v)} for v in judged.verdicts]
    return f"{to_markdown(columns_of(lines))}\n\n{_table(TRICKS, 'tricks', ADDED)}"


def shortcuts() -> str:
    """The nets with shortcuts of type A, B and C."""
    return _table(RESNET, "resnet-shortcuts", RESNETS[: RESNETS.index("paper, CIFAR-10: top-1, %")])


def _table(scale: str, name: str, shown: Sequence[str]) -> str:
    """Some columns of a committed table: of the lines that its scale trains."""
    columns = render.columns_of(as_recorded(make_plan(name, scale, ANY), _results(scale)))
    trained = columns["n"] != "0"
    return to_markdown({heading: columns[heading][trained] for heading in shown})


def _grid(scale: str) -> Judged:
    return judge_protocol(scale, _results(scale))


def _results(scale: str) -> Results:
    return Results(workspace.workspace() / "results" / scale)


def _sample() -> tuple[tuple[Verdict, ...], int]:
    """The verdicts on the reference sample, all tables together, and how many seeds it has."""
    plans = [plan for plan in plans_of(SAMPLED) if reference.read(plan) is not None]
    found = {plan.ablation_name: reference.read(plan) for plan in plans}
    outcomes = {name: sample.outcomes for name, sample in found.items() if sample is not None}
    papers = {plan.ablation_name: paper_of(plan) for plan in plans}
    seeds = max(sample.seeds for sample in found.values() if sample is not None)
    return judge(read_claims(), outcomes, papers), seeds


def filled(text: str) -> str:
    """A page with its blocks as the records have them now.

    Raises:
        UserError: a mark names no block.
    """
    makers = blocks()

    def made(found: re.Match[str]) -> str:
        if found["name"] not in makers:
            allowed = ", ".join(makers)
            raise UserError(f"<!-- {found['name']} -->: no such block; allowed: {allowed}")
        return f"<!-- {found['name']} -->\n{makers[found['name']]()}\n<!-- end -->"

    return BLOCK.sub(made, text)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        page = Path(name)
        whole = filled(read_text(page, LARGEST))
        with written_aside(page) as part:
            part.write_text(whole, encoding="utf-8")
        print(f"wrote {page}")
