import pytest

from cardinality.analysis.claims import read_claims
from cardinality.analysis.outcomes import Cell, Outcomes
from cardinality.analysis.planning import Runs, corrected_level, seeds_for_paper, seeds_to_detect
from cardinality.analysis.power import t_power
from tests.analysis.made import TABLE3, made, revision3

CLAIMS = read_claims()
PAPER = {"table3": dict(zip(TABLE3, (23.9, 23.0, 22.6, 22.3, 22.2), strict=True))}
OURS = Runs("revision 3", {"table3": Outcomes({"top1_error": revision3()["top1_error"]})})


def test_the_level_is_that_of_holms_first_step() -> None:
    levels = {claim.name: corrected_level(claim, CLAIMS) for claim in CLAIMS.claims}
    assert levels["table3-trend-base"] == 0.05 / 4
    assert levels["table3-32x4d-base"] == 0.05 / 12
    assert levels["residual-both-lose"] == 0.05 / 2


def test_seeds_to_find_half_a_point() -> None:
    needed = {each.claim: each for each in seeds_to_detect(CLAIMS, 0.5, [OURS])}
    trend, pair = needed["table3-trend-base"], needed["table3-32x4d-base"]
    assert (trend.effect, pair.effect) == (0.5, 0.5)
    assert trend.spread is not None
    assert pair.spread is not None
    assert (trend.spread.whose, trend.spread.degrees, pair.spread.degrees) == ("revision 3", 16, 4)
    assert trend.seeds is not None
    assert pair.seeds is not None
    assert t_power(0.5, pair.spread.upper, pair.seeds, pair.level) >= 0.8
    assert 3 < trend.seeds < pair.seeds  # five settings tell more than two
    assert trend.cells == TABLE3
    unknown = needed["table3-32x4d-deep"]  # a single seed there
    assert (unknown.seeds, unknown.why) == (None, "no deviation")


def test_seeds_for_the_papers_own_differences() -> None:
    needed = {each.claim: each for each in seeds_for_paper(CLAIMS, PAPER, [OURS])}
    assert needed["table3-32x4d-base"].effect == pytest.approx(1.7)
    assert needed["table3-trend-base"].effect == pytest.approx(1.7)
    assert needed["table3-trend-deep"].why == "no effect stated"
    assert needed["table3-train-base"].why == "no effect stated"
    swapped = {"table3": {**PAPER["table3"], TABLE3[4]: 25.0}}
    backwards = {each.claim: each for each in seeds_for_paper(CLAIMS, swapped, [OURS])}
    assert backwards["table3-32x4d-base"].why == "no effect that way"


def test_the_first_runs_that_have_a_deviation_give_it() -> None:
    empty = Runs("nobody", {"table3": made({TABLE3[0]: [20.0]})})
    needed = seeds_to_detect(CLAIMS, 0.5, [empty, OURS])
    assert needed[0].spread is not None
    assert needed[0].spread.whose == "revision 3"
    assert {each.why for each in seeds_to_detect(CLAIMS, 0.5, [])} == {"no deviation"}


def test_a_chain_needs_what_its_worst_link_needs() -> None:
    cells = [Cell("32x4d", "residual", with_) for with_ in (True, False)]
    others = [Cell("1x64d", "residual", with_) for with_ in (True, False)]
    rows = {
        cells[0]: [22.0, 22.5, 22.1], others[0]: [25.0, 25.0, 25.1],
        cells[1]: [34.0, 36.0, 35.0], others[1]: [39.0, 37.0, 40.0],
    }  # fmt: skip
    runs = [Runs("ours", {"residual": made(rows)})]
    needed = {each.claim: each for each in seeds_to_detect(CLAIMS, 2, runs)}["residual-ahead"]
    assert [link.power for link in needed.links] == pytest.approx([0.9, 0.9])
    counts = [link.seeds for link in needed.links]
    assert None not in counts
    assert needed.seeds == max(count for count in counts if count is not None)
    assert {*needed.cells} == {*cells, *others}
