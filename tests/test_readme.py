"""What the README and the Makefile promise."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path
from statistics import fmean

import pandas as pd
import pytest
import scipy.stats

from cardinality.analysis.verdicts import Verdict
from cardinality.architecture.complexity import Complexity, block_parameters, complexity
from cardinality.architecture.settings import Architecture, Setting
from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.host.machine import Machine
from cardinality.report.frames import load_results
from cardinality.report.judged import judge_protocol
from cardinality.report.published import read_paper
from cardinality.report.readme import filled
from cardinality.report.render import render
from cardinality.results.folder import Results
from cardinality.results.manifest import MEASURED
from cardinality.results.manifest import read as read_manifest
from tests.places import ROOT

README = (ROOT / "README.md").read_text()
RESULTS = (ROOT / "docs" / "results.md").read_text()
SETTINGS = ["1x64d", "2x40d", "4x24d", "8x14d", "32x4d"]  # Table 3's
STATISTICS = (ROOT / "docs" / "statistics.md").read_text()
COMMANDS = sorted(
    {
        line.split("#")[0].strip()
        for line in README.splitlines()
        if line.startswith("    ") and line.strip().startswith((".venv/", "make "))
    }
)


def tree() -> list[Path]:
    """The paths of the README's tree, in its order."""
    block = re.search(r"```\n(Makefile .*?)```", README, re.DOTALL)
    assert block is not None
    lines = block[1].splitlines()
    assert len(lines) <= 15
    paths, folder = [], ROOT
    for line in lines:
        names = re.split(r"  +", line.strip())[0].split()
        if line.startswith(" "):
            paths += [folder / name for name in names]
        else:
            folder = ROOT / names[0]
            paths += [ROOT / name for name in names]
    return paths


def test_there_are_commands() -> None:
    assert "make table3" in COMMANDS
    assert "make test" in COMMANDS
    assert len(COMMANDS) > 8


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_exists(command: str) -> None:
    words = shlex.split(command)
    if words[0] == "make":
        dry = ["make", "--no-print-directory", "--dry-run", "--always-make", *words[1:]]
        answer = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=False)
    else:
        # --help is heeded only after the other options have been found to exist.
        line = [str(Path(sys.executable).with_name("cardinality")), *words[1:], "--help"]
        answer = subprocess.run(line, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr


def test_the_tree_is_as_drawn() -> None:
    for path in tree():
        assert path.exists() or path.name == "results", path


def test_packages_are_drawn_in_the_order_that_import_linter_holds() -> None:
    suite = ROOT / "src" / "cardinality"
    drawn = [path.name for path in tree() if path.parent == suite]
    assert set(drawn) == {path.parent.name for path in suite.glob("*/__init__.py")}
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())
    (layers,) = (
        contract["layers"]
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    assert drawn == [layer for layer in reversed(layers) if layer in drawn]
    assert "lint-imports" in (ROOT / "Makefile").read_text()


def test_each_package_says_what_it_is_in_a_few_lines() -> None:
    for path in (ROOT / "src" / "cardinality").glob("*/__init__.py"):
        lines = [line for line in path.read_text().strip().splitlines() if line.strip(' "')]
        assert 2 <= len(lines) <= 5, path


def test_the_example_of_a_question_is_one(tmp_path: Path, machine: Machine) -> None:
    example = re.search(r"```yaml\n(.*?)```", README, re.DOTALL)
    assert example is not None
    path = tmp_path / "sixteen.yaml"
    path.write_text(example[1])
    plan = make_plan(str(path), "quick", machine)
    assert [str(entry.row.setting) for entry in plan.entries] == [
        "1x64d",
        "8x14d",
        "16x8d",
        "32x4d",
    ]


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_paths_in_backticks_are_there() -> None:
    named = re.compile(r"`((?:tests|src|docs|paper_tables)/[a-z0-9_./-]+)`")
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]:
        for path in named.findall(page.read_text()):
            assert (ROOT / path).exists(), f"{page.name}: {path}"


def test_the_makefile_has_a_target_for_every_ablation_and_helps_with_each() -> None:
    def made(*targets: str) -> str:
        command = ["make", "--no-print-directory", *targets]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    tables = [path.stem for path in (ROOT / "ablations").glob("*.yaml")]
    computed = made("--dry-run", *tables)
    for table in tables:
        assert f"cardinality run {table} " in computed
    shown = made("help")
    for target in (*tables, "setup", "test", "lint", "clean"):
        assert f"make {target}" in shown
    for variable in ("PROTOCOL", "SEEDS", "DEVICE", "RESULTS"):
        assert f"{variable}=" in shown


def test_the_makefile_passes_its_variables_on() -> None:
    variables = ("PROTOCOL=p", "SEEDS=7", "DEVICE=cpu", "RESULTS=out there")
    command = ["make", "--no-print-directory", "--dry-run", "table3", *variables]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = " ".join(shown.split())
    for name, value in (
        ("protocol", "p"),
        ("seeds", 7),
        ("device", "cpu"),
        ("results", "out there"),
    ):
        assert f"--{name} '{value}'" in words
    assert "run table3" in words


def test_the_makefile_refuses_a_variable_that_it_does_not_have() -> None:
    for given, allowed in (
        ("SEED=3", False),
        ("seeds=3", False),
        ("PROTOCL=cifar10", False),
        ("CARDINALITY_DATA=/data", True),
    ):
        command = ["make", "--no-print-directory", "--dry-run", "table3", given]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        name = given.partition("=")[0]
        refused = f"*** {name}: no such variable; allowed: PROTOCOL SEEDS DEVICE RESULTS DATA"
        assert (ended.returncode == 0) == allowed
        assert (refused in ended.stderr) == (not allowed)
        assert ("cardinality run" in ended.stdout) == allowed


def test_the_makefile_refuses_a_variable_that_its_target_does_not_take() -> None:
    for words, allowed in (
        (("claims", "DEVICE=cuda"), False),
        (("test", "FAULTS=sample"), False),
        (("clean", "RESULTS=/"), False),
        (("DATA=here",), False),
        (("test-faults", "FAULTS=sample"), True),
        (("report", "RESULTS=here", "PROTOCOL=quick"), True),
        (("lint", "table3", "SEEDS=1"), True),
    ):
        command = ["make", "--no-print-directory", "--dry-run", *words]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (ended.returncode == 0) == allowed
        assert ("has no effect on" in ended.stderr) == (not allowed)


def test_the_makefile_passes_any_name_on_as_one_word() -> None:
    for name in ("my results", "it's", 'a "b"', "a, b; c"):
        command = ["make", "--no-print-directory", "--dry-run", "claims", f"RESULTS={name}"]
        shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        called = shown[shown.rindex("cardinality claims") :].replace("\\\n", " ")
        assert shlex.split(called)[-2:] == ["--results", name]


def test_results_that_are_computed_by_the_user_are_not_in_git() -> None:
    assert "/results/quick/" in (ROOT / ".gitignore").read_text().splitlines()
    for folder in (ROOT / "results").glob("*/runs"):
        if folder.parent.name != "quick":
            listed = read_manifest(folder.parent)
            command = ["git", "ls-files", *MEASURED]
            git = subprocess.run(
                command, cwd=folder.parent, capture_output=True, text=True, check=True
            )
            assert sorted(listed) == sorted(git.stdout.split())


KNOWN = pd.read_csv(ROOT / "tests" / "known" / "revision3.csv")
# The lines of the tables of revision 3 among those runs: setting, depth and shortcuts.
LINES = {
    "table3": [(setting, 11, True) for setting in ("1x64d", "2x40d", "4x24d", "8x14d", "32x4d")],
    "table4": [("1x64d", 20, True), ("32x4d", 20, True), ("1x64d", 38, True)]
    + [(setting, 20, True) for setting in ("1x100d", "2x64d", "64x4d")],
    "residual": [(setting, 38, cut) for cut in (True, False) for setting in ("1x64d", "32x4d")],
}


def errors(line: tuple[str, int, bool], figure: str = "top1_error") -> pd.Series:
    """A figure of a line's runs, by seed."""
    setting, depth, residual = line
    of_line = (KNOWN.setting == setting) & (KNOWN.depth == depth) & (KNOWN.residual == residual)
    return KNOWN[of_line].set_index("seed")[figure]


@pytest.mark.parametrize("name", ["table3", "table4", "residual"])
def test_the_superseded_results_are_those_of_the_known_runs(name: str) -> None:
    block = re.search(rf"<!-- revision3-{name} -->\n(.*?)<!-- end -->", RESULTS, re.DOTALL)
    assert block is not None
    heading, _, *rows = (line.strip("| ").split(" | ") for line in block[1].splitlines())
    assert len(rows) == len(LINES[name])
    for row, line in zip(rows, LINES[name], strict=True):
        cells = dict(zip((title.split(", %")[0] for title in heading), row, strict=True))
        reference = ("1x64d", 20 if name == "table4" else line[1], line[2])
        figures = errors(line)
        assert row[0].split(",")[0] == line[0]
        mean, _, deviation = cells["top-1 error"].partition(" ± ")
        assert float(mean) == pytest.approx(figures.mean(), abs=0.051)
        assert int(cells["n"]) == len(figures)
        if deviation:
            assert float(deviation) == pytest.approx(figures.std(), abs=0.051)
        check_difference(cells["Δ"], line, reference)
        if "train error" in cells:
            trained = errors(line, "train_error").mean()
            assert float(cells["train error"]) == pytest.approx(trained, abs=0.051)
        if not line[2]:
            check_difference(cells["Δ without shortcuts"], line, (line[0], line[1], True))


def check_difference(cell: str, line: tuple[str, int, bool], other: tuple[str, int, bool]) -> None:
    """Hold ``−1.2 ± 0.7 (5)`` to the runs: mean, half a 95 % t interval, pairs."""
    if line == other:
        assert cell == "reference"
        return
    pairs = (errors(line) - errors(other)).dropna()
    found = re.fullmatch(r"([+−]\d+\.\d)(?: ± (\d+\.\d))? \((\d)\)", cell)
    assert found is not None, cell
    assert float(found[1].replace("−", "-")) == pytest.approx(pairs.mean(), abs=0.051)
    assert int(found[3]) == len(pairs)
    assert (found[2] is None) == (len(pairs) == 1)
    if found[2] is not None:
        interval = scipy.stats.ttest_1samp(pairs, 0).confidence_interval(0.95)
        assert float(found[2]) == pytest.approx((interval.high - interval.low) / 2, abs=0.051)


def test_committed_tables_are_what_their_records_render_to(tmp_path: Path) -> None:
    for folder in sorted((ROOT / "results").glob("*/runs")):
        protocol = folder.parent.name
        if protocol == "quick":
            continue  # the user's own
        for committed in (folder.parent / "tables").glob("*.md"):
            plan = make_plan(committed.stem, protocol, Machine("cpu", "any", 2, True))
            copied = tmp_path / protocol
            if not copied.exists():
                shutil.copytree(folder, copied / "runs")
            page, _ = render(plan, Results(copied))
            assert page == committed.read_text()


def test_the_superseded_intervals_follow_from_the_known_runs() -> None:
    intervals = re.findall(r"−(\d\.\d) ± (\d\.\d)", RESULTS.split("t intervals of")[1])[:4]
    reference = errors(LINES["table3"][0])
    for line, (mean, half) in zip(LINES["table3"][1:], intervals, strict=True):
        differences = errors(line) - reference
        interval = scipy.stats.ttest_1samp(differences, 0).confidence_interval(0.95)
        assert (interval.low + interval.high) / 2 == pytest.approx(-float(mean), abs=0.051)
        assert (interval.high - interval.low) / 2 == pytest.approx(float(half), abs=0.051)
        assert interval.high < 0


@pytest.mark.parametrize("page", [README, RESULTS], ids=["README", "results"])
def test_the_figures_are_those_of_the_committed_records(
    page: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`make readme` would change nothing."""
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(ROOT))
    assert filled(page) == page


def test_what_is_said_of_resnets_nets_is_so() -> None:
    runs = load_results(ROOT / "results", "resnet-cifar10-small").runs
    ends = runs[~runs.residual | (runs.variant == "basic, shortcut A")]
    errors = ends.groupby(["residual", "depth"]).top1_error.mean()
    said = "{:.1f} and\n{:.1f} % without shortcuts, {:.1f} and {:.1f} % with them"
    values = [errors[residual, depth] for residual in (False, True) for depth in (20, 56)]
    assert said.format(*values) in (ROOT / "docs" / "log.md").read_text()
    assert f"the plain net of 56 errs by {errors[False, 56]:.0f} %" in RESULTS
    types = runs[runs.residual & (runs.depth == 56)].groupby("variant").top1_error.mean()
    a, b, c = (types[name] for name in ("basic, shortcut A", "basic", "basic, shortcut C"))
    by_seed = runs[runs.residual & (runs.depth == 56)].pivot(
        index="seed", columns="variant", values="top1_error"
    )
    ahead = paired(by_seed["basic"] - by_seed["basic, shortcut A"]).lstrip("+")
    assert f"A is ahead of B by {ahead} points" in RESULTS
    assert f"as well: {b:.1f} and {c:.1f} %" in (ROOT / "docs" / "log.md").read_text()
    assert f"end some {c - (a + b) / 2:.0f} points behind\n  types A and B" in RESULTS
    responses = pd.read_csv(
        ROOT / "results/resnet-cifar10-small/plots/resnet-table6-responses.csv"
    ).groupby(["shortcuts", "depth"]).deviation  # fmt: skip
    means, medians, most = responses.mean(), responses.median(), responses.max()
    assert means[True, 56] < means[True, 20] < means[False, 20]
    assert means[True, 56] < means[False, 56]
    assert medians[False, 56] == pytest.approx(medians[True, 56], abs=0.01)
    others = most.drop((False, 56)).max()
    assert (
        f"({most[False, 56]:.1f} at most, where no other\nnet's goes beyond {others:.1f})"
        in RESULTS
    )


def verdicts(protocol: str) -> tuple[Verdict, ...]:
    """What the committed runs of a scale say."""
    return judge_protocol(protocol, Results(ROOT / "results" / protocol)).verdicts


def test_the_margin_of_the_shortcuts_is_what_the_plain_net_loses() -> None:
    """Of which a third is so much that the verdict says little."""
    runs = load_results(ROOT / "results", "resnet-cifar10-small").runs
    deep = runs[runs.depth == 56]
    plain, projected = (
        deep[(deep.residual == kept) & (deep.variant == "basic")].top1_error.mean()
        for kept in (False, True)
    )
    assert f"what\nthe plain net loses is {(plain - projected) / 3:.0f} points" in RESULTS


def test_what_is_said_of_cifars_table_3_is_so() -> None:
    found = {v.claim: v for v in verdicts("cifar10-small") if v.table == "table3"}
    assert {v.state for v in found.values()} == {"final"}
    assert {name for name, v in found.items() if v.decision != "supported"} == {
        "table3-gain-shrinks"
    }
    gain = found["table3-gain-shrinks"]
    assert gain.decision == "undecided"
    assert gain.evidence.effect.over is not None
    assert (gain.evidence.effect.over.high or 0) < 0
    assert "At both depths the fall and each setting against `1x64d` are supported, final" in README
    # Undecided until the deeper nets were there, by the same runs.
    alone = found["table3-2x40d-base"]
    assert f"whose p of {alone.evidence.p:.3f} was too much" in STATISTICS
    assert 5 * (alone.evidence.p or 0) > alone.level >= (alone.p or 0)
    errors = load_results(ROOT / "results", "cifar10-small").runs
    errors = errors[errors.depth.isin([11, 20]) & errors.setting.isin(SETTINGS)]
    beyond = (errors.top1_error - errors.train_error).groupby([errors.depth, errors.setting]).mean()
    below = f"above the test error by {-beyond.max():.1f} to {-beyond.min():.1f} points"
    assert below in " ".join(RESULTS.split())


def test_what_is_said_of_twice_the_complexity_is_so() -> None:
    runs = load_results(ROOT / "results", "cifar10-small").runs
    errors = runs[runs.residual].pivot(
        index="seed", columns=["setting", "depth"], values="top1_error"
    )
    nets = [("1x64d", 20), ("1x64d", 38), ("1x100d", 20), ("2x64d", 20), ("64x4d", 20)]
    assert {tuple(errors[net].dropna().index) for net in nets} == {(0, 1, 2, 3, 4)}
    assert errors[nets].mean().is_monotonic_decreasing
    in_order = errors[nets].apply(lambda seed: seed.is_monotonic_decreasing, axis="columns")
    assert list(in_order.index[~in_order]) == [0]
    section = " ".join(RESULTS.split("## Twice the complexity")[1].split("<!--")[0].split())
    depth = errors["1x64d", 38] - errors["1x64d", 20]
    assert f"in seed 0 the deeper net is {depth[0]:.2f} points behind" in section
    p = scipy.stats.ttest_1samp(depth, 0, alternative="less").pvalue
    assert f"{paired(depth)} points, an interval that just reaches zero" in section
    assert f"one-sided, says p = {p:.3f}" in section
    half = paired(errors["1x64d", 38] - errors["32x4d", 20])
    assert f"32x4d is ahead of the deeper net by {half.lstrip('+')} points" in section
    found = [v for v in verdicts("cifar10-small") if v.table == "table4"]
    assert [(v.state, v.decision) for v in found] == [("final", "supported")] * 3


def lost_without_shortcuts(errors: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """What 1x64d and 32x4d lose without shortcuts, seed by seed; each net loses, and 1x64d more."""
    one, more = (errors[net, False] - errors[net, True] for net in ("1x64d", "32x4d"))
    assert all((loss.dropna() > 0).all() for loss in (one, more))
    whole = errors.dropna()
    assert list(whole.index) == list(range(len(whole)))
    assert (whole["32x4d"] < whole["1x64d"]).to_numpy().all()
    assert (one > more)[whole.index].all()
    return one, more


def test_what_is_said_of_dropped_shortcuts_is_so() -> None:
    runs = load_results(ROOT / "results", "cifar10-small").runs
    deep = runs[runs.depth == 38]
    errors = deep.pivot(index="seed", columns=["setting", "residual"], values="top1_error")
    count = {3: "Three", 4: "Four"}[len(errors.dropna())]
    section = " ".join(RESULTS.split("## With and without shortcuts")[1].split("<!--")[0].split())
    assert f"{count} of the five seeds are there whole, in their order" in section
    one, more = (f"{loss.mean():.1f}" for loss in lost_without_shortcuts(errors))
    assert f"1x64d loses more, by the means {one} points against {more}," in section
    paper = read_paper("residual").pivot(index="setting", columns="residual", values="top1_error")
    theirs = [f"{paper[False][net] - paper[True][net]:.1f}" for net in ("1x64d", "32x4d")]
    assert f"the paper's nets of 50 layers lose {' and '.join(theirs)}." in section
    assert {v.state for v in verdicts("cifar10-small") if v.table == "residual"} == {"interim"}


def test_what_is_said_of_later_additions_is_so() -> None:
    runs = load_results(ROOT / "results", "cifar10-tricks").runs
    errors = runs.pivot(index="seed", columns=["setting", "variant"], values="top1_error")
    added = {
        variant: [paired(errors[net, variant] - errors[net, ""]) for net in ("1x64d", "32x4d")]
        for variant in ("deep stem", "pooled projection", "squeeze")
    }
    one, thirty_two = (each.lstrip("+") for each in added["deep stem"])
    brings, less = (each.lstrip("−") for each in added["pooled projection"])
    said = (
        f"a deep stem costs {one} points with one path and {thirty_two} with 32, averaging before"
        f" the projection brings {brings} and {less}, and what squeeze and excitation do is not"
        f" told from nothing ({' and '.join(added['squeeze'])})"
    )
    assert said in " ".join(RESULTS.split())
    assert set(runs.groupby(["setting", "variant"]).seed.nunique()) == {3}
    (survives,) = (v for v in verdicts("cifar10-tricks") if v.claim == "tricks-lead-survives")
    assert (survives.decision, survives.evidence.pairs) == ("undecided", 3)
    assert "is undecided there with three of five seeds" in README
    table3 = load_results(ROOT / "results", "cifar10-small").runs.set_index("run").weights_checksum
    again = runs[runs.run.isin(table3.index)].set_index("run").weights_checksum
    assert len(again) == 6
    assert again.equals(table3[again.index])


def test_what_is_said_of_photographs_is_so() -> None:
    every = load_results(ROOT / "results", "imagenette-small").runs
    runs, bare = every[every.residual], every[~every.residual]
    assert set(runs.groupby("setting").seed.unique().map(tuple)) == {(0, 1, 2, 3, 4)}
    found = {v.claim: v for v in verdicts("imagenette-small") if v.table == "table3"}
    assert {v.state for v in found.values()} == {"final"}
    undecided = {name for name, v in found.items() if v.decision != "supported"}
    assert undecided == {"table3-2x40d-base"}
    assert "so Table 3's verdicts are final" in RESULTS
    judged = judge_protocol("imagenette-small", Results(ROOT / "results" / "imagenette-small"))
    (needed,) = (each for each in judged.ledger.needed if each.claim in undecided)
    wanted = f"of 2x40d alone that is not decided, for which some {needed.seeds} seeds would be\n"
    assert wanted in RESULTS
    means = runs.groupby("setting").top1_error.mean()[SETTINGS]
    assert means.is_monotonic_decreasing
    errors = runs.pivot(index="seed", columns="setting", values="top1_error")[means.index]
    assert not (errors.diff(axis=1).iloc[:, 1:] < 0).all(axis=1).any()
    told = {
        second: scipy.stats.ttest_rel(errors[first], errors[second]).pvalue < 0.05
        for first, second in pairwise(means.index)
    }
    assert [second for second, apart in told.items() if apart] == ["4x24d"]
    assert f"(8x14d to 32x4d is\n{paired(errors['32x4d'] - errors['8x14d'])})" in RESULTS
    beyond = means - runs.groupby("setting").train_error.mean()
    ends = f"by {beyond.min():.1f} to {beyond.max():.1f}"
    said = f"on Imagenette, with shortcuts, it is below, {ends}, and by most with"
    assert said in " ".join(RESULTS.split())
    assert beyond.idxmax() == "32x4d"
    assert set(runs.groupby("seed")[["machine", "commit"]].nunique().to_numpy().flat) == {1}
    assert "Each seed has all\nits nets from one machine and one commit" in RESULTS
    assert set(bare[["machine", "commit"]].nunique()) == {1}
    records = list(Results(ROOT / "results" / "imagenette-small").finished())
    for residual, seeds, words in (
        (True, (0, 1), "some {:.0f} minutes of CPU a run"),
        (True, (2, 3), "some {:.0f}; 4 from one"),
        (True, (4,), "with both, some {:.0f}, in"),
        (False, range(5), "without\nAVX-512, some {:.0f} minutes;"),
    ):
        minutes = fmean(
            sum(sitting.cpu_seconds or 0 for sitting in record.sittings) / 60
            for record in records
            if record.configuration["seed"] in seeds
            and record.configuration["net"]["residual"] is residual
        )
        assert words.format(minutes) in RESULTS


def test_what_is_said_of_photographs_without_shortcuts_is_so() -> None:
    runs = load_results(ROOT / "results", "imagenette-small").runs
    nets = runs[runs.setting.isin(["1x64d", "32x4d"])]
    errors = nets.pivot(index="seed", columns=["setting", "residual"], values="top1_error")
    one, more = lost_without_shortcuts(errors)
    assert list(one.index) == [0, 1, 2, 3, 4]
    section = " ".join(RESULTS.split("## Photographs of another kind")[1].split())
    assert f"by the means {one.mean():.1f} points against {more.mean():.1f}." in section
    found = {(v.decision, v.state) for v in verdicts("imagenette-small") if v.table == "residual"}
    assert found == {("supported", "final")}


def test_the_figures_are_those_of_the_records_and_of_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table that was rendered before the last run, or never, changes nothing."""
    for part in ("cifar10-tricks/runs", "cifar10-tricks/images"):
        (tmp_path / "results" / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / part).symlink_to(ROOT / "results" / part)
    tables = tmp_path / "results/cifar10-tricks/tables"
    tables.mkdir()
    (tables / "tricks.md").write_text("| model | n |\n|:--|--:|\n| of another day | 1 |\n")
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    block = re.search(r"<!-- tricks -->.*?<!-- end -->", RESULTS, re.DOTALL)
    assert block is not None
    assert filled(block[0]) == block[0]


def test_a_mark_that_names_no_figure_is_a_mistake() -> None:
    with pytest.raises(UserError, match="<!-- tabel3 -->: no such block; allowed: ledger, claims"):
        filled("<!-- tabel3 -->\n<!-- end -->")


REFERENCE = ROOT / "paper_tables" / "reference"
SAMPLE = pd.read_csv(REFERENCE / "quick-table3.csv")


def paired(differences: pd.Series) -> str:
    """Mean ± half of a 95 % t interval, as the pages have it."""
    known = differences.dropna()
    interval = scipy.stats.ttest_1samp(known, 0).confidence_interval(0.95)
    return f"{known.mean():+.1f} ± {(interval.high - interval.low) / 2:.1f}".replace("-", "−")


def test_what_looks_odd_is_so() -> None:
    odd = " ".join(RESULTS.split("## What looks odd")[1].split("\n## ")[0].split())
    errors = SAMPLE.pivot(index="seed", columns=["setting", "depth"], values="error").dropna()
    assert len(errors) == 10
    deeper = {name: paired(errors[name, 20] - errors[name, 11]) for name in ("1x64d", "32x4d")}
    assert f"err by {deeper['1x64d']} points more than those of 11 with one path" in odd
    assert f"and with 32 by {deeper['32x4d']}." in odd
    gains = {depth: errors["1x64d", depth] - errors["32x4d", depth] for depth in (11, 20)}
    shown = (paired(each).lstrip("+") for each in (gains[20], gains[11], gains[20] - gains[11]))
    said = "is {} points in the deeper nets and {} at 11 layers, ten seeds each; the paper's is"
    *both, difference = shown
    assert said.format(*both) in odd
    assert f"The difference, {difference}, is undecided." in odd
    runs = load_results(ROOT / "results", "cifar10-small").runs
    errors = runs[runs.residual].pivot(
        index="seed", columns=["setting", "depth"], values="top1_error"
    )
    gains = {depth: errors["1x64d", depth] - errors["32x4d", depth] for depth in (11, 20)}
    assert [int(gains[depth].count()) for depth in (20, 11)] == [5, 5]
    shown = (paired(each).lstrip("+") for each in (gains[20], gains[11], gains[20] - gains[11]))
    said = "32x4d gains {} points in the deeper nets and {} at 11 layers. The difference, {}, is"
    assert said.format(*shown) in odd
    doubled = pd.read_csv(REFERENCE / "quick-table4.csv")
    one_path = doubled[doubled.setting == "1x64d"].pivot(
        index="seed", columns="depth", values="error"
    )
    assert f"38 layers err by {paired(one_path[38] - one_path[20])} points more than 20" in odd


def count(setting: str, depth: int = 50) -> Complexity:
    """Of a net at ImageNet's scale, or with 29 layers at CIFAR's."""
    if depth == 29:
        return complexity(Architecture(Setting.parse(setting), depth, "cifar", classes=10), 32)
    return complexity(Architecture(Setting.parse(setting), depth), 224)


def test_each_published_figure_that_is_in_error_is_counted_again() -> None:
    shown = {
        cells[0]: int(cells[2].replace(",", ""))
        for line in RESULTS.splitlines()
        if re.match(r"\| Table \d, ", line) and len(cells := line.strip("| ").split(" | ")) > 3
    }
    expected = {
        "Table 1, ResNet-50, parameters": count("1x64d").params,
        "Table 7, ResNeXt-29 16x64d, parameters": count("16x64d", 29).params,
        'Table 2, 8x14d, "preserved"': block_parameters(Setting(8, 14)),
        'Table 4, 1x100d, "2 times"': block_parameters(Setting(1, 100)),
        'Table 4, ResNet-200, "2 times"': count("1x64d", 200).macs,
    }
    assert shown == expected
    # The reasons that are given.
    assert abs(block_parameters(Setting(1, 99)) - 139264) < 141200 - 139264
    assert 1 - expected['Table 4, ResNet-200, "2 times"'] / (
        2 * count("1x64d", 101).macs
    ) == pytest.approx(0.038, abs=0.0005)
    others = [count(setting, 101).params for setting in ("1x100d", "2x64d", "64x4d")]
    assert [round(count / 1e6, 1) for count in sorted(others)] == [83.5, 84.2, 85.6]
    assert count("1x64d", 200).params / 1e6 == pytest.approx(64.7, abs=0.05)


BENCHMARKS = re.findall(r"^\| \[.+\]\(results/bench/(.+)\.md\) \| (.+) \|$", README, re.MULTILINE)


def test_the_readme_names_every_benchmark() -> None:
    pages = {path.stem for path in (ROOT / "results" / "bench").glob("*.md")}
    assert {name for name, _ in BENCHMARKS} == pages


@pytest.mark.parametrize(("name", "cells"), BENCHMARKS)
def test_the_readmes_ratios_of_speed_are_those_of_the_benchmarks(name: str, cells: str) -> None:
    table = pd.read_csv(ROOT / "results" / "bench" / f"{name}.csv")
    steps = table[table.section == "steps"]
    times = steps.pivot(index=["protocol", "depth", "setting"], columns="what", values="value")
    ratios = times.plain / times.suite
    *stated, costs = cells.split(" | ")
    for protocol, cell in zip(("quick", "cifar10-small", "cifar10"), stated, strict=True):
        low, high = map(float, cell.split(" to "))
        assert ratios[protocol].min() == pytest.approx(low, abs=0.051)
        assert ratios[protocol].max() == pytest.approx(high, abs=0.051)
    turns = table[table.section == "cardinality"]
    cost = turns.pivot(index=["protocol", "depth"], columns="setting", values="value")
    apart = times.suite.unstack("setting")
    measured = [(cost["32x4d"] / cost["1x64d"]).agg(of) for of in ("min", "max")]
    measured.append((apart["32x4d"] / apart["1x64d"]).max())
    for figure, text in zip(measured, re.findall(r"\d\.\d\d", costs), strict=True):
        assert figure == pytest.approx(float(text), abs=0.0051)
