"""Tables as Markdown, with all that a reader needs to trust or doubt them."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence

import pandas as pd

from cardinality.common import text
from cardinality.common.text import Markdown, plural
from cardinality.experiment.plan import Plan
from cardinality.experiment.run import Numerics
from cardinality.host.machine import DEVICE_NAMES
from cardinality.report.published import Published
from cardinality.report.recorded import Recorded
from cardinality.report.tables import ITSELF
from cardinality.report.wording import DASH, counted, instead, millions, number, signed
from cardinality.results.records import Record

LEFT = (
    *(
        "setting",
        "model",
        "shortcuts",
        "kind",
        "Δ to",
        "weights",
        "data",
        "protocol",
        "net",
        "command",
    ),
    *("claim", "verdict", "difference", "decision", "comparison", "whose", "from"),
)


def ratio(value: float) -> str:
    """A count relative to the reference's."""
    return number(value, 2)


def compared(line: pd.Series, name: str, digits: int = 1, pairs: str = "pairs") -> str:
    """A difference over pairs of seeds: mean ± half its 95 % interval (pairs).

    With one pair there is no interval.
    """
    if line.reference == ITSELF and pairs == "pairs":
        return "reference"
    if math.isnan(line[name]):
        return DASH
    half = (line[f"{name}_high"] - line[f"{name}_low"]) / 2
    interval = "" if math.isnan(half) else f" ± {number(half, digits)}"
    return f"{signed(line[name], digits)}{interval} ({line[pairs]})"


def measured(line: pd.Series, figure: str, digits: int) -> str:
    """Mean and deviation of a line's runs, or what stands in their place."""
    if line.n == 0:
        return instead(line.runs, line.failed, line.diverged)
    deviation = line[f"{figure}_deviation"]
    spread = "" if math.isnan(deviation) else f" ± {number(deviation, digits)}"
    return number(line[figure], digits) + spread


def _counted(line: pd.Series) -> str:
    return counted(line.n, line.runs, line.failed, line.diverged)


def to_markdown(columns: dict[str, pd.Series]) -> str:
    """A Markdown table of texts, of which only `Markdown` has marks; numbers are flush right."""
    sides = ["left" if heading in LEFT else "right" for heading in columns]
    cells = {text.markdown(heading): [*map(text.markdown, of)] for heading, of in columns.items()}
    frame = pd.DataFrame(cells, dtype=object)
    return frame.to_markdown(index=False, disable_numparse=True, colalign=sides)


def columns_of(lines: Sequence[Mapping[str, str]]) -> dict[str, pd.Series]:
    """Columns by heading, from lines that all have the same ones; none from no lines."""
    headings = lines[0] if lines else ()
    # As objects: pandas' own texts forget which of them are Markdown.
    return {
        heading: pd.Series([line[heading] for line in lines], dtype=object) for heading in headings
    }


def trained(plan: Plan, table: pd.DataFrame, paper: Published | None) -> dict[str, pd.Series]:
    """The columns of an ablation that trains, as texts; `trained_notes` say what they are.

    Errors have as many digits after the point as the paper's.

    Args:
        plan: whether its rows say what they are compared with.
        table: its lines.
        paper: the published figures.
    """
    columns: dict[str, pd.Series] = {}
    if table.depth.nunique() > 1:
        columns["depth"] = table.depth.astype(str)
    columns["setting"] = table.setting
    if table.model.any():
        columns["model"] = table.model
    bare = not table.shortcuts.all()
    if bare:
        columns["shortcuts"] = table.shortcuts.map({True: "yes", False: "no"})
    if "variant" in table and table.variant.nunique() > 1:
        columns["kind"] = table.variant.replace("", DASH)
    if table.budget.nunique() > 1:
        columns["complexity"] = table.budget.map("{}×".format)
    columns |= _costs(table)
    digits = 1 if paper is None else paper.digits
    top5 = paper is not None and bool(table.paper_top5_error.notna().any())
    columns |= _measured(table, digits, bare, top5, plan.names_references)
    if paper is not None:
        columns |= _published(table, f"paper, {paper.data}", digits, bare, top5)
    return columns


def _measured(
    table: pd.DataFrame, digits: int, bare: bool, top5: bool, named: bool
) -> dict[str, pd.Series]:
    def error(figure: str) -> pd.Series:
        return table.apply(measured, axis=1, figure=figure, digits=digits)

    def delta(name: str, pairs: str = "pairs") -> pd.Series:
        return table.apply(compared, axis=1, name=name, digits=digits, pairs=pairs)

    columns = {"top-1 error, %": error("top1_error"), "n": table.apply(_counted, axis=1)}
    if named:
        columns["Δ to"] = table.reference.where(table.reference != ITSELF, DASH)
    columns["Δ top-1"] = delta("top1_error_difference")
    if bare:
        name = "top1_error_without_shortcuts"
        columns["Δ without shortcuts"] = delta(name, "without_shortcuts_pairs")
    if top5:
        columns["top-5 error, %"] = error("top5_error")
        columns["Δ top-5"] = delta("top5_error_difference")
    columns["train error, %"] = error("train_error")
    columns["Δ train"] = delta("train_error_difference")
    return columns


def _costs(table: pd.DataFrame) -> dict[str, pd.Series]:
    return {
        "params, M": table.params.map(millions),
        "params ×": table.params_relative.map(ratio),
        "MACs, M": table.macs.map(millions),
        "MACs ×": table.macs_relative.map(ratio),
    }


def _published(
    table: pd.DataFrame, whose: str, digits: int, bare: bool, top5: bool
) -> dict[str, pd.Series]:
    columns = {}
    if table.depth.nunique() > 1:
        columns[f"{whose}: depth"] = table.paper_depth.map(number, digits=0)
    columns[f"{whose}: top-1, %"] = table.paper_top1_error.map(number, digits=digits)
    columns["its Δ top-1"] = table.paper_top1_error_difference.map(signed, digits=digits)
    if bare:
        without = table.paper_top1_error_without_shortcuts
        columns["its Δ without shortcuts"] = without.map(signed, digits=digits)
    if top5:
        columns[f"{whose}: top-5, %"] = table.paper_top5_error.map(number, digits=digits)
        columns["its Δ top-5"] = table.paper_top5_error_difference.map(signed, digits=digits)
    return columns


def arithmetic(table: pd.DataFrame) -> dict[str, pd.Series]:
    """The columns of an ablation that is arithmetic alone, as texts."""
    columns = {
        "setting": table.setting,
        "cardinality C": table.cardinality.astype(str),
        "width d": table.width.astype(str),
        "exact d": table.exact_width.map(lambda width: number(width, 2)),
        "width of group conv": table.group_conv_width.astype(str),
        "Eq. (4) parameters": table.block_parameters.map("{:,}".format),
        "deviation": table.deviation.map(lambda part: f"{difference_percent(part)} %"),
        **_costs(table),
    }
    if "paper_width" in table:
        columns["paper: d"] = table.paper_width.map(lambda width: number(width, 0))
        wide = table.paper_group_conv_width
        columns["paper: width of group conv"] = wide.map(lambda width: number(width, 0))
    return columns


def difference_percent(part: float) -> str:
    """A fraction in percent with its sign and two digits."""
    return signed(100 * part, 2)


def document(plan: Plan, body: str, notes: list[str], closing: str = "") -> str:
    """A whole page: heading, question, table, notes, and what the table decides.

    Of notes and closing only `Markdown` has marks; the body is Markdown.
    """
    lines = "".join(f"- {text.markdown(note)}\n" for note in notes)
    end = f"\n{text.markdown(closing)}\n" if closing else ""
    title, question = text.markdown(plan.ablation.title), text.markdown(plan.ablation.question)
    return f"# {title}\n\n{question}\n\n{body}\n\n{lines}{end}"


def arithmetic_notes(plan: Plan) -> list[str]:
    """What the columns of an arithmetic table are."""
    net, side = plan.entries[0].architecture, plan.protocol.data.side
    return [
        "Eq. (4) parameters are the weights of one block on 256 channels; the deviation is from"
        f" those of {plan.ablation.reference}, and exact d would leave none.",
        Markdown(
            "Params and MACs are those of the whole net at the scale of"
            f" {text.code(plan.protocol_name)} (depth {net.depth}, base {net.base}, {side} x {side}"
            " pixels), relative to the reference row's."
        ),
        *plan.ablation.notes,
    ]


def trained_notes(found: Recorded, paper: Published | None) -> list[str]:
    """Whether the table is whole, what its columns are, and where its figures come from."""
    plan, done = found.plan, found.done
    evidence = plan.protocol.evidence or "Of what results here are evidence is not stated."
    notes = [_state(found), f"{plan.protocol.title}. {evidence}"]
    notes.append(
        "Errors are of the last epoch, mean ± standard deviation over n seeds; lower is better."
        f" Δ is to {whose_reference(plan)}."
        " Train error is the running average over the last epoch, under augmentation. Params and"
        " MACs are of the whole net, × relative to the same row."
    )
    differences = _what_differences_are(plan)
    if paper is not None:
        differences += " The paper states no spread, so its Δ has no interval."
    notes.append(differences)
    if paper is not None:
        notes.append(
            f"The paper's figures are from its {paper.source}, of {paper.data}"
            + _whether_comparable(plan, paper)
        )
    if plan.remark is not None:
        notes.append(f"Note: {plan.remark}.")
    if done:
        notes += _made(plan, done)
    if found.others:
        notes.append(
            "Left out, because their numerics or their images are others:"
            f" {plural(found.others, 'run')} of these nets."
        )
    if found.unsound:
        notes.append(
            Markdown(
                "**Left out, because they do not hold together:"
                f" {plural(len(found.unsound), 'run')} (`cardinality verify` says why).**"
            )
        )
    return [*notes, *plan.ablation.notes]


def whose_reference(plan: Plan) -> str:
    """What Δ is to, in words."""
    if plan.names_references:
        return "the row that is named before it"
    return (
        f"the {plan.ablation.reference} row of the same depth and shortcuts (of the shallower net"
        " for a deeper one)"
    )


def _what_differences_are(plan: Plan) -> str:
    """How Δ was computed, and of which seeds."""
    without = ""
    if any(not entry.row.residual for entry in plan.entries):
        without = " Δ without shortcuts is to the same net that has them."
    beyond = ""
    if any(len(entry.runs) > plan.protocol.count(entry.role) for entry in plan.entries):
        beyond = " Seeds beyond those that the protocol states are in it; verdicts leave them out."
    return (
        "Our Δ is paired by seed: mean ± half of its 95 % t interval (pairs), in points, over the"
        " seeds that both rows have. One pair has no interval, and each interval stands by itself."
        f"{without}{beyond}"
    )


def _whether_comparable(plan: Plan, paper: Published) -> str:
    if plan.protocol.data.title != paper.data:
        return ": another data set and other nets, so compare differences, not errors."
    return ", as here; whether nets and recipe are the paper's too, the protocol says."


def _state(found: Recorded) -> str:
    """Whether the runs of a table are there; one that diverged has ended, and is no failure."""
    plan, counts = found.plan, found.counts
    lost = counts.diverged
    told = f" Of {plural(lost, 'run')} the loss diverged: in no mean." if lost else ""
    if not counts.asked:
        return "Nothing is trained: this scale states no seeds for these depths."
    if counts.whole:
        usual = max(plan.protocol.count(entry.role) for entry in plan.entries)
        fewer = f"; the protocol asks for {usual}" if plan.seeds < usual else ""
        a_row = sorted({len(entry.runs) for entry in plan.entries})
        seeds = f"{a_row[0]} to {a_row[-1]}" if len(a_row) > 1 else str(plan.seeds)
        first = min(run.seed for run in plan.runs())
        beyond = ", none of which the protocol states" if first >= usual else ""
        which = f", from {first} on{beyond}" if first else ""
        whole = (
            f"Complete: {plural(counts.asked, 'run')}, {seeds} seed{'s'[: plan.seeds > 1]} a row"
        )
        whole += f"{which}{fewer}."
        return whole + told
    there = f"**Partial: {counts.there} of {counts.asked} runs are there, {counts.lacking}.**"
    return Markdown(there + told)


def _made(plan: Plan, done: Mapping[str, Record]) -> list[str]:
    """Machines, numerics, code and data of the runs in a table."""
    records = [done[run.name] for run in plan.runs() if run.name in done]
    numerics = plan.runs()[0].numerics
    sittings = [sitting for record in records for sitting in record.sittings]
    machines = Counter(
        place
        for record in records
        for place in {f"{s.device} ({plural(s.cores, 'CPU core')})" for s in record.sittings}
    )
    where = "; ".join(
        f"{machine}: {plural(count, 'run')}" for machine, count in sorted(machines.items())
    )
    torches = sorted({sitting.versions.get("torch", "?") for sitting in sittings})
    commits = sorted({(sitting.commit or "unknown")[:10] for sitting in sittings})
    unclean = sum(any(s.clean is not True for s in record.sittings) for record in records)
    sums = sorted({record.data_checksum for record in records})
    return [
        f"Made on {where}; {describe(numerics)}; torch {', '.join(torches)}; data"
        f" {', '.join(sums)}; code {', '.join(commits)}"
        + (f", of which {plural(unclean, 'run')} from a tree with changes" if unclean else "")
        + "."
    ]


def describe(numerics: Numerics) -> str:
    """Numerics in words."""
    threads = f"{numerics.threads} thread{'s' if numerics.threads > 1 else ''} a run"
    fused = ", batch norm fused" if numerics.fused else ""
    return f"{DEVICE_NAMES[numerics.device]}, {numerics.precision}, {threads}{fused}"
