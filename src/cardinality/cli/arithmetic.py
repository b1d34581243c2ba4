"""The commands that train nothing: solve, inspect."""

from typing import Annotated

import typer

from cardinality.architecture.settings import Stem


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


def inspect_command(
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
