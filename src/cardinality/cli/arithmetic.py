"""The commands that train nothing: solve, inspect."""

from typing import Annotated, cast

import typer

from cardinality.architecture.settings import Block, Shortcut, Stem


def solve_command(
    cardinality: Annotated[int, typer.Option("--cardinality", min=1, max=10**6, help="C.")],
    budget: Annotated[
        str, typer.Option("--budget", metavar="SETTING", help="Whose block is to be matched.")
    ] = "1x64d",
    times: Annotated[float, typer.Option("--times", help="Multiple of that block.")] = 1.0,
    base: Annotated[
        int, typer.Option("--base", min=1, max=10**6, help="Stem channels, which d must suit.")
    ] = 64,
) -> None:
    """Find the width d that gives C paths the complexity of another setting, by Eq. (4)."""
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
    setting: Annotated[
        str,
        typer.Argument(metavar="SETTING|NAME", help="Such as 32x4d, or torchvision's or timm's."),
    ],
    depth: Annotated[
        int | None,
        typer.Option("--depth", help="26, 50, 101, 152, 200; or 9n + 2; a name has its own."),
    ] = None,
    stem: Annotated[Stem | None, typer.Option("--stem", help="By default imagenet.")] = None,
    base: Annotated[int | None, typer.Option("--base", help="Of the stem; by default 64.")] = None,
    classes: Annotated[int | None, typer.Option("--classes", help="By default 1000.")] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", help="By default 224, or 32 with CIFAR stems.")
    ] = None,
    no_residual: Annotated[
        bool, typer.Option("--no-residual", help="Without any shortcut.")
    ] = False,
    block: Annotated[Block | None, typer.Option("--block", help="By default the original.")] = None,
    shortcut: Annotated[
        Shortcut | None, typer.Option("--shortcut", help="Of He et al. (2016); by default B.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Count a net's parameters, MACs and activations, stage by stage; nothing is built."""
    import json
    from dataclasses import asdict

    from tabulate import tabulate

    from cardinality.architecture.complexity import by_stage, complexity
    from cardinality.architecture.names import AllOptions, describe

    stated = {
        "stem": stem, "base": base, "classes": classes, "block": block, "shortcut": shortcut,
        "residual": False if no_residual else None,
    }  # fmt: skip
    options = cast(AllOptions, {key: value for key, value in stated.items() if value is not None})
    net = describe(setting, depth, **options)
    side = net.image_size if image_size is None else image_size
    stages, total = by_stage(net, side), complexity(net, side)
    widths = dict(zip(list(stages)[1:], net.conv_widths, strict=False))
    if as_json:
        description = {
            **asdict(net), "setting": str(net.setting), "image_size": side, **asdict(total),
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
    kind = f", {net.variant}" if net.variant else ""
    print(
        f"{net.setting}, depth {net.depth}{kind}, {net.stem} stem of {net.base},"
        f" {net.classes} classes, {side} x {side}\n"
    )
    headings = ("stage", "group conv width", "parameters", "MACs", "activations")
    print(tabulate(lines, headings, disable_numparse=True, colalign=("left", *["right"] * 4)))
