"""The released record: every column is in the data card, and the archive holds together."""

import csv
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from tests.places import ROOT

CARD = (ROOT / "docs" / "data-card.md").read_text()
NAMES = set(re.findall(r"`([\w.]+)`", CARD))


def known(column: str) -> bool:
    """Whether the card has a column, by its name or by what it ends or begins with."""
    endings = ("_relative", "_deviation", "_difference", "_low", "_high", "_without_shortcuts")
    while column not in NAMES:
        stem = next((column.removesuffix(end) for end in endings if column.endswith(end)), column)
        stem = stem.removeprefix("paper_")
        if stem == column:
            return False
        column = stem
    return True


def test_the_card_has_every_column() -> None:
    everywhere = [*(ROOT / "results").rglob("*.csv"), *(ROOT / "paper_tables/reference").glob("*")]
    # What is computed where the user is, and what `make report` makes, is in no clone.
    files = [path for path in everywhere if not {"quick", "numbers"} & {*path.parts}]
    kinds = {path.parent.name for path in files}
    assert {"bench", "cifar10-small", "tables", "plots", "reference"} <= kinds
    for path in files:
        with path.open(newline="") as file:
            heading = next(csv.reader(file))
        assert [column for column in heading if not known(column)] == [], path


def test_the_citation_is_yaml_of_its_format() -> None:
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= cited.keys()
    assert cited["references"][0]["url"].endswith("1611.05431")


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="of a checkout alone")
def test_the_archive_has_checksums_of_all_that_is_in_it(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    clone = ["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(copy)]
    subprocess.run(clone, check=True)
    archives = []
    for _ in range(2):
        subprocess.run(["make", "--silent", "release"], cwd=copy, check=True)
        archives.append((copy / "dist" / "cardinality-results.tar.gz").read_bytes())
    assert archives[0] == archives[1]
    with tarfile.open(copy / "dist" / "cardinality-results.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    inside = tmp_path / "cardinality-results"
    check = ["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"]
    subprocess.run(check, cwd=inside, check=True)
    listed = {line.split("  ", 1)[1] for line in (inside / "SHA256SUMS").read_text().splitlines()}
    there = {str(p.relative_to(inside)) for p in inside.rglob("*") if p.is_file()}
    assert there == listed | {"SHA256SUMS"}
    shutil.rmtree(copy)
