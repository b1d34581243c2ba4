"""The command line: what it prints, and one line with status 2 for every mistake."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cardinality.cli.options import parse_duration
from cardinality.common.errors import UserError
from cardinality.data.images import Identity
from cardinality.execution import probe
from cardinality.experiment.grid import make_plan
from cardinality.experiment.plan import Plan
from cardinality.host.machine import Machine, detect
from cardinality.results import manifest
from cardinality.results.estimate import START_UP, Estimate, Rate, duration, estimate
from cardinality.results.folder import Results
from cardinality.results.images import TestImages
from cardinality.results.progress import Header, write_checkpoint
from tests.cli.conftest import Call
from tests.tiny import sitting


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["plan", "tabel3"], ["'tabel3'", "table2, table3, table4"]),
        (["plan", "table3", "--protocol", "fast"], ["'fast'", "quick"]),
        (["plan", "nope/x.yaml"], ["nope/x.yaml", "no such file"]),
        (["plan", "table3", "--seeds", "0"], ["--seeds", "greater than or equal to 1"]),
        (["plan", "table3", "--seeds", "0-4"], ["--seeds", "no plain number", "digits"]),
        (["plan", "table3", "--seeds", "-4"], ["--seeds", "greater than or equal to 1"]),
        (["plan", "table3", "--seeds=1_0"], ["--seeds", "no plain number"]),
        (["plan", "table3", "--seeds", "\uff11\uff10"], ["--seeds", "no plain number"]),
        (["plan", "table3", "--seeds", "1e3"], ["--seeds", "no plain number"]),
        (["plan", "table3", "--seeds", "9" * 5000], ["--seeds", "no plain number"]),
        (["plan", "table3", "--seeds", "1000000000000"], ["--seeds", "less than or equal to 1000"]),
        (["plan", "table3", "--batch", "0x10"], ["--batch", "no plain number"]),
        (["inspect", "32x4d", "--depth", "5_0"], ["--depth", "no plain number"]),
        (["solve", "--cardinality", "8", "--times", "1_0"], ["--times", "no plain number"]),
        (["run", "table3", "--stop-after", "\uff11m"], ["--stop-after", "9m"]),
        (["plan", "table3", "--device", "tpu"], ["--device", "'auto', 'cpu', 'cuda'"]),
        (["plan"], ["ABLATION"]),
        (["plan", "table3", "--sedes", "3"], ["--sedes", "--seeds"]),
        (["nope"], ["nope"]),
        (["run", "table3", "--stop-after", "soon"], ["'soon'", "9m"]),
        (["run", "table3", "--only", "5x5d"], ["--only 1x64d, 2x40d", "--seed 0 to 2"]),
        (["run", "table3", "--only", "abc"], ["--only abc: ", "allowed: --only 1x64d, 2x40d, "]),
        (["run", "table3", "--only", "1x64d", "--seed", "9"], ["error: --seed 9: "]),
        (["plan", "table2", "--only", "5x5d"], ["--only 5x5d: ", "1x64d, 2x40d"]),
        (["run", "table3", "--depth", "residual"], ["--depth base, deep"]),
        (["run", "table3", "--seed", "3"], ["--seed 0 to 2"]),
        (["solve", "--cardinality", "0"], ["--cardinality", "greater than or equal to 1"]),
        (["solve", "--cardinality", "8", "--budget", "64"], ["'64'", "like 32x4d"]),
        (["solve", "--cardinality", "8", "--times", "nan"], ["no plain number"]),
        (["solve", "--cardinality", "8", "--times", "1e308"], ["allowed are 1 to 1e15"]),
        (["inspect", "1x64d", "--depth", "9000000002", "--stem", "cifar"], ["9n + 2"]),
        (["inspect", "32x4d"], ["depth: is missing"]),
        (["inspect", "resnext51"], ["resnext51", "resnext50_32x4d"]),
        (["inspect", "resnet50", "--depth", "101"], ["resnet50 has 50"]),
        (["inspect", "2x64d", "--depth", "18", "--block", "basic"], ["one wide block", "1x128d"]),
        (["inspect", "32x4d", "--depth", "51"], ["51", "50, 101, 152, 200"]),
        (["inspect", "32x4d", "--depth", "50", "--base", "8"], ["base 8", "whole number"]),
        (["inspect", "32x4d", "--depth", "50", "--image-size", "0"], ["image size 0"]),
    ],
)
def test_mistakes(call: Call, tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    status, out, err = call(*arguments)
    assert status == 2
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    for word in words:
        assert word in err


@pytest.mark.parametrize(
    ("arguments", "without"),
    [
        (["plan", "table3", "--machine", "8xV100", "--detect", "1", "--jobs", "2"],
         "--detect, --jobs: have"),
        (["plan", "table3", "--machine", "8xV100", "--device", "cpu"], "--device: has"),
        (["plan", "--machine", "8xV100", "--only", "1x64d"], "--only: has"),
        (["plan", "table3", "--detect", "1", "--seed", "0"], "--seed: has"),
        (["evaluate", "--weights", __file__, "--data", ".", "--setting", "1x64d", "--scales",
          "paper", "--views", "ten", "--crop", "64"], "--crop, --views: have"),
        (["responses", "a-run", "--side", "64"], "--side: has"),
        (["responses", "--table", "table3", "--stem", "cifar"], "--stem: has"),
        (["responses", "a-run", "--protocol", "quick"], "--protocol: has"),
        (["compare", "a", "b", "--margin", "1", "--results", "c"], "--results: has"),
        (["compare", "a.csv", "--margin", "1"], "--margin: has"),
        (["report", "--port", "80"], "--port: has"),
    ],
)  # fmt: skip
def test_an_option_without_effect_is_refused(
    call: Call, arguments: list[str], without: str
) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {without} no effect ")
    assert "; allowed: " in err


def test_a_claim_that_there_is_not_is_told_before_anything_is_computed(
    call: Call, tmp_path: Path
) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("based_on: quick\ntitle: Own\nclaims: [table3-trend]\n")
    asked = ["table3", "--protocol", str(path), "--results", str(tmp_path / "results")]
    for command in ("plan", "run"):
        status, out, err = call(command, *asked)
        assert (status, out) == (2, "")
        assert err.startswith(f"error: {path}: claims: claim 'table3-trend': no such claim; ")


def test_one_protocols_folder_is_no_folder_of_results(
    call: Call,
    tiny: Plan,
    tmp_path: Path,
    put_records: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_records(tiny, Results(tmp_path / "tiny"))
    status, _, err = call("render", "table3", "--results", str(tmp_path / "tiny"))
    assert status == 2
    assert err == f"error: {tmp_path}/tiny: is one protocol's; allowed: --results {tmp_path}\n"
    monkeypatch.chdir(tmp_path / "tiny")
    _, _, err = call("verify", "--results", ".")
    assert err == f"error: .: is one protocol's; allowed: --results {tmp_path}\n"


def test_inspect_prints_one_object(call: Call) -> None:
    status, out, _ = call("inspect", "32x4d", "--depth", "50", "--json")
    assert status == 0
    net = json.loads(out)
    assert net["params"] == 25_028_904  # torchvision's resnext50_32x4d
    assert net["macs"] == sum(stage["macs"] for stage in net["stages"]) == 4_230_479_872
    assert [stage["group_conv_width"] for stage in net["stages"]] == [
        None,
        128,
        256,
        512,
        1024,
        None,
    ]
    named = json.loads(call("inspect", "resnext50_32x4d", "--json")[1])
    assert (named["params"], named["setting"], named["depth"]) == (net["params"], "32x4d", 50)
    assert json.loads(call("inspect", "resnet18", "--json")[1])["params"] == 11_689_512
    # It never refuses a setting for its budget.
    assert call("inspect", "16x8d", "--depth", "29", "--stem", "cifar", "--no-residual")[0] == 0


def test_inspect_prints_a_table_that_adds_up(call: Call) -> None:
    _, out, _ = call("inspect", "2x40d", "--depth", "20", "--stem", "cifar-stride2", "--base", "32")
    rows = [line.split() for line in out.splitlines()[4:]]
    params = [int(row[-3].replace(",", "")) for row in rows]
    assert sum(params[:-1]) == params[-1]


def test_runs_with_other_numerics_are_told_before_any_is_computed(
    call: Call,
    tiny: Plan,
    files: tuple[Path, Path],
    tmp_path: Path,
    put_records: Callable[..., None],
) -> None:
    theirs = tiny.with_numerics(replace(tiny.runs()[0].numerics, precision="bfloat16"))
    put_records(theirs, Results(tmp_path / "tiny"))
    asked = ["plan", str(files[0]), "--protocol", str(files[1]), "--results", str(tmp_path)]
    _, out, _ = call(*asked, "--device", "cpu")
    assert "\n0 of 4 runs are there." in out
    assert "Note: 2 runs with other numerics (CPU, bfloat16, 1 thread a run" in out


def test_a_run_that_tables_leave_out_is_told_in_its_plan(
    call: Call, files: tuple[Path, Path], tmp_path: Path, put_records: Callable[..., None]
) -> None:
    plan = make_plan(str(files[0]), str(files[1]), detect("cpu"), 1)
    put_records(plan, Results(tmp_path / "tiny"))
    (tmp_path / "tiny" / "runs" / plan.runs()[0].name / "correct.bin").unlink()
    asked = ["plan", str(files[0]), "--protocol", str(files[1]), "--results", str(tmp_path)]
    _, out, _ = call(*asked, "--device", "cpu")
    assert "  unsound  " in out
    assert "\n1 of 4 runs are there, 1 unsound. The missing ones: " in out
    assert "Note: 1 record of this table left out as unsound: " in out


def test_who_may_only_read_sees_table_and_claims(
    call: Call, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    """A file in the way of what would be written does here what permissions do elsewhere."""
    put_records(make_plan("table3", "quick", detect("cpu")), Results(tmp_path / "quick"))
    (tmp_path / "quick" / "tables").write_text("")
    for table in ("table2", "table3"):
        code, out, err = call("render", table, "--results", str(tmp_path))
        assert "| 32x4d" in out
        assert (code, err.count("\n")) == (2, 1)
    (tmp_path / "quick" / "claims.md").mkdir()
    for protocol in ((), ("--protocol", "quick")):
        code, out, err = call("claims", "--results", str(tmp_path), *protocol)
        assert "as the cardinality rises" in out
        assert (code, err.count("\n")) == (2, 1)


def test_solve(call: Call) -> None:
    _, out, _ = call("solve", "--cardinality", "16")
    assert out.startswith("16x8d: 74,752 parameters a block, +7.35% of 69,632 (exact d 7.51")
    assert call("solve", "--cardinality", "64", "--times", "2")[1].startswith("64x4d: ")


def test_plan_lists_every_run_and_says_what_its_estimate_rests_on(
    call: Call,
    tmp_path: Path,
    put_records: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("cardinality.execution.probe.WORTH", math.inf)
    arguments = ("plan", "table3", "--results", str(tmp_path), "--device", "cpu")
    _, out, _ = call(*arguments)
    assert out.count(" missing  ") == 20
    assert "a guess from the protocol's stated 20 billion" in out
    # As this machine would have computed them, but for the last two.
    plan = make_plan("table3", "quick", detect("cpu"))
    put_records(plan, Results(tmp_path / "quick"), skip=2, failures=1)
    _, out, _ = call(*arguments)
    assert out.count(" done  ") == 17
    assert out.count(" failed  ") == 1
    assert "17 of 20 runs are there, 1 failed. The missing ones: " in out


def test_estimates_come_from_records_of_this_kind_of_machine(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None], machine: Machine
) -> None:
    runs, results = tiny.runs(), Results(tmp_path)

    def ask(where: Machine, jobs: int) -> Estimate:
        return estimate(runs, results, where, jobs, lambda: Rate(5e9, "a guess", start_up=1))

    guessed = ask(machine, 2)
    assert guessed.seconds == pytest.approx(sum(run.cost for run in runs) / 5e9 / 2 + 1)
    assert guessed.basis == "a guess"
    put_records(tiny, results)  # each took 3 seconds
    known = ask(machine, 1)
    assert known.seconds == pytest.approx(6 + START_UP)
    assert known.basis == "from 2 records of this kind of machine"
    assert ask(Machine("cpu", "another CPU", 2, False), 2) == guessed


def test_estimates_leave_out_what_was_slowed_down_and_what_is_done(
    tiny: Plan, tmp_path: Path, put_records: Callable[..., None], machine: Machine
) -> None:
    runs, results = tiny.runs(), Results(tmp_path)
    put_records(tiny, results)
    path = results.folder / "runs" / runs[0].name / "run.json"
    record = results.read(runs[0].name)
    assert record is not None
    # The first epoch shared its core, the second took 2 seconds by itself.
    shared = sitting(1, 1, 60.0).model_copy(update={"cpu_seconds": 30.0})
    parts = record.model_copy(update={"sittings": (shared, sitting(2, 2, 2.0))})
    path.write_text(parts.model_dump_json())

    def ask() -> float:
        return estimate(runs[:1], results, machine, 1, lambda: Rate(1, "")).seconds - START_UP

    assert ask() == pytest.approx(4)
    header = Header(
        format=1, run=runs[0].name, data_checksum="0" * 16, data_kind="pixels", epochs=1,
        sittings=(), sha256="",
    )  # fmt: skip
    write_checkpoint(results.checkpoint(runs[0].name), header, b"")
    assert ask() == pytest.approx(2)  # half of it is done


def test_a_probe_is_of_this_machine(tiny: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "WORTH", 0.0)
    monkeypatch.setattr(probe, "LONG", 0.1)
    found = probe.rate(tiny, tiny.runs(), detect("cpu"))
    assert "probe" in found.basis
    assert 1e7 < found.macs < 1e13
    assert 0.5 < found.start_up < 60


def test_a_selection_narrows_a_plan(machine: Machine) -> None:
    plan = make_plan("table3", "quick", machine)
    assert plan.select() == plan.runs()
    chosen = plan.select(only="32x4d", role="base", seed=0)
    assert [run.name[:20] for run in chosen] == ["32x4d-depth11-seed0-"]
    assert len(plan.select(role="deep")) == 5


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("9m", 540), ("1h30m", 5400), ("2h", 7200), ("1h1m1s", 3661)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "9", "m", "9 m", "1m1h", "-1s", "9M"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(UserError, match="1h30m"):
        parse_duration(text)


def test_durations_read_as_people_say_them() -> None:
    seconds = (7.4, 80, 300, 8000, 3e6)
    assert [duration(s) for s in seconds] == ["7 s", "80 s", "5 min", "2 h 13 min", "35 days"]


def test_render_needs_no_run_and_says_what_it_wrote(call: Call, tmp_path: Path) -> None:
    status, out, _ = call("render", "table2", "--results", str(tmp_path))
    assert status == 0
    for line in out.splitlines():
        if line.startswith("wrote "):
            assert Path(line.removeprefix("wrote ")).is_file()


def test_what_the_repository_brings_is_shown_until_the_user_begins(
    call: Call,
    files: tuple[Path, Path],
    tmp_path: Path,
    data_root: Path,
    put_records: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)  # the workspace
    made = Identity("0123456789abcdef", "pixels")  # as `put_records` says
    monkeypatch.setattr("cardinality.data.store.identify", lambda _data: made)
    asked = ("run", str(files[0]), "--protocol", str(files[1]), "--device", "cpu")
    arguments = (*asked, "--show-committed")
    plan = make_plan(str(files[0]), str(files[1]), detect("cpu"))
    results = Results(tmp_path / "results" / "tiny")
    put_records(plan, results, skip=1)
    # Without a manifest the records are the user's own: what is missing is computed.
    _, out, _ = call(*arguments, "--stop-after", "0s")
    assert "1 of 4 runs to compute" in out
    manifest.write(results.folder)
    status, out, _ = call(*arguments)
    assert status == 0
    assert "3 of 4 runs come with the repository, made on a CPU" in out
    command = f"cardinality run {files[0]} --protocol {files[1]}"
    assert f"To compute the others here: .venv/bin/{command}" in out
    assert "Partial: 3 of 4" in out
    # In another folder the repository brings nothing.
    _, out, _ = call(*arguments, "--results", str(tmp_path / "mine"), "--stop-after", "0s")
    assert "4 of 4 runs to compute" in out
    # Whoever has begun goes on: with a record of their own, ...
    put_records(plan, results)
    _, out, _ = call(*arguments)
    assert "All 4 runs are there." in out
    assert "3 of these 4 runs come with the repository, the others are yours." in out
    # ... or with a checkpoint.
    shutil.rmtree(results.folder / "runs" / plan.runs()[-1].name)
    results.checkpoint(plan.runs()[-1].name).touch()
    _, out, _ = call(*arguments, "--stop-after", "0s")
    assert "1 of 4 runs to compute" in out


def test_other_images_are_told_before_anything_is_believed(
    call: Call, files: tuple[Path, Path], tmp_path: Path, data_root: Path,
    put_records: Callable[..., None],
) -> None:  # fmt: skip
    asked = ["run", str(files[0]), "--protocol", str(files[1]), "--device", "cpu"]
    asked += ["--results", str(tmp_path / "out"), "--stop-after", "0s"]
    plan = make_plan(str(files[0]), str(files[1]), detect("cpu"))
    put_records(plan, Results(tmp_path / "out" / "tiny"), skip=1)  # of images 0123456789abcdef
    status, _, error = call(*asked)
    assert status == 2
    assert "computed on other images, 0123456789abcdef (of pixels); those here are" in error
    assert "allowed: --data" in error
    assert error.count("\n") == 1
    # Nothing is missing: the table is shown, unless images are given that are not those.
    put_records(plan, Results(tmp_path / "out" / "tiny"))
    assert call(*asked)[0] == 0
    assert call(*asked, "--data", str(data_root))[0] == 2


def test_an_error_of_ours_is_not_hidden(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_text: str) -> None:
        raise RuntimeError("ours")

    monkeypatch.setattr("cardinality.cli.grid.parse_duration", broken)
    with pytest.raises(RuntimeError, match="ours"):
        call("run", "table3", "--stop-after", "9m")


def test_the_installed_command_prints_help() -> None:
    command = [str(Path(sys.executable).with_name("cardinality"))]
    for arguments in ([], ["--help"]):
        answer = subprocess.run(command + arguments, capture_output=True, text=True, check=True)
        for word in ("plan", "run", "render", "solve", "inspect"):
            assert f"\n  {word}" in answer.stdout


def test_verify_has_a_line_for_each_problem_and_status_1(
    call: Call, tiny: Plan, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    results = Results(tmp_path / "tiny")
    put_records(tiny, results)
    TestImages(classes=("a",), labels=(0,) * 40).write(results.images("0123456789abcdef"))
    status, out, _ = call("verify", "--results", str(tmp_path))
    whole = "tiny: 2 finished runs sound, 0 records unsound, 0 other problems\n"
    assert (status, out) == (0, whole)
    (results.folder / "runs" / tiny.runs()[0].name / "correct.bin").write_bytes(b"no")
    status, out, _ = call("verify", "--results", str(tmp_path), "--protocol", "tiny")
    assert status == 1
    assert "correct.bin: cannot be read" in out.splitlines()[0]
    assert "1 finished run sound, 1 record unsound, 0 other problems" in out
    assert "Tables leave unsound records out." in out
    assert call("verify", "--results", str(tmp_path), "--protocol", "none")[0] == 2


def test_status_counts_no_record_as_done_that_tables_leave_out(
    call: Call, tiny: Plan, tmp_path: Path, put_records: Callable[..., None]
) -> None:
    results = Results(tmp_path / "quick")
    put_records(tiny, results)
    (results.folder / "runs" / tiny.runs()[0].name / "correct.bin").unlink()
    (results.folder / "runs" / "\x1b[2J").mkdir()
    (results.folder / "runs" / "\x1b[2J" / "run.json").write_text("{}")
    status, out, _ = call("status", "--results", str(tmp_path))
    assert status == 0
    assert "\x1b" not in out
    assert out.splitlines()[-1] == "quick: 2 unsound, 1 done"
