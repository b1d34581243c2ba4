"""Records: whole or not there, read back as written, and refused when they are no records."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardinality.common.errors import UserError
from cardinality.experiment.plan import Plan
from cardinality.results.folder import Results
from cardinality.results.records import parse
from tests.report.made_runs import configured_otherwise
from tests.tiny import sitting

Put = Callable[..., None]


def problem_with(folder: Path, plan: Plan, part: str, more: dict[str, object]) -> str:
    """What is wrong with the first run if a part of its configuration says more, or otherwise."""
    one = folder / "runs" / plan.runs()[0].name
    whole = json.loads((one / "run.json").read_text())["configuration"]
    name = configured_otherwise(one, whole | {part: whole[part] | more})
    return Results(folder).read_all()[1][name]


def test_a_record_reads_back_as_it_was_written(
    tiny: Plan, tmp_path: Path, put_records: Put
) -> None:
    results = Results(tmp_path)
    assert [results.status(run.name) for run in tiny.runs()] == ["missing", "missing"]
    put_records(tiny, results)
    for run in tiny.runs():
        assert results.status(run.name) == "done"
        record = results.read(run.name)
        assert record is not None
        assert record.configuration == run.configuration
        assert record.numerics == run.numerics
        assert record.final is not None
        assert [epoch["epoch"] for epoch in results.epochs(record)] == [1, 2]
        assert results.epochs(record)[-1]["top1_error"] == record.final.top1_error
    assert len(list(results.finished())) == 2


def test_nothing_half_written_is_left(tiny: Plan, tmp_path: Path, put_records: Put) -> None:
    put_records(tiny, Results(tmp_path / "results"))
    left = {path.name for path in (tmp_path / "results").rglob("*") if path.is_file()}
    assert left == {"run.json", "epochs.csv", "correct.bin"}


def test_a_file_where_a_runs_folder_belongs_makes_room(
    tiny: Plan, tmp_path: Path, put_records: Put
) -> None:
    results, name = Results(tmp_path), tiny.runs()[0].name
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / name).write_text("")
    put_records(tiny, results)
    assert results.status(name) == "done"
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_success_takes_the_place_of_a_failure(
    tiny: Plan, tmp_path: Path, put_records: Put
) -> None:
    results = Results(tmp_path)
    for _ in range(2):  # a failure may also be followed by another
        put_records(tiny, results, failures=1)
        assert results.status(tiny.runs()[0].name) == "failed"
    put_records(tiny, results)
    assert results.status(tiny.runs()[0].name) == "done"
    assert list((tmp_path / "failed").iterdir()) == []


def test_records_are_small(tiny: Plan, tmp_path: Path, put_records: Put) -> None:
    put_records(tiny, Results(tmp_path))
    for path in tmp_path.glob("runs/*"):
        assert sum(file.stat().st_size for file in path.iterdir()) < 4_000


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_a_damaged_record_gets_one_line(
    tiny: Plan, tmp_path: Path, put_records: Put, data: st.DataObject
) -> None:
    results = Results(tmp_path)
    put_records(tiny, results)
    name = tiny.runs()[0].name
    path = tmp_path / "runs" / name / "run.json"
    whole = path.with_name("whole")
    if not whole.exists():  # the folder is the same for every example
        path.rename(whole)
    text = whole.read_text()
    cut = data.draw(st.integers(0, len(text) - 3))
    content = json.loads(text)
    # Records up to revision 3 have neither of these and can be read.
    key = data.draw(st.sampled_from(sorted(content.keys() - {"data_kind", "correct_checksum"})))
    damaged = data.draw(
        st.sampled_from(
            [
                text[:cut],
                json.dumps({k: v for k, v in content.items() if k != key}),
                json.dumps({**content, "extra": 1}),
                json.dumps({**content, "name": "other"}),
                json.dumps({**content, "configuration": {"numerics": {"bad": 1}}}),
                json.dumps({**content, "configuration": {**content["configuration"], "seed": 9}}),
                json.dumps({**content, "final": None}),
                json.dumps({**content, "final": {**content["final"], "top1_error": -5.0}}),
                json.dumps({**content, "status": "failed"}),
                json.dumps([content]),
            ]
        )
    )
    path.write_text(damaged)
    with pytest.raises(UserError) as caught:
        results.read(name)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("seed", None), ("seed", "0"), ("seed", -1), ("revision", None), ("net", None),
        ("net", {"setting": "1x64d", "depth": 11}), ("data", {}), ("training", 5),
        ("numerics", None),
    ],
)  # fmt: skip
def test_a_record_that_lacks_what_every_run_has_is_unsound(
    tiny: Plan, tmp_path: Path, put_records: Put, key: str, value: object
) -> None:
    """Also where its name is its configuration's."""
    results = Results(tmp_path)
    put_records(tiny, results)
    one = tmp_path / "runs" / tiny.runs()[0].name
    whole = json.loads((one / "run.json").read_text())["configuration"]
    kept = {k: v for k, v in whole.items() if k != key}
    name = configured_otherwise(one, kept if value is None else kept | {key: value})
    records, unsound = results.read_all()
    assert (len(records), [*unsound]) == (1, [name])
    assert f"configuration.{key}" in unsound[name]


@pytest.mark.parametrize(
    ("key", "more", "told"),
    [
        ("numerics", {"compiled": True}, "configuration.numerics.compiled: Extra inputs"),
        ("numerics", {"threads": 10**20}, "no number of ours, which have 64 bits"),
        ("net", {"classes": 10**20}, "no number of ours, which have 64 bits"),
        ("training", {"epochs": 9}, "epochs.csv: cannot be read: expected the epochs 1 to 9"),
    ],
)
def test_a_record_of_what_is_not_known_here_passes_for_no_other(
    tiny: Plan, tmp_path: Path, put_records: Put, key: str, more: dict[str, object], told: str
) -> None:
    """A later version's numerics, a number that no column has, epochs that were not computed."""
    put_records(tiny, Results(tmp_path))
    assert told in problem_with(tmp_path, tiny, key, more)


@pytest.mark.parametrize(
    ("keys", "value"),
    [
        (["seconds"], -1.0), (["params"], -1), (["macs"], 10**17), (["failure"], "it did"),
        (["data_checksum"], "../../../etc"), (["weights_checksum"], "0" * 64),
        (["final", "test_loss"], -0.5), (["sittings", 0, "cores"], 0),
        (["sittings", 0, "processes"], 0), (["sittings", 0, "side_by_side"], 0),
        (["sittings", 0, "peak_memory"], -1), (["sittings", 0, "first_epoch"], 3),
        (["sittings", 0, "cpu_seconds"], -1.0), (["seconds"], float("nan")),
        (["sittings", 0, "epochs"], 3.0),
        (["data_checksum"], ""), (["final", "top5_error"], 99.0),
    ],
)  # fmt: skip
def test_what_cannot_have_been_measured_is_unsound(
    tiny: Plan, tmp_path: Path, put_records: Put, keys: list[str | int], value: object
) -> None:
    results = Results(tmp_path)
    put_records(tiny, results)
    path = tmp_path / "runs" / tiny.runs()[0].name / "run.json"
    content = place = json.loads(path.read_text())
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    path.write_text(json.dumps(content))
    (problem,) = results.read_all()[1].values()
    assert ": :" not in problem
    assert (str(keys[-1]) if value == value else "NaN: no number of ours") in problem


@pytest.mark.parametrize(
    ("spans", "sound"),
    [
        ([(1, 1), (2, 2)], True), ([(1, 2), (2, 2)], True), ([(1, 1), (1, 2)], True),
        ([(1, 2), (1, 2)], False), ([(2, 2)], False),
    ],
)  # fmt: skip
def test_each_sitting_goes_on_where_the_last_one_ended(
    tiny: Plan, tmp_path: Path, put_records: Put, spans: list[tuple[int, int]], sound: bool
) -> None:
    """At an epoch's end, or inside it."""
    results = Results(tmp_path)
    put_records(tiny, results)
    path = tmp_path / "runs" / tiny.runs()[0].name / "run.json"
    content = json.loads(path.read_text())
    content["sittings"] = [sitting(*span).model_dump() for span in spans]
    path.write_text(json.dumps(content))
    assert (not results.read_all()[1]) == sound


@pytest.mark.parametrize(
    ("sides", "told"),
    [(1e308, "configuration.data.side"), (0, "configuration.data.side"), (True, "data.side")],
)
def test_a_side_that_no_image_has_is_unsound(
    tiny: Plan, tmp_path: Path, put_records: Put, sides: object, told: str
) -> None:
    put_records(tiny, Results(tmp_path))
    problem = problem_with(tmp_path, tiny, "data", {"side": sides})
    assert told in problem


@pytest.mark.parametrize("net", [{"depth": 12}, {"classes": 0}, {"stem": "foo"}])
def test_a_net_that_nobody_can_have_trained_is_unsound(
    tiny: Plan, tmp_path: Path, put_records: Put, net: dict[str, object]
) -> None:
    put_records(tiny, Results(tmp_path))
    problem = problem_with(tmp_path, tiny, "net", net)
    assert "configuration.net: no net of ours: " in problem


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        *((key, "-0.5", f"{key} of epoch 1 is -0.5") for key in
          ("train_loss", "test_loss", "seconds", "input_seconds", "rate")),
        ("top1_error", "", "top1_error of epoch 1 is missing"),
        ("seconds", "", "seconds of epoch 1 is missing"),
        ("top5_error", "", "top5_error of epoch 1 is there, or not, as in no other"),
        ("top5_error", "99", "top5_error of epoch 1 is larger than top1_error"),
        ("images", "0", "images of epoch 1 are 0, of 40"),
        ("images", "1.5", "images of epoch 1 are 1.5, of 40"),
        ("images", "41", "images of epoch 1 are 41, of 40"),
        ("images", "3", None),  # a protocol's curve
    ],
)  # fmt: skip
def test_an_epoch_that_cannot_have_been_measured_is_unsound(
    tiny: Plan, tmp_path: Path, put_records: Put, column: str, value: str, told: str | None
) -> None:
    results = Results(tmp_path)
    put_records(tiny, results)
    path = tmp_path / "runs" / tiny.runs()[0].name / "epochs.csv"
    header, first, *others = (line.split(",") for line in path.read_text().splitlines())
    first[header.index(column)] = value
    path.write_text("\n".join(",".join(cells) for cells in (header, first, *others)) + "\n")
    problems = [*results.read_all()[1].values()]
    assert [told is not None and told in problem for problem in problems] == [True] * bool(told)


@pytest.mark.parametrize(
    ("part", "value", "told"),
    [
        ("finished", "yesterday", "finished: "),
        ("finished", "2999-13-45T99:99:99+00:00", "finished: "),
        ("finished", "2026-11-25T23:57:05+09:00", "is not in UTC"),
        ("ended", "", "sittings.0.ended: "),
        ("began", "2026-11-25T23:57:05", "is not in UTC"),
    ],
)
def test_what_is_no_time_is_unsound(
    tiny: Plan, tmp_path: Path, put_records: Put, part: str, value: str, told: str
) -> None:
    put_records(tiny, Results(tmp_path))
    path = tmp_path / "runs" / tiny.runs()[0].name / "run.json"
    content = json.loads(path.read_text())
    (content if part == "finished" else content["sittings"][0])[part] = value
    path.write_text(json.dumps(content))
    assert told in problem_of(path)


def test_of_a_key_that_stands_twice_neither_is_taken(
    tiny: Plan, tmp_path: Path, put_records: Put
) -> None:
    put_records(tiny, Results(tmp_path))
    path = tmp_path / "runs" / tiny.runs()[0].name / "run.json"
    path.write_text(path.read_text().replace('"status":', '"status": "failed", "status":'))
    assert "a key stands twice" in problem_of(path)


def problem_of(path: Path) -> str:
    """What is wrong with a record, in one line."""
    with pytest.raises(UserError) as caught:
        parse(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_damaged_list_of_epochs_gets_one_line(
    tiny: Plan, tmp_path: Path, put_records: Put
) -> None:
    results = Results(tmp_path)
    put_records(tiny, results)
    record = results.read(tiny.runs()[0].name)
    assert record is not None
    path = tmp_path / "runs" / record.name / "epochs.csv"
    twice = path.read_text().replace("epoch,rate", "epoch,epoch")
    damaged = ["epoch,rate\n1,x\n", "epoch,rate\n1\n", "epoch\n1,2\n", "epoch\n1\n", "rate\n1\n2\n"]
    for text in [twice, *damaged, "epoch\n2\n1\n", "", "epoch\n1\n2\n" + "3\n" * 500_000]:
        path.write_text(text)
        with pytest.raises(UserError, match=r"epochs\.csv: cannot be read"):
            results.epochs(record)
