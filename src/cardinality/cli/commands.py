"""The command line. Statuses: 0 done, 1 some run failed, 2 the user's mistake, in one line."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cardinality.architecture.settings import Stem
from cardinality.cli.options import (
    AblationArgument,
    BatchOption,
    ComputeOn,
    DataOption,
    DepthOption,
    DeviceOption,
    OnlyOption,
    ProtocolOption,
    ResultsOption,
    SeedOption,
    SeedsOption,
    parse_duration,
)
from cardinality.common.errors import UserError

# Only what every command needs is imported here, so that each one starts at once.
if TYPE_CHECKING:
    from cardinality.experiment.plan import Plan
    from cardinality.host.machine import Machine
    from cardinality.results.records import Results

app = typer.Typer(
    name="cardinality",
    help="The cardinality ablations of ResNeXt (CVPR 2017), rebuilt at every scale.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _open(
    ablation: str,
    protocol: str,
    seeds: int | None,
    device: DeviceOption,
    results: Path | None,
    data: Path | None = None,
    batch: int | None = None,
) -> "tuple[Plan, Results, Machine]":
    from cardinality.experiment.plan import ROOT, make_plan
    from cardinality.host.machine import detect
    from cardinality.results.records import Results

    if data is not None:  # workers inherit it
        os.environ["CARDINALITY_DATA"] = str(data.absolute())
    machine = detect(device)
    plan = make_plan(ablation, protocol, machine, seeds, batch)
    folder = (results or ROOT / "results") / plan.protocol_name
    return plan, Results(folder), machine


@app.command("plan")
def plan_command(
    ablation: AblationArgument,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    device: ComputeOn = "auto",
    results: ResultsOption = None,
    batch: BatchOption = None,
    only: OnlyOption = None,
    depth: DepthOption = None,
    seed: SeedOption = None,
) -> None:
    """Show every run with its cost and state, and how long the missing ones would take."""
    from tabulate import tabulate

    from cardinality.architecture.complexity import block_parameters, deviation
    from cardinality.execution.driver import missing
    from cardinality.execution.executors import side_by_side
    from cardinality.results.estimate import estimate

    plan, found, machine = _open(ablation, protocol, seeds, device, results, None, batch)
    chosen = plan.select(only, depth, seed)
    names = {run.name for run in chosen}
    lines: list[tuple[object, ...]] = []
    for entry in plan.entries:
        row, net = entry.row, entry.architecture
        budget = row.budget * block_parameters(plan.ablation.reference)
        off = "deeper" if row.deeper else f"{deviation(row.setting, budget):+.2%}"
        name = f"{row.setting}{'' if row.residual else ' no shortcuts'}"
        cost = entry.complexity
        common = (name, net.depth, f"{cost.params / 1e6:.2f}", f"{cost.macs / 1e6:.1f}", off)
        for run in entry.runs:
            if run.name in names:
                lines.append((*common, run.seed, found.status(run.name), run.name))
        if not entry.runs:
            lines.append((*common, "", "arithmetic alone", ""))
    headings = ("setting", "depth", "params, M", "MACs, M", "Eq. (4)", "seed", "state", "run")
    print(tabulate(lines, headings, disable_numparse=True, colalign=("left", *["right"] * 5)))
    if plan.remark is not None:
        print(f"\nNote: {plan.remark}.")
    if plan.ablation.trains:
        absent = missing(chosen, found)
        jobs = side_by_side(machine, plan.protocol.numerics.threads)
        time = estimate(absent, found.finished(), machine, jobs, plan.protocol.speed)
        print(f"\n{len(chosen) - len(absent)} of {len(chosen)} runs are there.", end=" ")
        print(f"The missing ones: {time}." if absent else "Nothing is missing.")


@app.command("run")
def run_command(
    ablation: AblationArgument,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    device: ComputeOn = "auto",
    results: ResultsOption = None,
    data: DataOption = None,
    batch: BatchOption = None,
    only: OnlyOption = None,
    depth: DepthOption = None,
    seed: SeedOption = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try failed runs again.")
    ] = False,
    stop_after: Annotated[
        str | None, typer.Option("--stop-after", metavar="TIME", help="Stop after, e.g., 9m.")
    ] = None,
    show_committed: Annotated[
        bool,
        typer.Option(
            "--show-committed",
            help="Where a protocol's results come with the repository, show them and run nothing.",
        ),
    ] = False,
) -> None:
    """Compute the runs that are missing, then render the table."""
    from cardinality.execution.driver import compute_all, missing
    from cardinality.execution.executors import side_by_side
    from cardinality.host.provenance import provenance
    from cardinality.results.estimate import estimate

    limit = None if stop_after is None else parse_duration(stop_after)
    plan, found, machine = _open(ablation, protocol, seeds, device, results, data, batch)
    chosen = plan.select(only, depth, seed)
    absent = missing(chosen, found, retry_failed)
    if show_committed and results is None and _committed(plan, found):
        _render(plan, found)
        return
    if plan.remark is not None:
        print(f"Note: {plan.remark}.")
    failed: list[tuple[str, str]] = []
    stopped = ""
    if absent:
        jobs = min(len(absent), side_by_side(machine, plan.protocol.numerics.threads))
        time = estimate(absent, found.finished(), machine, jobs, plan.protocol.speed)
        print(f"{len(absent)} of {len(chosen)} runs to compute: {time}.", flush=True)
        from cardinality.execution.display import Display

        display = Display(absent, time.seconds)
        summary = compute_all(absent, found, jobs, provenance(machine), display, limit)
        failed, stopped = summary.failed, summary.stopped
    elif chosen:
        print(f"All {len(chosen)} runs are there.")
    _render(plan, found)
    known = [run.name for run in chosen if found.status(run.name) == "failed"]
    if stopped:
        print(f"{stopped}; the same command goes on where this one stopped.", file=sys.stderr)
    if known:
        _list_failures(known, dict(failed), found)
        raise typer.Exit(1)


def _list_failures(names: list[str], fresh: dict[str, str], found: "Results") -> None:
    for name in names:
        record = found.read(name)
        reason = fresh.get(name) or (record.failure if record is not None else "")
        print(f"failed: {name}: {reason}", file=sys.stderr)
    print("try them again with --retry-failed", file=sys.stderr)


def _committed(plan: "Plan", found: "Results") -> bool:
    """Whether the repository brings runs of this table; if so, say where they were made."""
    from cardinality.report.render import as_recorded

    recorded, _ = as_recorded(plan, found)
    records = [found.read(run.name) for run in recorded.runs()]
    machines = sorted({record.provenance.machine for record in records if record is not None})
    if not plan.protocol.committed or not machines:
        return False
    print(
        f"These runs come with the repository; they were made on {', '.join(machines)}. To compute"
        f" them here: make {plan.ablation_name} PROTOCOL={plan.protocol_name} RESULTS=my-results\n"
    )
    return True


@app.command()
def render(
    ablation: AblationArgument,
    protocol: ProtocolOption = "quick",
    seeds: SeedsOption = None,
    results: ResultsOption = None,
    batch: BatchOption = None,
) -> None:
    """Write a table's Markdown, CSV and plots from the records on disk, partial or not."""
    plan, found, _ = _open(ablation, protocol, seeds, "auto", results, None, batch)
    _render(plan, found)


def _render(plan: "Plan", found: "Results") -> None:
    from cardinality.report.render import render as write

    page, files = write(plan, found)
    print(page)
    here = Path.cwd()
    for file in files:
        shown = file.resolve()
        print(f"wrote {shown.relative_to(here) if shown.is_relative_to(here) else shown}")


@app.command()
def doctor(
    protocol: ProtocolOption = "quick",
    device: ComputeOn = "auto",
    results: ResultsOption = None,
    data: DataOption = None,
) -> None:
    """Check this machine before hours are spent on it: a line a check, status 1 if one fails."""
    from cardinality.cli.doctor import examine
    from cardinality.experiment.plan import ROOT

    names = sorted(path.stem for path in (ROOT / "ablations").glob("*.yaml"))
    opened = [_open(name, protocol, None, device, results, data) for name in names]
    plans = [plan for plan, _, _ in opened if plan.ablation.trains]
    _, found, machine = opened[0]
    passed = True
    for finding in examine(plans, machine, found.folder):
        passed &= finding.passed
        state = "pass" if finding.passed else "FAIL"
        print(f"{state}  {finding.check:20}  {finding.detail}", flush=True)
    if not passed:
        raise typer.Exit(1)


@app.command("evaluate")
def evaluate_command(
    weights: Annotated[Path, typer.Option("--weights", help=".safetensors, or saved by torch.")],
    data: Annotated[Path, typer.Option("--data", help="A folder with a folder a class.")],
    setting: Annotated[str, typer.Option("--setting", help="Such as 32x4d.")],
    depth: Annotated[int, typer.Option("--depth")],
    stem: Annotated[Stem, typer.Option("--stem")] = "imagenet",
    resize: Annotated[
        int, typer.Option("--resize", min=1, help="Length of the shorter side.")
    ] = 256,
    crop: Annotated[int, typer.Option("--crop", min=1, help="Side of the crop.")] = 224,
    views: Annotated[
        Literal["center", "ten"], typer.Option("--views", help="One crop, or ten averaged.")
    ] = "center",
    interpolation: Annotated[
        Literal["bilinear", "bicubic"],
        typer.Option("--interpolation", help="Torchvision's weights: bilinear; ours: bicubic."),
    ] = "bilinear",
    device: ComputeOn = "auto",
    results: ResultsOption = None,
) -> None:
    """Measure the error of given weights on a folder of images, with its interval."""
    import torch

    from cardinality.architecture.settings import Setting
    from cardinality.evaluation import evaluate as evaluation
    from cardinality.execution.display import tracked
    from cardinality.experiment.plan import ROOT
    from cardinality.host.machine import check_usable, detect
    from cardinality.host.provenance import provenance
    from cardinality.training.weights import load_weights, net_with

    if crop > resize:
        raise UserError(f"--crop {crop}: at most --resize, {resize}")
    machine = detect(device)
    check_usable(machine.device)
    state, metadata = load_weights(weights)
    net = net_with(state, weights, Setting.parse(setting), depth, stem).eval()
    samples = evaluation.find_samples(data, net.architecture.classes)
    crops = evaluation.Crops(resize, crop, views, interpolation)
    where = torch.device(machine.device)
    count = -(-len(samples) // evaluation.BATCH)
    batches = evaluation.stream(
        samples, crops, evaluation.statistics_of(metadata), min(machine.cores, count - 1)
    )
    precision = evaluation.precision_of(metadata)
    seen = tracked(batches, count, "evaluating")
    wrong = evaluation.count_errors(net.to(where), seen, where, precision)
    found = evaluation.evaluation(
        weights, net, wrong, samples, data, crops, precision, provenance(machine)
    )
    table = evaluation.write(found, (results or ROOT / "results") / "evaluations")
    print(table.read_text())
    print(f"wrote {table}")


@app.command("solve")
def solve_command(
    cardinality: Annotated[int, typer.Option("--cardinality", min=1, help="C.")],
    budget: Annotated[
        str, typer.Option("--budget", metavar="SETTING", help="Whose block is to be matched.")
    ] = "1x64d",
    times: Annotated[float, typer.Option("--times", help="Multiple of that block.")] = 1.0,
    base: Annotated[
        int, typer.Option("--base", min=1, help="Stem channels, which d must suit.")
    ] = 64,
) -> None:
    """Find the width d (Eq. 4) that gives C paths the complexity of another setting."""
    from cardinality.architecture.complexity import block_parameters, solve
    from cardinality.architecture.settings import Setting

    solution = solve(cardinality, Setting.parse(budget), times, base)
    print(
        f"{solution.setting}: {block_parameters(solution.setting):,} parameters a block,"
        f" {solution.deviation:+.2%} of {solution.budget:,}"
        f" (exact d {solution.exact_width:.2f}; group convolution"
        f" {solution.setting.conv_width()} wide)"
    )


@app.command()
def inspect(
    setting: Annotated[str, typer.Argument(metavar="SETTING", help="Such as 32x4d.")],
    depth: Annotated[int, typer.Option("--depth", help="50, 101, 152, 200; or 9n + 2.")],
    stem: Annotated[Stem, typer.Option("--stem")] = "imagenet",
    base: Annotated[int, typer.Option("--base", help="Channels of the stem.")] = 64,
    classes: Annotated[int, typer.Option("--classes")] = 1000,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="By default 224, or 32 with CIFAR stems.")
    ] = None,
    no_residual: Annotated[
        bool, typer.Option("--no-residual", help="Without any shortcut.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Count a net's parameters, MACs and activations, stage by stage; nothing is built."""
    import json
    from dataclasses import asdict

    from tabulate import tabulate

    from cardinality.architecture.complexity import by_stage, complexity
    from cardinality.architecture.settings import Architecture, Setting

    parsed = Setting.parse(setting)
    net = Architecture(parsed, depth, stem, classes, base, not no_residual)
    side = net.image_size if image_size is None else image_size
    stages, total = by_stage(net, side), complexity(net, side)
    widths = dict(zip(list(stages)[1:], net.conv_widths, strict=False))
    if as_json:
        description = {
            "setting": setting, "depth": depth, "stem": stem, "base": base, "classes": classes,
            "residual": net.residual, "image_size": side, **asdict(total),
            "stages": [
                {"name": name, "group_conv_width": widths.get(name), **asdict(count)}
                for name, count in stages.items()
            ],
        }  # fmt: skip
        print(json.dumps(description))
        return
    counts = [*stages.items(), ("total", total)]
    lines = [
        (name, widths.get(name, ""), f"{c.params:,}", f"{c.macs:,}", f"{c.activations:,}")
        for name, c in counts
    ]
    print(f"{setting}, depth {depth}, {stem} stem of {base}, {classes} classes, {side} x {side}\n")
    headings = ("stage", "group conv width", "parameters", "MACs", "activations")
    print(tabulate(lines, headings, disable_numparse=True, colalign=("left", *["right"] * 4)))


def main() -> None:
    """Run a command; a mistake of the user's is one line and status 2."""
    command = typer.main.get_command(app)
    try:
        arguments = sys.argv[1:] or ["--help"]
        status = command.main(arguments, prog_name="cardinality", standalone_mode=False)
    except UserError as error:
        status = _mistake(str(error))
    except Exception as error:
        # What the command line's own parser raises, told apart by what it can say.
        message = getattr(error, "format_message", None)
        if message is None or os.environ.get("CARDINALITY_DEBUG"):
            raise
        status = _mistake(message())
    sys.exit(status if isinstance(status, int) else 0)


def _mistake(message: str) -> int:
    if os.environ.get("CARDINALITY_DEBUG"):
        raise
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return 2
