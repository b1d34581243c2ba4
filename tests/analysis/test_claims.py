from collections import Counter
from pathlib import Path

import pytest

from cardinality.analysis.claims import Claims, read_claims
from cardinality.analysis.ledger import cell_of
from cardinality.common.errors import UserError
from cardinality.experiment.grid import make_plan
from cardinality.host.machine import Machine
from tests.places import ROOT

TEXT = (ROOT / "paper_tables" / "claims.yaml").read_text()


@pytest.fixture(scope="module")
def claims() -> Claims:
    return read_claims()


def test_every_cell_of_a_claim_is_a_line_of_its_table(
    claims: Claims, machine_once: Machine
) -> None:
    for claim in claims.claims:
        plan = make_plan(claim.table, "cifar10-small", machine_once)
        assert {*claim.cells} <= {cell_of(entry) for entry in plan.entries}, claim.name


@pytest.fixture(scope="module")
def machine_once() -> Machine:
    return Machine("cpu", "a CPU", 2, False)


def test_each_table_has_one_primary_claim(claims: Claims) -> None:
    primary = [claim.table for claim in claims.claims if claim.family == "primary"]
    assert primary == ["table3", "table4", "residual", "figure7"]
    secondary = Counter(claim.table for claim in claims.claims if claim.family == "secondary")
    assert secondary == {"table3": 12, "table4": 2, "residual": 2}
    assert (claims.level, claims.fewest_pairs, claims.from_revision) == (0.05, 3, 4)


def test_a_protocol_may_ask_some_of_them(claims: Claims) -> None:
    asked = claims.asked(("table3-trend-base", "table3-32x4d-base"))
    assert [claim.name for claim in asked.claims] == ["table3-trend-base", "table3-32x4d-base"]
    with pytest.raises(UserError, match="'tabel3': no such claim; allowed: table3-trend-base, "):
        claims.asked(("tabel3",))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("alternative: falls", "alternative: rises", "claims.0.test.alternative: "),
        ("fewest_pairs: 3", "fewest_pairs: 2", "fewest_pairs: "),
        ("level: 0.05", "levle: 0.05", "levle: unknown key; allowed: from_revision, level"),
        ("family: primary", "family: secondary", "claims.0.family: table3 has 0 primary claims"),
        ("name: table3-trend-deep", "name: table3-trend-base", "claims.1.name: table3-trend-base"),
        ("{setting: 4x24d, role: base}", "{setting: 1x24d, role: base}", "allowed: rising ones"),
        ("second: {setting: 1x64d, role: base}", "second: {setting: 2x40d, role: base}", "first"),
        ("setting: 2x40d", "setting: 2x40", "expected CARDINALITYxWIDTHd"),
        ("1x64d, role: deep}\n      second", "32x4d, role: base}\n      second", "four"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "claims.yaml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(UserError) as caught:
        read_claims(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
