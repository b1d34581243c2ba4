"""YAML files: what is wrong is said in one line, with file, key and what is allowed."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.experiment.configuration import Ablation, Protocol
from cardinality.experiment.grid import make_plan
from cardinality.experiment.places import PROTOCOLS
from cardinality.experiment.reading import load
from cardinality.host.machine import Machine
from tests.places import ROOT
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL


def refused(path: Path, text: str, model: type[Ablation] | type[Protocol]) -> str:
    """The one line that a file is refused with."""
    path.write_text(text)
    with pytest.raises(UserError) as caught:
        load(path, model)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ("epochs: 2", "epoch: 2", "training.epoch:", "epochs, steps, batch, rate"),
        ("side: 16", "sise: 16", "data.sise:", "name, side, train"),
        ("warmup: 0.5", "warm: 0.5", "training.schedule.warm:", "name, warmup"),
        ("epochs: 2", "epochs: two", "training.epochs:", "integer"),
        ("epochs: 2", "epochs: '2'", "training.epochs:", "integer"),
        ("epochs: 2", "epochs: true", "training.epochs:", "integer"),
        ("epochs: 2", "epochs: 0", "training.epochs:", "greater than or equal to 1"),
        ("rate: 0.05", "rate: .inf", "line 11:", "a number like 64 or 0.5"),
        ("rate: 0.05", "rate: -1", "training.rate:", "greater than 0"),
        ("flip: false", "flip: 1", "training.flip:", "boolean"),
        ("stem: cifar-stride2", "stem: cifer", "stem:", "'imagenet', 'cifar' or 'cifar-stride2'"),
        ("name: one-cycle", "name: cosine", "training.schedule:", "'steps', 'one-cycle'"),
        ("precision: float32", "precision: half", "numerics.precision:", "'auto', 'bfloat16'"),
        ("side: 16", "side: 8", "data.side:", "greater than or equal to 16"),
        ("base: 11", "bse: 11", "depths.bse:", "base, deep, double, residual"),
        ("seeds: 2\n", "", "seeds:", "allowed keys: title"),
        ("seeds: 2\n", "seeds: 2\nseeds: 3\n", "line 8:", "'seeds' stands twice"),
        ("seeds: 2\n", "seeds: [2\n", "line ", "expected"),
        ("seeds: 2\n", "seeds: 2\n? [a]\n: 1\n", "line ", "names as keys"),
        ("seeds: 2\n", "seeds: 2\n2020: 1\n", "line ", "names as keys"),
        ("flip: false", "flip: false\n  norm_images: 33", "training:", "at most the batch"),
        (
            "{name: one-cycle, warmup: 0.5}",
            "{name: steps, drops: [-3, 999], factor: 0.1}",
            "training:",
            "rising, from 1 to 1",
        ),
        ("double: 38", "double: 900000000002", "depths.double:", "less than or equal to 10000"),
        ("seeds: 2\n", "seeds: &x 2\nspeedy: *x\n", "line ", "aliases are not allowed"),
    ],
)
def test_mistakes_in_a_protocol(tmp_path: Path, old: str, new: str, key: str, allowed: str) -> None:
    assert TINY_PROTOCOL.count(old) == 1 or old == "base: 11"
    message = refused(tmp_path / "p.yaml", TINY_PROTOCOL.replace(old, new, 1), Protocol)
    assert message.startswith(key)
    assert allowed in message


@pytest.mark.parametrize(
    ("old", "new", "key", "allowed"),
    [
        ("32x4d", "16x8d", "rows.1.setting:", "+7.4% of the 69,632 of 1 x 1x64d; allowed: 3.0%"),
        ("{setting: 32x4d}", "{setting: 32x4d, budget: 2}", "rows.1.setting:", "-49.6%"),
        ("{setting: 32x4d}", "{setting: 32x4d, budget: 3}", "rows.1.budget:", "1 or 2"),
        (
            "{setting: 32x4d}",
            "{setting: 32x4d, lable: x}",
            "rows.1.lable:",
            "setting, depth, budget",
        ),
        ("{setting: 32x4d}", "{setting: 32x4d, depth: base}", "rows.1.depth:", "one of the two"),
        ("32x4d", "4dx32", "rows.1.setting:", "like 32x4d"),
        ("setting: 32x4d", "setting: 32", "rows.1.setting:", "like 32x4d"),
        ("{setting: 1x64d}", "{setting: 2x40d}", "reference:", "the setting of one"),
        ("{setting: 32x4d}", "{setting: 1x64d}", "rows.1:", "each row once"),
        ("[base]", "[]", "depths:", "at least one item"),
        ("[base]", "[base, base]", "depths:", "each once"),
        ("[base]", "[bass]", "depths.0:", "'base', 'deep', 'double' or 'residual'"),
        ("[base]", "base", "depths:", "valid array"),
        ("reference: 1x64d\n", "", "reference:", "allowed keys: title, question"),
    ],
)
def test_mistakes_in_an_ablation(
    tmp_path: Path, old: str, new: str, key: str, allowed: str
) -> None:
    assert TINY_ABLATION.count(old) == 1
    message = refused(tmp_path / "a.yaml", TINY_ABLATION.replace(old, new), Ablation)
    assert message.startswith(key)
    assert allowed in message


def test_rows_need_a_row(tmp_path: Path) -> None:
    text = TINY_ABLATION.split("rows:")[0] + "rows: []\n"
    assert "rows: is an empty list" in refused(tmp_path / "a.yaml", text, Ablation)


def test_a_tolerance_can_be_stated_and_deeper_rows_are_exempt(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(TINY_ABLATION.replace("32x4d", "16x8d") + "tolerance: 0.08\n")
    assert load(path, Ablation).rows[1].setting.width == 8
    path.write_text(TINY_ABLATION.replace("32x4d", "1x64d, budget: 2, deeper: true"))
    assert load(path, Ablation).rows[1].deeper


def test_files_that_are_no_configuration(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nope\.yaml: No such file"):
        load(tmp_path / "nope.yaml", Ablation)
    path = tmp_path / "a.yaml"
    for text in ("", "[]", "3", "text"):
        assert "allowed keys: title" in refused(path, text, Ablation)
    path.write_bytes(b"\xff\xfe\x00title")
    with pytest.raises(UserError, match="UTF-8"):
        load(path, Ablation)
    assert "100,000 bytes" in refused(path, "#" * 100_001, Ablation)
    assert refused(path, "a: !!python/object/apply:os.getcwd []", Ablation).startswith("line 1:")
    assert refused(path, "[" * 5000, Ablation)


@pytest.mark.parametrize(
    "value",
    ["064", "0o64", "0x40", "0b1", "1_0", "1:30", "12:30:45", "1:30.5", ".inf", "-.inf", ".nan",
     "yes", "No", "on", "OFF", "y", "N", "2020-01-01", "9" * 5000, "!!binary aGk=", "!!bool x",
     "!!int ''", "!!int 3", "!!float x", "! 3", "=", '"\\ud800"', '"\\e[31m"', '"\\u202e"', 
     "2020-01-01T00:00:00Z", "08", "-07", "!!python/name:os.system", "!!set {a, b}",
     "!!timestamp 2020", "!!null x", "{<<: {a: 1}}"],
)  # fmt: skip
def test_what_two_readers_would_read_differently_is_refused(tmp_path: Path, value: str) -> None:
    message = refused(tmp_path / "a.yaml", f"title: {value}\n", Ablation)
    assert message.startswith("line 1: ")
    assert len(message) < 300
    assert message.isprintable()


@pytest.mark.parametrize("letter", ["\u0085", "\u2028", "\u2029"])
def test_what_ends_a_line_for_some_readers_alone_is_refused(tmp_path: Path, letter: str) -> None:
    message = refused(tmp_path / "a.yaml", f"title: a # {letter}seeds: 3\n", Ablation)
    assert "ends a line in YAML 1.1" in message
    assert message.isprintable()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: 0", "seeds: input should be greater than or equal to 1"),
        ("seeds: {base: 0}", "seeds.base: input should be greater than or equal to 1"),
        ("speed: {cpu: -1}", "speed.cpu: input should be greater than 0"),
        ("speed: {tpu: 1}", "speed.tpu: input should be 'cpu' or 'cuda'"),
    ],
)
def test_a_message_has_the_keys_of_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"based_on: quick\n{text}\n")
    with pytest.raises(UserError) as refusal:
        load(path, Protocol, bases=PROTOCOLS)
    assert str(refusal.value).removeprefix(f"{path}: ").startswith(message)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("24h", "24h"),
        ("'064'", "064"),
        ("64", 64),
        ("0", 0),
        ("-3", -3),
        ("5e-4", 5e-4),
        ("5.e3", 5e3),
        (".5e3", 5e2),
        ("1.5", 1.5),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("1:64d", "1:64d"),
        ("nein", "nein"),
        ("> several\n  lines", "several lines\n"),
    ],
)
def test_what_every_reader_reads_alike_stays(tmp_path: Path, value: str, expected: object) -> None:
    class Anything(Strict):
        title: Any

    path = tmp_path / "a.yaml"
    if value.startswith(">"):
        value = ">\n  several\n  lines"
    path.write_text(f"\ufefftitle: {value}\n", encoding="utf-8")
    assert load(path, Anything).title == expected


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop", "large"])
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.yaml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        path.write_text("#" * 200_000)
    with pytest.raises(UserError, match=r"a\.yaml: "):
        load(path, Ablation)


def test_numbers_with_exponents_need_no_dot(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(TINY_PROTOCOL)
    assert load(path, Protocol).training.decay == 5e-4


def leaves(content: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where every value of a parsed YAML file stands."""
    if isinstance(content, dict):
        return [at] + [leaf for k, v in content.items() for leaf in leaves(v, (*at, k))]
    if isinstance(content, list):
        return [at] + [leaf for k, v in enumerate(content) for leaf in leaves(v, (*at, k))]
    return [at]


junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.data())
def test_whatever_a_file_says_it_loads_or_gets_one_line(
    tmp_path: Path, data: st.DataObject
) -> None:
    text = data.draw(st.sampled_from([TINY_ABLATION, TINY_PROTOCOL]))
    model: type[Ablation] | type[Protocol] = Ablation if text == TINY_ABLATION else Protocol
    content = yaml.safe_load(text)
    where = data.draw(st.sampled_from(leaves(content)))
    value = data.draw(junk)
    if where:
        parent = content
        for key in where[:-1]:
            parent = parent[key]
        parent[where[-1]] = value
    else:
        content = value
    path = tmp_path / "fuzzed.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8", errors="replace")
    message = f"{path}: "
    try:
        load(path, model)
    except UserError as error:
        message = str(error)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message


def test_the_suites_own_files_say_what_they_must() -> None:
    for path in (ROOT / "ablations").glob("*.yaml"):
        ablation = load(path, Ablation)
        assert ablation.title
        assert ablation.question.endswith("?")
    for path in (ROOT / "ablations" / "protocols").glob("*.yaml"):
        assert load(path, Protocol, bases=PROTOCOLS).evidence


def read_protocol(tmp_path: Path, old: str, new: str) -> Protocol:
    """The tiny protocol with one thing changed, as a user's file."""
    path = tmp_path / "mine.yaml"
    assert old in TINY_PROTOCOL
    # Of base 32, at which Table 3's settings are whole.
    path.write_text(TINY_PROTOCOL.replace(old, new).replace("base: 16", "base: 32"))
    return load(path, Protocol, bases=PROTOCOLS)


def test_a_duration_is_in_epochs_or_in_steps_and_never_in_both(tmp_path: Path) -> None:
    training = read_protocol(tmp_path, "epochs: 2", "steps: 7").training
    assert (training.epochs, training.all_steps(80), training.all_epochs(80)) == (None, 7, 3)
    for wrong in ("epochs: 2\n  steps: 7", "# epochs: 2"):
        with pytest.raises(UserError, match="exactly one of the two"):
            read_protocol(tmp_path, "epochs: 2", wrong)
    # A protocol that is based on another may state its duration in the other unit.
    (tmp_path / "longer.yaml").write_text(
        "based_on: cifar10-small\n"
        "training: {steps: 64000, schedule: {name: one-cycle, warmup: 0.3}}\n"
    )
    assert load(tmp_path / "longer.yaml", Protocol, bases=PROTOCOLS).training.steps == 64000


def test_seeds_are_a_number_or_one_a_role(tmp_path: Path, machine: Machine) -> None:
    protocol = read_protocol(tmp_path, "seeds: 2", "seeds: {base: 3, deep: 1}")
    assert (protocol.count("base"), protocol.count("deep")) == (3, 1)
    plan = make_plan("table3", str(tmp_path / "mine.yaml"), machine)
    assert {entry.role: len(entry.runs) for entry in plan.entries} == {"base": 3, "deep": 1}
    with pytest.raises(UserError, match="seeds: none for the role residual; stated are base, deep"):
        make_plan("residual", str(tmp_path / "mine.yaml"), machine)
    with pytest.raises(UserError, match="seeds"):
        read_protocol(tmp_path, "seeds: 2", "seeds: {bass: 3}")


def test_a_role_that_a_protocol_has_not_is_told_when_it_is_asked_for(
    tmp_path: Path, machine: Machine
) -> None:
    read_protocol(tmp_path, "{base: 11, deep: 20, double: 38, residual: 11}", "{base: 11}")
    with pytest.raises(UserError, match=r"depths.deep: is missing, and table3 asks for it"):
        make_plan("table3", str(tmp_path / "mine.yaml"), machine)
    assert make_plan("figure7", str(tmp_path / "mine.yaml"), machine).runs()


def test_what_is_said_of_a_scale_is_not_said_of_another(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    for change, evidence, speed in (
        ("seeds: 1", True, True),
        ("data: {title: My photographs, folders: [mine], classes: 7}", False, False),
        ("depths: {base: 101}", False, False),
        ("numerics: {threads: 2}", True, False),
    ):
        path.write_text(f"based_on: imagenet\n{change}\n")
        protocol = load(path, Protocol, bases=PROTOCOLS)
        assert (protocol.evidence is not None, protocol.speed is not None) == (evidence, speed)


def test_the_key_committed_has_no_effect_and_that_is_told_once(
    tmp_path: Path, machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    read_protocol(tmp_path, "speed: 5", "speed: 5\ncommitted: true")
    for _ in range(2):
        make_plan("table3", str(tmp_path / "mine.yaml"), machine)
    assert capsys.readouterr().err.count("committed: has no effect any more") == 1


@pytest.mark.parametrize(
    ("change", "batch", "message"),
    [
        ("flip: false, norm_images: 16", 8, "norm_images: 16; allowed: at most the batch"),
        ("flip: false", 80, r"training.schedule.warmup: 0.5 of 2 steps in all is no more than one"),
        ("flip: false", 81, "training.batch: 81; allowed: at most the 80 images"),
        ("flip: false", 200_000, "allowed are 2 to 100,000"),
    ],
)
def test_another_batch_is_held_to_what_a_file_is_held_to(
    change: str, batch: int, message: str, tmp_path: Path, machine: Machine
) -> None:
    name, value = change.partition(", ")[::2]
    read_protocol(tmp_path, "flip: false", f"{name}\n  {value}" if value else name)
    with pytest.raises(UserError, match=f"^--batch {batch}: .*{message}"):
        make_plan("figure7", str(tmp_path / "mine.yaml"), machine, batch=batch)
    assert make_plan("figure7", str(tmp_path / "mine.yaml"), machine, batch=20).runs()
