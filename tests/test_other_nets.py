"""docs/other-nets.md: its ablations, scales, options and names are those that there are."""

import re
from dataclasses import fields

import pytest

from cardinality.architecture.names import NETS
from cardinality.architecture.settings import Architecture
from cardinality.experiment.configuration import Ablation, Protocol
from cardinality.experiment.grid import make_plan
from cardinality.experiment.places import ABLATIONS, PROTOCOLS, find
from cardinality.experiment.reading import load
from cardinality.host.machine import Machine
from tests.places import ROOT

WITH = ("resnet", "resnext", "wide_", "se")
PAGE = (ROOT / "docs/other-nets.md").read_text()
ROWS = [
    tuple(re.findall(r"`([\w-]+)`", cell) for cell in (first, last))
    for first, last in re.findall(r"^\| (`[\w-]+`) \|.*\| (`.+`) \|$", PAGE, re.MULTILINE)
]


def test_the_table_has_every_ablation_that_states_its_scales() -> None:
    stated = {}
    for path in (ROOT / "ablations").glob("*.yaml"):
        protocols = load(path, Ablation).protocols
        if protocols is not None:
            stated[path.stem] = sorted(protocols)
    assert {ablation: sorted(scales) for (ablation,), scales in ROWS} == stated


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][0])
def test_each_is_planned_at_its_scales(row: tuple[list[str], list[str]]) -> None:
    for scale in row[1]:
        plan = make_plan(row[0][0], scale, Machine("cpu", "a CPU", 2, False))
        assert plan.runs()


def test_the_names_are_those_that_are_understood() -> None:
    assert {name for name in re.findall(r"`(\w+)`", PAGE) if name.startswith(WITH)} == {*NETS}


def test_the_options_are_those_of_a_net() -> None:
    named = set(re.findall(r"^\| `(\w+)[:`]", PAGE, re.MULTILINE))
    assert named & {field.name for field in fields(Architecture)} == {
        "block", "shortcut", "deep_stem", "pooled_projection", "squeeze",
    }  # fmt: skip


def test_imagenet5k_has_as_many_batches_as_imagenet() -> None:
    thousand, five = (
        load(find(name, PROTOCOLS), Protocol, PROTOCOLS) for name in ("imagenet", "imagenet5k")
    )
    steps = thousand.training.all_steps(thousand.data.training_images)
    assert five.training.all_steps(five.data.training_images) == steps
    an_epoch = thousand.training.steps_an_epoch(thousand.data.training_images)
    assert thousand.training.schedule.name == five.training.schedule.name == "steps"
    drops = tuple(an_epoch * drop for drop in thousand.training.schedule.drops)
    assert five.training.schedule.drops == drops
    assert load(find("imagenet5k", ABLATIONS), Ablation).paper == "imagenet5k"
