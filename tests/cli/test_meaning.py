"""The commands claims and compare, and plan --detect: what they print, and their mistakes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from cardinality.experiment.grid import make_plan
from cardinality.host.machine import Machine
from cardinality.results.folder import Results
from tests.cli.conftest import Call
from tests.report.made_runs import falling, of_a_later_net, put
from tests.tiny import TINY_ABLATION


@pytest.fixture
def root(tmp_path: Path, machine: Machine) -> Path:
    """Results of cifar10-small's Table 3."""
    folder = tmp_path / "results"
    put(make_plan("table3", "cifar10-small", machine), Results(folder / "cifar10-small"))
    return folder


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    settings = ("1x64d", "2x40d", "4x24d", "8x14d", "32x4d")
    lines = [
        f"{setting},{seed},{24 - place + seed / 10 + place * seed / 50}"
        for place, setting in enumerate(settings)
        for seed in range(4)
    ]
    path = tmp_path / "theirs.csv"
    path.write_text("\n".join(["setting,seed,error", *lines]))
    return path


def test_claims_of_one_protocol(call: Call, root: Path) -> None:
    status, out, err = call("claims", "--protocol", "cifar10-small", "--results", str(root))
    assert (status, err) == (0, "")
    assert "**supported**" in out
    assert (root / "cifar10-small" / "claims.md").read_text() in out
    for name in ("claims.csv", "plots/claims.png", "plots/claims.svg", "plots/claims.csv"):
        assert (root / "cifar10-small" / name).is_file()


def test_claims_of_all_protocols(call: Call, root: Path) -> None:
    status, out, _ = call("claims", "--results", str(root))
    assert status == 0
    assert (root / "claims.md").read_text() in out
    assert "[cifar10-small](cifar10-small/claims.md)" in out


def test_scales_that_ask_for_other_claims_stand_side_by_side(
    call: Call, root: Path, theirs: Path, machine: Machine
) -> None:
    """`quick` judges one claim alone; its cells of the others are empty."""
    put(make_plan("table3", "quick", machine), Results(root / "quick"))
    status, out, err = call("claims", "--results", str(root))
    assert (status, err) == (0, "")
    rows = [line.split("|")[-3:-1] for line in out.splitlines() if line.startswith("| `")]
    assert len(rows) == 20
    assert [quick.strip() for _, quick in rows].count("–") == 19
    status, out, err = call("compare", str(theirs), "--results", str(root))
    assert (status, err) == (0, "")
    assert "ours, quick" in out


def test_claims_where_nothing_has_been_run(call: Call, tmp_path: Path) -> None:
    status, out, _ = call("claims", "--protocol", "cifar10-small", "--results", str(tmp_path))
    assert status == 0
    assert "20 not run" in out


def test_other_peoples_runs(call: Call, root: Path, theirs: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ("compare", str(theirs), "--results", str(root), "--output", str(output))
    status, out, _ = call(*arguments)
    assert status == 0
    assert "**supported** (as given)" in out
    assert "32x4d, base − 1x64d, base" in out
    assert "ours, cifar10-small" in out
    names = {path.name for path in output.iterdir()}
    assert names == {"compare.md", "compare.png", "compare.svg", "compare.csv"}
    # Of the one protocol that has results the same stands beside them, by its name.
    status, named, _ = call(*arguments[:4], "--protocol", "cifar10-small")
    assert status == 0
    assert "ours, cifar10-small" in named
    assert named in out


def test_what_was_given_is_not_written_over(call: Call, root: Path, theirs: Path) -> None:
    path = theirs.rename(theirs.with_name("compare.csv"))
    before = path.read_text()
    output = ("--output", str(path.parent), "--results", str(root))
    status, out, err = call("compare", str(path), *output)
    assert (status, out) == (2, "")
    assert "would write over" in err
    assert path.read_text() == before


def test_other_peoples_runs_as_json(call: Call, root: Path, theirs: Path) -> None:
    name = "table3-trend-base"
    status, out, _ = call("compare", str(theirs), "--claim", name, "--json", "--results", str(root))
    assert status == 0
    found = json.loads(out)
    (verdict,) = found["verdicts"]
    assert (verdict["claim"], verdict["state"]) == (name, "as given")
    assert verdict["family_size"] == 1
    assert verdict["paper"] == pytest.approx(-0.32, abs=0.01)
    assert verdict["ours"]["cifar10-small"]["verdict"] == "supported"
    difference = found["differences"][0]
    assert difference["pairs"] == 4
    assert difference["mean"] == pytest.approx(-1 + 0.03)


def test_two_results(call: Call, root: Path, tmp_path: Path, machine: Machine) -> None:
    status, out, _ = call("compare", str(root), str(root), "--margin", "0.5")
    assert status == 0
    assert "# cifar10-small: **identical**" in out
    other = make_plan("table3", "cifar10-small", machine)
    other = other.with_numerics(replace(other.runs()[0].numerics, precision="bfloat16"))
    put(
        other,
        Results(tmp_path / "b" / "cifar10-small"),
        lambda run: falling(run) + 3 + run.seed / 50,
    )
    arguments = ("compare", str(root), str(tmp_path / "b" / "cifar10-small"), "--margin", "0.5")
    status, out, _ = call(*arguments, "--json")
    (found,) = json.loads(out)
    assert found["decision"] == "differs"
    assert {cell["pairs"] for cell in found["cells"]} == {5}
    assert all(cell["mean"] == pytest.approx(3, abs=0.2) for cell in found["cells"])


def test_two_results_of_which_one_diverged_are_not_the_same(
    call: Call, tmp_path: Path, machine: Machine
) -> None:
    plan = make_plan("table3", "cifar10-small", machine)
    lost = {run.name for run in plan.select("32x4d", "base") if run.seed > 2}
    for name, gone in (("a", set()), ("b", lost), ("c", {run.name for run in plan.runs()})):
        folder = Results(tmp_path / name / "cifar10-small")
        put(plan, folder, lambda run, gone=gone: None if run.name in gone else falling(run))  # type: ignore[misc]
    a, b, c = (str(tmp_path / name) for name in "abc")
    status, out, _ = call("compare", a, b, "--margin", "0.5")
    assert status == 0
    assert "# cifar10-small: **differs**" in out
    told = "**Diverged on one side and ended with an error on the other**: 32x4d, depth 11"
    assert f"{told} (seed 3, 4)." in out
    _, out, _ = call("compare", c, a, "--margin", "0.5", "--json")  # nothing of it is finished
    (found,) = json.loads(out)
    assert (found["decision"], found["cells"], found["left_out"]) == ("differs", [], [0, 0])
    _, out, _ = call("compare", c, a, "--margin", "0.5")
    assert "nothing is compared" not in out
    other = plan.with_numerics(replace(plan.runs()[0].numerics, threads=2))
    put(other, Results(tmp_path / "a" / "cifar10-small"), lambda run: -1 if run.seed else None)
    _, out, _ = call("compare", c, a, "--margin", "0.5")
    assert "B: 10 runs of other code, numerics or images left out." in out
    assert set(map(tuple, found["diverged_on_one_side"].values())) == {(0, 1, 2, 3, 4)}
    _, out, _ = call("compare", b, b, "--margin", "0.5")
    assert "# cifar10-small: **identical**" in out
    assert "Diverged on both sides: 32x4d, depth 11 (seed 3, 4)." in out


def test_a_net_that_cannot_be_built_here_stops_no_comparison(
    call: Call, root: Path, tmp_path: Path
) -> None:
    """As a later version's might be."""
    one = next((root / "cifar10-small" / "runs").glob("32x4d-depth11-seed0-*"))
    of_a_later_net(one)
    status, out, err = call("compare", str(root), str(root), "--margin", "0.5")
    assert (status, err) == (0, "")
    assert "| 32x4d, depth 11, later option |" in out


def test_a_scale_that_asks_nothing_or_has_no_table_stops_no_other(
    call: Call, root: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    folder = tmp_path / "ablations" / "protocols"
    folder.mkdir(parents=True)
    (tmp_path / "ablations" / "own.yaml").write_text(TINY_ABLATION)
    for name, tables in (("silent", "own"), ("bare", "elsewhere")):
        text = f"based_on: cifar10-small\ntitle: T\nablations: [{tables}]\n"
        (folder / f"{name}.yaml").write_text(text)
    silent = make_plan("own", "silent", machine, 1)
    for name in ("silent", "bare"):
        put(silent, Results(root / name))
    status, out, err = call("claims", "--results", str(root))
    assert status == 0
    assert err.startswith("note: bare is left out: bare: ablations: none of them is in ablations/;")
    assert err.count("\n") == 1
    assert "[silent](silent/claims.md)" in out
    nothing = "No claim is judged at this scale."
    assert nothing in (root / "silent" / "claims.md").read_text()
    # What was written when it asked for more goes.
    stale = [root / "silent" / name for name in ("claims.csv", "claims.tex", "plots/claims.png")]
    stale[-1].parent.mkdir()
    for path in stale:
        path.touch()
    for form in ("markdown", "latex"):
        status, out, err = call(
            "claims", "--protocol", "silent", "--format", form, "--results", str(root)
        )
        assert (status, err) == (0, "")
        assert nothing in out
    assert not [path for path in stale if path.exists()]
    # But nothing that lies elsewhere.
    stale[-1].parent.rmdir()
    theirs = tmp_path / "theirs" / "claims.png"
    theirs.parent.mkdir()
    theirs.touch()
    stale[-1].parent.symlink_to(theirs.parent)
    status, _, err = call("claims", "--protocol", "silent", "--results", str(root))
    assert (status, err.count("\n")) == (2, 1)
    assert theirs.is_file()
    stale[-1].parent.unlink()
    status, out, err = call("report", "--results", str(root))
    assert (status, err.count("\n")) == (0, 1)
    assert (root / "silent" / "index.html").is_file()
    assert "Without a page" in (root / "index.html").read_text()


def test_two_results_name_each_net_so_that_it_is_told_from_the_others(
    call: Call, tmp_path: Path, machine: Machine
) -> None:
    """Nets of one setting and depth, and one net by two recipes."""
    nets = make_plan("resnet-shortcuts", "resnet-cifar10-small", machine, 1)
    slower = make_plan("resnet-shortcuts", "resnet-cifar10-small", machine, 1, batch=64)
    folder = tmp_path / "a" / "resnet-cifar10-small"
    for plan in (nets, slower):
        put(plan, Results(folder), lambda _: 10.0)
    _, out, _ = call("compare", str(folder), str(folder), "--margin", "0.5", "--json")
    names = [cell["net"] for cell in json.loads(out)[0]["cells"]]
    assert len(set(names)) == 8
    assert "1x64d, depth 56, basic, shortcut A, batch 64, rate 0.2" in names
    assert "1x64d, depth 56, basic, no shortcuts, batch 128, rate 0.4" in names
    other = tmp_path / "b" / "cifar10-small"
    put(make_plan("table3", "cifar10-small", machine, 1), Results(other), lambda _: 10.0)
    status, out, _ = call("compare", str(folder), str(other), "--margin", "0.5")
    assert status == 0
    assert "No net of one recipe has a common seed in both: nothing is compared." in out


def test_plan_detect(call: Call, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cardinality.execution.probe.WORTH", float("inf"))
    arguments = ("plan", "table3", "--detect", "0.5", "--device", "cpu")
    own = ("--protocol", "cifar10-small")
    status, out, _ = call(*arguments, *own, "--results", str(root))
    assert status == 0
    assert "this protocol's own records (cifar10-small)" in out
    assert "table3-trend-base" in out
    _, out, _ = call(*arguments, "--protocol", "cifar10-short", "--results", str(root))
    assert "cifar10-small, borrowed" in out
    _, out, _ = call(*arguments, *own, "--results", str(root / "none"))
    assert "**No deviation is known**" in out
    shipped = ("plan", "table4", "--detect", "0.5", "--device", "cpu", "--protocol", "quick")
    _, out, _ = call(*shipped, "--results", str(root / "none"))
    assert "the reference sample of quick, the same nets and data with other seeds." in out
    assert "no deviation" not in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["claims", "--protocol", "fast"], ["'fast'", "cifar10-small"]),
        (["claims", "--results", "nowhere"], ["nowhere", "--protocol"]),
        (["claims", "--format", "pdf"], ["--format", "latex"]),
        (["compare", "nowhere.csv"], ["nowhere.csv", "No such file"]),
        (["compare", "a.csv", "b.csv", "c.csv"], ["3 files", "RESULTS_B"]),
        (["compare", "a.csv", "--margin", "1"], ["--margin", "with RESULTS_A"]),
        (["compare", "a", "b"], ["--margin", "before anyone looks"]),
        (["compare", "a", "b", "--margin", "nan"], ["--margin"]),
        (["compare", "a", "b", "--margin", "1"], ["a: no such folder"]),
        (["compare", "a", "b", "--margin", "1", "--claim", "x"], ["--claim"]),
        (["plan", "table3", "--detect", "0"], ["--detect 0", "above 0"]),
        (["plan", "table3", "--detect", "nan"], ["--detect", "no plain number"]),
        (["plan", "table2", "--detect", "1"], ["arithmetic"]),
    ],
)
def test_mistakes(call: Call, arguments: list[str], words: list[str]) -> None:
    status, out, err = call(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("setting,seed\n32x4d,0\n", ["error: no such column"]),
        ("setting,seed,error\n32x4d,0,1\n32x4d,0,2\n", ["line 3", "stands in line 2"]),
        ("setting,seed,error\n32x4d,0,many\n", ["line 2", "'many'"]),
    ],
)
def test_mistakes_in_a_file(call: Call, tmp_path: Path, text: str, words: list[str]) -> None:
    path = tmp_path / "x.csv"
    path.write_text(text)
    status, out, err = call("compare", str(path), "--results", str(tmp_path))
    assert (status, out) == (2, "")
    assert err.count("\n") == 1
    for word in words:
        assert word in err
