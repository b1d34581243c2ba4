"""What strangers wrote, on the pages that are made of it: text, and nothing but text."""

import json
import re
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.host.machine import Machine
from cardinality.report import claims_page, outside
from cardinality.report.judged import judge_protocol
from cardinality.report.render import render
from cardinality.results.folder import Results
from tests.report.made_runs import SCALE, put, workspace_of

PRINTABLE = "<img src=x onerror=y>|[a](http://b)`c`**d**"
NASTY = f"\x1b]0;x\x07{PRINTABLE}"
# A tag, a link, emphasis, a cell that is not one of ours, what moves a cursor.
MARKS = re.compile(r"<img|\[a\]\(|\*\*d\*\*|`c`|y>\||[\x00-\x09\x0b-\x1f\x7f]")


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    return workspace_of(tmp_path)


def test_a_record_says_nothing_but_text(results: Results, machine: Machine) -> None:
    plan = make_plan("table3", SCALE, machine, 1)
    put(plan, results)
    for path in results.folder.glob("runs/*/run.json"):
        record = json.loads(path.read_text())
        for sitting in record["sittings"]:
            sitting |= {"device": NASTY, "commit": NASTY}
            sitting["versions"]["torch"] = NASTY
        path.write_text(json.dumps(record))
    page, _ = render(plan, results)
    assert "onerror" in page
    assert MARKS.search(page) is None


def test_a_scale_says_nothing_but_text(results: Results, machine: Machine) -> None:
    put(make_plan("table3", SCALE, machine, 1), results)
    scale = results.folder.parents[1] / f"ablations/protocols/{SCALE}.yaml"
    lines = scale.read_text().splitlines()
    stated = [
        f"title: {json.dumps(PRINTABLE)}" if line.startswith("title") else line for line in lines
    ]
    scale.write_text("\n".join(stated))
    page = claims_page.page(judge_protocol(SCALE, results))
    assert "onerror" in page
    assert MARKS.search(page) is None


def test_a_heading_of_anybodys_csv_says_nothing_but_text(tmp_path: Path) -> None:
    file = tmp_path / "[a](http:b).csv"
    rows = [f"{name},{seed},{20 + seed},1" for name in ("1x64d", "32x4d") for seed in range(3)]
    file.write_text("\n".join([f"setting,seed,error,{NASTY}", *rows]))
    page = outside.page(outside.judge_file(file, None, ()))
    assert "onerror" in page
    assert MARKS.search(page) is None
    assert "[a](http:b)" not in page
    file.write_text("\n".join([f"setting,seed,error,{'x' * 101}", *rows]))
    with pytest.raises(UserError, match=r"line 1: a value of 101 characters; allowed: 100"):
        outside.judge_file(file, None, ())
