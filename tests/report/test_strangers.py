"""What strangers wrote into records, files and names stays text on every page."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.host.machine import Machine
from cardinality.report import claims_page, outside, twice
from cardinality.report.decision import decided
from cardinality.report.judged import judge_protocol
from cardinality.report.latex import escape
from cardinality.report.markdown import to_markdown
from cardinality.report.render import render
from cardinality.results.folder import Results
from tests.made_pages import NASTY
from tests.report.made_runs import SCALE, put, workspace_of

MARKED = f"{NASTY} **supported** _x_"
STRANGE = f"{MARKED} \x1b[31m \u202e"


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Results:
    monkeypatch.setenv("CARDINALITY_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("CARDINALITY_WORKSPACE", str(tmp_path))
    return workspace_of(tmp_path)


def is_text(page: str, marks: int = 0) -> None:
    """Hold a page to have no tag, link, cell, colour or emphasis (but so many) of a stranger's."""
    assert all(line.isprintable() for line in page.splitlines())
    assert not re.search(r"<\w|\]\(javascript|`c`|\b_x_\b", page)
    assert page.count("**supported**") == marks
    rows = [line for line in page.splitlines() if line.startswith("|")]
    rules = [n for n, row in enumerate(rows) if re.fullmatch(r"[|: -]+", row)]
    ends = [*(rule - 1 for rule in rules), len(rows)][1:]
    for rule, end in zip(rules, ends, strict=True):
        assert len({row.count("|") for row in rows[rule - 1 : end]}) == 1


def of_a_stranger(results: Results) -> None:
    """Give the records versions, a commit and a device that somebody else wrote."""
    for path in results.folder.glob("runs/*/run.json"):
        record = json.loads(path.read_text())
        for sitting in record["sittings"]:
            sitting |= {"device": STRANGE, "commit": STRANGE, "versions": {"torch": STRANGE}}
        path.write_text(json.dumps(record))


def test_of_a_record_and_a_scale(machine: Machine, results: Results, tmp_path: Path) -> None:
    scale = tmp_path / f"ablations/protocols/{SCALE}.yaml"
    scale.write_text(scale.read_text().replace("A made scale", json.dumps(MARKED)))
    plan = make_plan("table3", SCALE, machine)
    put(plan, results)
    of_a_stranger(results)
    page, _ = render(plan, results)
    is_text(page)
    assert "torch &lt;script&gt;alert" in page
    latex, _ = render(plan, results, "latex")
    assert "&" not in latex.split(r"\end{tabular}")[1].replace(r"\&", "")
    assert latex.replace("\n", "").isprintable()
    assert r"torch \textless{}script\textgreater{}alert" in latex
    judged = judge_protocol(SCALE, results)
    supported = sum(verdict.decision == "supported" for verdict in judged.verdicts)
    is_text(claims_page.page(judged), supported)


def test_of_a_claim(machine: Machine, results: Results, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ledgers and of the sentence that a table ends with."""
    plan = make_plan("residual", SCALE, machine)
    judged = judge_protocol(SCALE, results)
    strange = [replace(verdict, text=STRANGE) for verdict in judged.verdicts]
    is_text(to_markdown(claims_page.columns(strange)))
    judged = replace(judged, ledger=replace(judged.ledger, verdicts=tuple(strange)))
    is_text(claims_page.overview([judged]))
    (one,) = (verdict for verdict in strange if verdict.claim == "residual-ahead")
    monkeypatch.setattr(
        "cardinality.report.decision.judge_plans",
        lambda *_: replace(judged, ledger=replace(judged.ledger, verdicts=(one,))),
    )
    is_text(decided(plan, results))


def theirs(folder: Path, heading: str) -> Path:
    path = folder / "<img src=x> [a](b)\x1b[2J.csv"
    cells = '"' + heading.replace('"', '""') + '"'
    path.write_text(f"setting,seed,error,{cells}\n1x64d,0,25,1\n32x4d,0,24,1\n")
    return path


def test_of_a_file_of_runs(tmp_path: Path) -> None:
    found = outside.judge_file(
        theirs(tmp_path, "a<b|<img src=x>\x1b[2J[a](javascript:b)"), None, ()
    )
    page = outside.page(found)
    is_text(page)
    assert "# &lt;img src=x&gt; &#91;a&#93;(b)\\x1b&#91;2J.csv: 2 runs as given" in page
    assert "Columns that mean nothing here: a&lt;b&#124;&lt;img" in page
    (written, *_) = outside.write(found, tmp_path / "out")
    assert written.read_text() == page


def test_headings_are_as_short_as_values(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="line 1: a value of 101 characters; allowed: 100"):
        outside.judge_file(theirs(tmp_path, "x" * 101), None, ())
    many = ",".join(f"column {number}" for number in range(1000))
    path = tmp_path / "many.csv"
    path.write_text(f"setting,seed,error,{many}\n1x64d,0,25{',' * 1000}\n")
    assert len(outside.page(outside.judge_file(path, None, ()))) < 1500


def test_of_two_folders_of_results(machine: Machine, results: Results) -> None:
    put(make_plan("table3", SCALE, machine), results)
    folder = results.folder.rename(results.folder.parent / "<img src=x> `c` \x1b[2J")
    is_text(twice.page(twice.compare(folder, folder, 0.5, None)))


def test_latex_shows_what_was_written() -> None:
    assert escape("a\x1b*b*\n&lt; `c`") == r"a\textbackslash{}x1b*b* \&lt; `c`"
