"""Cells that lie near each other, and files of claims that are corrected by themselves."""

import numpy as np
import pytest
from scipy import stats

from cardinality.analysis.claims import Claims, read_all_claims, read_claims
from cardinality.analysis.ledger import early
from cardinality.analysis.outcomes import Cell, Outcomes
from cardinality.analysis.verdicts import Verdict, judge

ALL = read_all_claims()
A, B, C = (Cell("1x64d", "56 layers", True, kind) for kind in
           ("basic, shortcut A", "basic", "basic, shortcut C"))  # fmt: skip
PLAIN = Cell("1x64d", "56 layers", False, "basic")
TWENTY = {
    "plain": Cell("1x64d", "20 layers", False, "basic"),
    "residual": Cell("1x64d", "20 layers", True, "basic, shortcut A"),
}


def verdict(name: str, errors: dict[Cell, list[float]], claims: Claims = ALL) -> Verdict:
    """The verdict on one claim by itself."""
    alone = claims.asked((name,))
    seeds = {cell: dict(enumerate(values)) for cell, values in errors.items()}
    stated = {cell: range(len(values)) for cell, values in errors.items()}
    table = alone.claims[0].table
    return judge(alone, {table: Outcomes({"top1_error": seeds}, {}, stated)})[0]


def at_20(*differences: float) -> Verdict:
    plain = [12.0, 12.4, 11.8, 12.1, 12.3]
    residual = [error + off for error, off in zip(plain, differences, strict=True)]
    return verdict("resnet-alike-at-20", {TWENTY["plain"]: plain, TWENTY["residual"]: residual})


def test_within_a_point_is_schuirmanns_two_tests() -> None:
    offs = np.array([0.2, -0.1, 0.3, 0.1, 0.0])
    found = at_20(*offs)
    above = stats.ttest_1samp(offs, 1.0, alternative="less").pvalue
    below = stats.ttest_1samp(offs, -1.0, alternative="greater").pvalue
    assert found.evidence.p == pytest.approx(max(above, below))
    assert found.decision == "supported"


def test_no_difference_seen_is_not_within() -> None:
    """Widely scattered pairs show no difference, and no sameness either."""
    assert at_20(3.0, -3.0, 2.0, -2.0, 0.0).decision == "undecided"


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_further_apart_contradicts_either_way(sign: int) -> None:
    found = at_20(*(sign * off for off in (2.0, 2.1, 1.9, 2.2, 2.0)))
    assert found.decision == "contradicted"
    assert found.p_against is not None
    assert found.p_against > 0.0


def test_a_share_of_another_difference_is_taken_by_seed() -> None:
    plain, middle = [20.0, 21.0, 20.5, 20.2, 20.7], [14.0, 15.1, 14.4, 14.3, 14.6]
    near = [error + off for error, off in zip(middle, (0.3, 0.1, 0.2, 0.4, 0.2), strict=True)]
    far = [error - 4 for error in middle]
    same = {PLAIN: plain, A: near, B: middle, C: [e - 0.2 for e in middle]}
    assert verdict("resnet-shortcuts-alike", same).decision == "supported"
    assert verdict("resnet-shortcuts-alike", same | {C: far}).decision == "contradicted"
    limit = np.array(near) - np.array(middle) - (np.array(plain) - np.array(middle)) * 0.3333333333
    expected = stats.ttest_1samp(limit, 0.0, alternative="less").pvalue
    links = verdict("resnet-shortcuts-alike", same).links
    (link,) = (each for each in links if (each.first, each.second) == (A, B))
    assert link.evidence.p == pytest.approx(expected)


def test_an_early_error_is_of_the_first_quarter() -> None:
    assert early([60.0, 40.0, 30.0, 20.0, 10.0, 9.0, 8.0, 7.0]) == 50.0
    assert early([60.0, 40.0, 30.0, 20.0, 10.0]) == 50.0
    assert early([33.0]) == 33.0


def test_other_files_change_nothing_of_the_first() -> None:
    """The twenty claims, their families and their sizes are those of claims.yaml alone."""
    first = read_claims()
    own = [claim for claim in ALL.claims if claim.of == ""]
    assert own == list(first.claims)
    tables = {claim.table for claim in first.claims}
    assert ALL.at_scale(tables) == first
    nothing: dict[str, Outcomes] = {}
    sizes = {each.claim: each.family_size for each in judge(ALL, nothing)}
    assert {each.claim: each.family_size for each in judge(first, nothing)}.items() <= sizes.items()


def test_a_scale_is_asked_what_its_tables_are_for() -> None:
    small = ALL.at_scale({"resnet-table6", "resnet-shortcuts"})
    assert {claim.table for claim in small.claims} == {"resnet-table6", "resnet-shortcuts"}
    assert [claim.name for claim in small.claims if claim.family == "primary"] == [
        "resnet-plain-degrades",
        "resnet-shortcuts-alike",
    ]
    # A table that is for every scale and cannot be planned at one stays, as not run.
    assert len(ALL.at_scale({"figure7"}).claims) == 20
