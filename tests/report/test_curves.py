"""Fig. 5: training and test error by epoch, for the pairs that the paper draws."""

from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest
from matplotlib.figure import Figure

from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine
from cardinality.report import curves, plots
from cardinality.report.canvas import STYLE, titled
from cardinality.report.render import render
from cardinality.results.folder import Results


def plan(ablation: str, protocol: str) -> Plan:
    return make_plan(ablation, protocol, Machine("cpu", "a CPU", 2, False))


def made(table: Plan) -> dict[str, list[dict[str, float]]]:
    """Two epochs of every run; the error is the seed's and falls by 10."""
    return {
        run.name: [
            {"epoch": epoch, "train_error": 50.0 + run.seed, "top1_error": 60.0 - 10 * epoch}
            for epoch in (1, 2)
        ]
        for entry in table.entries
        for run in entry.runs
    }


def test_of_a_sweep_the_ends_are_drawn_at_each_depth() -> None:
    """ResNet-50 against ResNeXt-50 32x4d, and the same at 101 layers, as in the paper."""
    table = plan("table3", "imagenet")
    found = curves.data(table, made(table))
    assert list(found.groupby(["depth", "line"], sort=False).groups) == [
        (50, "1x64d"), (50, "32x4d"), (101, "1x64d"), (101, "32x4d"),
    ]  # fmt: skip
    assert list(found.top1_error) == [50.0, 40.0] * 4
    figure = Figure()
    curves.draw(table, made(table), figure)
    left, right = figure.axes
    assert [axes.get_title() for axes in (left, right)] == ["depth 50", "depth 101"]
    # Training error broken, test error whole.
    assert [line.get_linestyle() for line in left.lines] == ["--", "-"] * 2


def test_curves_are_means_over_seeds() -> None:
    table = plan("table3", "cifar10-small")
    found = curves.data(table, made(table))
    assert set(found.n) == {5}
    assert list(found.train_error) == pytest.approx([52.0] * len(found))


def test_a_net_at_two_roles_of_one_depth_has_the_seeds_of_either() -> None:
    table = plan("table3", "cifar10-small")
    base, deep = table.at("base").entries, table.at("deep").entries
    fewer = [replace(entry, role="deep", runs=entry.runs[:2]) for entry in base]
    for entries in ((*fewer, *base), (*base, *fewer), (*base, *deep)):
        found = curves.data(replace(table, entries=entries), made(table))
        assert set(found[found.depth == 11].n) == {5}


def test_every_line_is_drawn_however_many_there_are() -> None:
    """Ten rows at one depth are more than there are colours: a panel for each setting."""
    table = plan("tricks", "cifar10-tricks")
    found = curves.data(table, made(table))
    lines = found.groupby("panel").line.nunique().to_dict()
    assert lines == {"depth 11, 1x64d": 5, "depth 11, 32x4d": 5}
    assert set(found.line) == {row.label for row in table.ablation.rows}


def test_where_depths_are_compared_plain_nets_stand_beside_residual_ones() -> None:
    table = plan("resnet-table6", "resnet-cifar10-small")
    found = curves.data(table, made(table))
    lines = {panel: list(part.line.unique()) for panel, part in found.groupby("panel")}
    assert lines == {
        "without shortcuts": ["plain-20", "plain-56"],
        "with shortcuts": ["ResNet-20", "ResNet-56"],
    }
    shortcuts = plan("resnet-shortcuts", "resnet-cifar10-small")
    assert [panel.title for panel in curves.panels_of(shortcuts)] == ["depth 56"]


def drawn(table: Plan) -> list[tuple[str, list[str]]]:
    """Panels with the names of their lines; each has as many points as there are epochs."""
    figure = Figure()
    curves.draw(table, made(table), figure)
    assert {len(line.get_xdata()) for axes in figure.axes for line in axes.lines} == {2}  # type: ignore[arg-type]
    return [
        (axes.get_title(), [str(line.get_label()).partition(" (n")[0] for line in axes.lines[1::2]])
        for axes in figure.axes
    ]


def written(folder: Path, rows: str, depths: str = "") -> Plan:
    path = folder / "own.yaml"
    path.write_text(f"title: T\nquestion: Q?\nreference: 1x64d\n{depths}rows:\n{rows}")
    return plan(str(path), "cifar10-small")


def test_more_rows_of_one_setting_than_colours_are_in_panels_that_are_told_apart(
    tmp_path: Path,
) -> None:
    options = ("deep_stem", "pooled_projection", "squeeze")
    text = "".join(
        f"  - {{setting: 1x64d, label: row{number}"
        + "".join(f", {option}: true" for bit, option in enumerate(options) if number >> bit & 1)
        + "}\n"
        for number in range(8)
    )
    assert drawn(written(tmp_path, text, "depths: [base]\n")) == [
        ("depth 11, 1x64d (1 of 2)", [f"row{number}" for number in range(6)]),
        ("depth 11, 1x64d (2 of 2)", ["row6", "row7"]),
    ]


def test_rows_without_labels_that_state_their_layers_are_a_line_each(tmp_path: Path) -> None:
    rows = "".join(f"  - {{setting: 1x64d, layers: {layers}}}\n" for layers in (11, 20))
    assert drawn(written(tmp_path, rows)) == [
        ("with shortcuts", ["1x64d, 11 layers", "1x64d, 20 layers"])
    ]


def test_a_long_title_is_broken_where_the_figure_ends() -> None:
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8, 4))
        titled(figure, "long words " * 20)
        figure.draw_without_rendering()
    assert figure._suptitle is not None  # type: ignore[attr-defined]
    box = figure._suptitle.get_window_extent()  # type: ignore[attr-defined]
    assert 0 < box.x0 < box.x1 < figure.bbox.width


@pytest.mark.parametrize("there", [0, 1])
def test_a_depth_without_runs_does_not_take_the_others_scale_away(there: int) -> None:
    table = plan("table3", "cifar10-small")
    depth = (11, 20)[there]
    only = {entry.runs[0].name for entry in table.entries if entry.architecture.depth == depth}
    figure = Figure()
    curves.draw(table, {k: v for k, v in made(table).items() if k in only}, figure)
    figure.draw_without_rendering()
    labels = [any(tick.get_text() for tick in axes.get_yticklabels()) for axes in figure.axes]
    shown = [axes.yaxis.get_tick_params()["labelleft"] for axes in figure.axes]
    assert labels[there]
    assert shown == [there == 0, there == 1]


def test_a_table_that_compares_nothing_has_no_plot_of_differences(tmp_path: Path) -> None:
    (tmp_path / "two.yaml").write_text(
        "title: Two depths\nquestion: Each by itself?\nreference: 1x64d\nrows:\n"
        "  - {setting: 1x64d, depth: base}\n  - {setting: 1x64d, depth: deep}\n"
    )
    _, files = render(plan(str(tmp_path / "two.yaml"), "cifar10"), Results(tmp_path / "results"))
    assert [path.name for path in files if path.suffix == ".png"] == ["two-curves.png"]


def test_a_table_of_which_a_scale_trains_nothing_is_counted(tmp_path: Path) -> None:
    (tmp_path / "layers.yaml").write_text(
        "title: Two depths\nquestion: Deeper?\nreference: 1x64d\nrows:\n"
        "  - {layers: 11, label: eleven}\n  - {layers: 20, against: eleven}\n"
    )
    table = plan(str(tmp_path / "layers.yaml"), "quick")
    assert table.runs() == table.select() == []
    with pytest.raises(UserError, match=r"^--only 1x64d: .* --seed none, since"):
        table.select("1x64d")
    page, files = render(table, Results(tmp_path / "results"))
    assert "Nothing is trained: this scale states no seeds for these depths." in page
    assert not [path for path in files if "curves" in path.name]


def test_sizes_are_an_axis_only_where_each_net_is_of_a_setting_and_all_of_a_depth(
    tmp_path: Path,
) -> None:
    assert plots.is_of_sizes(plan("figure7", "cifar10"))
    wider = (
        "title: Wider\nquestion: Wider?\nreference: 1x64d\ntolerance: null\ndepths: [base]\n"
        "rows:\n  - {setting: 1x64d}\n  - {setting: 1x128d}\n"
    )
    for number, (text, expected) in enumerate(
        [
            (wider, True),
            (wider.replace("[base]", "[base, deep]"), False),
            (wider + "  - {setting: 1x64d, residual: false}\n", False),
            (wider.replace("  - {setting: 1x128d}\n", ""), False),
        ]
    ):
        path = tmp_path / f"wider{number}.yaml"
        path.write_text(text)
        assert plots.is_of_sizes(plan(str(path), "cifar10")) is expected
