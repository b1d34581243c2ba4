"""Every CSV file that is written: what a stranger calls things is text in a spreadsheet."""

import csv
import re
from pathlib import Path

import pandas as pd

from cardinality.report.canvas import write_csv
from cardinality.report.pages.shapes import Numbers
from cardinality.report.pages.write import to_csv
from tests.places import ROOT

STRANGE = ["=1+1", "+cmd|x", "@SUM(A1)", "-x", "\t=1", "a\r=2", "x\x1b[2J"]
AS_TEXT = ["'=1+1", "'+cmd|x", "'@SUM(A1)", "'-x", "'=1", "a =2", "x\\x1b[2J"]
# Who writes CSV; all but these two write numbers of ours alone.
WRITERS = {"report/canvas.py", "report/pages/write.py", "results/epochs.py"}


def test_tables_and_the_data_of_plots(tmp_path: Path) -> None:
    values = [-1.5, float("nan"), 0.123456789, 2, 3, 4, -7]
    frame = pd.DataFrame({"name": STRANGE, "=heading": values, "some": [None, *STRANGE[1:]]})
    write_csv(tmp_path / "a.csv", frame)
    with (tmp_path / "a.csv").open(newline="") as file:
        heading, *lines = csv.reader(file)
    assert heading == ["name", "'=heading", "some"]
    assert [line[0] for line in lines] == AS_TEXT
    assert [line[1] for line in lines] == ["-1.5", "", "0.123457", "2", "3", "4", "-7"]
    assert [line[2] for line in lines] == ["", *AS_TEXT[1:]]


def test_numbers_of_pages() -> None:
    numbers = Numbers("a.csv", ("name", "=heading"), tuple((name, -1.5) for name in STRANGE))
    heading, *lines = csv.reader(to_csv(numbers).splitlines())
    assert heading == ["name", "'=heading"]
    assert lines == [[name, "-1.5"] for name in AS_TEXT]


def test_nobody_else_writes_csv() -> None:
    package = ROOT / "src" / "cardinality"
    found = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\.to_csv\(|csv\.(writer|DictWriter)\(", path.read_text())
    }
    assert found == WRITERS
