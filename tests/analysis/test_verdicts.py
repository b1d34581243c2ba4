import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from cardinality.analysis.claims import Claims, read_claims
from cardinality.analysis.outcomes import Cell, Floats, Outcomes
from cardinality.analysis.verdicts import Verdict, judge
from tests.analysis.made import TABLE3, A, B, at_most, drawn, generator, made, revision3

NAN = math.nan
CLAIMS = read_claims()
ORDER = np.array([30.0, 29.5, 29, 28.5, 27.5])
NOISE = generator(4).normal(0, 0.1, (5, 5))


def judged(
    outcomes: Outcomes, *names: str, table: str = "table3", claims: Claims = CLAIMS
) -> dict[str, Verdict]:
    chosen = claims.asked(names) if names else claims
    return {verdict.claim: verdict for verdict in judge(chosen, {table: outcomes})}


def one(outcomes: Outcomes, name: str) -> Verdict:
    return judged(outcomes, name, table=name.partition("-")[0])[name]


def paired(
    first: Cell, second: Cell, differences: Sequence[float], stated: int | None = None
) -> Outcomes:
    count = len(differences)
    return made({second: [20.0] * count, first: [20 + d for d in differences]}, stated)


def test_a_fall_is_supported_a_rise_contradicted_and_noise_undecided() -> None:
    name = "table3-trend-base"
    assert one(drawn(TABLE3, ORDER + NOISE, 5), name).decision == "supported"
    assert one(drawn(TABLE3, ORDER[::-1] + NOISE, 5), name).decision == "contradicted"
    flat = one(drawn(TABLE3, 30 + NOISE, 5), name)
    assert (flat.decision, flat.state, flat.evidence.pairs) == ("undecided", "final", 5)
    assert flat.evidence.unit == "points a doubling of C"


def test_what_was_not_run_is_not_undecided() -> None:
    verdict = one(Outcomes({}, {}, {}), "table4-order")
    assert (verdict.decision, verdict.state, verdict.p) == ("not run", "interim", None)
    everything = judge(CLAIMS, {})
    assert {each.decision for each in everything} == {"not run"}
    assert [each.claim for each in everything] == [claim.name for claim in CLAIMS.claims]


def test_below_three_pairs_there_is_the_difference_alone() -> None:
    two = one(paired(B, A, [-5, -5.1], stated=2), "table3-2x40d-base")
    assert (two.decision, two.state, two.p, two.p_against) == ("undecided", "final", None, None)
    assert two.evidence.effect.over is not None
    assert two.evidence.effect.over.mean == pytest.approx(-5.05)
    three = one(paired(B, A, [-5, -5.1, -4.9], stated=3), "table3-2x40d-base")
    assert three.decision == "supported"


def test_p_of_a_paired_difference_by_hand() -> None:
    # Mean 2, deviation 1, three pairs: t = 3.4641 with 2 degrees, one-sided p 0.0371.
    verdict = one(paired(B, A, [1, 2, 3], stated=3), "table3-2x40d-base")
    assert verdict.evidence.p_against == pytest.approx(0.03709, abs=1e-5)
    assert verdict.evidence.p == pytest.approx(1 - 0.03709, abs=1e-5)
    assert verdict.decision == "contradicted"


def test_a_verdict_is_interim_until_every_stated_run_has_ended() -> None:
    name = "table3-2x40d-base"
    interim = one(paired(B, A, [-1, -1.1, -0.9, NAN], stated=4), name)
    assert (interim.decision, interim.state, interim.unfinished) == ("supported", "interim", 1)
    assert not interim.final
    # A diverged run has ended; its seed is left out and said.
    errors = {A: [20.0] * 4, B: [19, 18.9, 19.1, NAN]}
    final = one(made(errors, stated=4, diverged={B: [3]}), name)
    assert (final.state, final.evidence.pairs, final.evidence.effect.diverged) == ("final", 3, (3,))
    assert one(paired(B, A, [-1, -1.1, -0.9]), name).state == "as given"


def test_seeds_beyond_the_stated_ones_change_no_verdict() -> None:
    few = [-1.0, -1.1, -0.9]
    name = "table3-2x40d-base"
    short = one(paired(B, A, few, stated=3), name)
    longer = one(paired(B, A, [*few, 50, 60, 70], stated=3), name)
    assert (longer.p, longer.decision, longer.state) == (short.p, "supported", "final")
    assert longer.evidence.effect.over == short.evidence.effect.over
    assert longer.evidence.effect.extended is not None
    assert longer.evidence.effect.extended.n == 6


def test_all_pairs_diverged_is_undecided_not_unrun() -> None:
    outcomes = made({A: [20, 20]}, diverged={B: [0, 1]})
    verdict = one(outcomes, "table3-2x40d-base")
    assert (verdict.decision, verdict.evidence.effect.diverged) == ("undecided", (0, 1))


def test_directions_of_the_interactions() -> None:
    deep = [Cell(name, "deep") for name in ("32x4d", "1x64d")]
    base = [Cell(name, "base") for name in ("32x4d", "1x64d")]
    # A gain of about 1.7 at the base depth and of 0.8 at the deep one, as in the paper.
    table = {
        base[1]: [23.9, 23.9, 23.9, 23.9],
        base[0]: [22.2, 22.1, 22.3, 22.2],
        deep[1]: [22.0, 22.0, 22.0, 22.0],
        deep[0]: [21.2, 21.2, 21.2, 21.3],
    }
    shrinks = one(made(table, 4), "table3-gain-shrinks")
    assert shrinks.decision == "supported"
    assert shrinks.evidence.effect.over is not None
    assert shrinks.evidence.effect.over.mean == pytest.approx(0.925)
    rows = {
        Cell("1x64d", "residual"): [23.9, 23.8, 24.0],
        Cell("32x4d", "residual"): [22.2, 22.2, 22.2],
        Cell("1x64d", "residual", False): [31.2, 31.2, 31.2],
        Cell("32x4d", "residual", False): [26.1, 26.1, 26.2],
    }
    found = judged(made(rows, 3), table="residual")
    assert found["residual-resnet-loses-more"].decision == "supported"
    assert found["residual-both-lose"].decision == "supported"
    assert found["residual-ahead"].decision == "supported"


def chain(**differences: Sequence[float]) -> Outcomes:
    """Table 4 by what each net has more than 1x64d at the deep depth."""
    cells = {
        "more": Cell("2x64d", "deep"),
        "most": Cell("64x4d", "deep"),
        "wide": Cell("1x100d", "deep"),
        "deeper": Cell("1x64d", "double"),
    }
    length = len(next(iter(differences.values())))
    jitter = generator(9).normal(0, 0.05, (length, 4))
    table = {cells[key]: [20 + d for d in values] for key, values in differences.items()}
    table[Cell("1x64d", "deep")] = [20.0] * length
    return made(
        {
            cell: [value + jitter[row, column % 4] for row, value in enumerate(values)]
            for column, (cell, values) in enumerate(table.items())
        },
        stated=length,
    )


def test_a_chain_holds_only_if_every_link_does() -> None:
    whole = chain(more=[-3] * 4, most=[-4] * 4, wide=[-2] * 4, deeper=[-1] * 4)
    verdict = one(whole, "table4-order")
    assert verdict.decision == "supported"
    assert len(verdict.links) == 4
    ps = [link.evidence.p for link in verdict.links]
    assert None not in ps
    assert verdict.evidence.p == max(p for p in ps if p is not None)
    broken = chain(more=[-3] * 4, most=[-4] * 4, wide=[-1] * 4, deeper=[-1] * 4)
    assert one(broken, "table4-order").decision == "undecided"


def test_a_chain_is_contradicted_if_any_link_is() -> None:
    wrong = chain(more=[-3] * 4, most=[-4] * 4, wide=[-2] * 4, deeper=[1] * 4)
    verdict = one(wrong, "table4-order")
    assert verdict.decision == "contradicted"
    smallest = min(link.evidence.p_against or 1 for link in verdict.links)
    assert verdict.evidence.p_against == pytest.approx(4 * smallest)
    # What it shows is the link that is weakest.
    assert verdict.evidence.effect.over is not None
    assert verdict.evidence.effect.over.mean == pytest.approx(1, abs=0.2)
    assert one(wrong, "table4-cardinality-first").decision == "supported"


def test_a_chain_with_a_link_that_was_not_run() -> None:
    part = chain(more=[-3] * 4, most=[-4] * 4, wide=[-2] * 4)
    verdict = one(part, "table4-order")
    assert (verdict.decision, verdict.state, verdict.p) == ("undecided", "interim", 1)
    assert verdict.evidence.pairs == 0
    bad = chain(more=[3] * 4, most=[-4] * 4, wide=[-2] * 4)
    assert one(bad, "table4-order").decision == "contradicted"


def test_primary_claims_are_one_family_and_each_tables_others_one_more() -> None:
    verdicts = judged(drawn(TABLE3, ORDER + NOISE, 5))
    sizes = {(each.family, each.table): each.family_size for each in verdicts.values()}
    assert sizes == {
        ("primary", "table3"): 4, ("primary", "table4"): 4, ("primary", "residual"): 4,
        ("primary", "figure7"): 4, ("secondary", "table3"): 12, ("secondary", "table4"): 2,
        ("secondary", "residual"): 2,
    }  # fmt: skip
    trend = verdicts["table3-trend-base"]
    assert trend.evidence.p is not None
    # The three that were not run count with 1.
    assert trend.p == pytest.approx(4 * trend.evidence.p)


def test_a_final_verdict_is_not_taken_back_by_an_interim_one() -> None:
    # Two claims; the second is interim with a tiny p, by which the first would be second in
    # Holm's order, at half the price.
    one_final = [-1.0, -0.1, -1.9, -1.0]
    names = ("table3-2x40d-base", "table3-4x24d-base")
    third = TABLE3[2]
    table = {A: [20.0] * 4, B: [20 + d for d in one_final], third: [15, 15.1, 14.9, NAN]}
    first = judged(made(table, 4), *names)[names[0]]
    assert first.state == "final"
    assert first.evidence.p is not None
    assert first.p == pytest.approx(2 * first.evidence.p)
    # What is undecided is not yet the last word then, and says so.
    assert (first.decision, first.waiting) == ("undecided", 1)
    table[third] = [15, 15.1, 14.9, 15]
    settled = judged(made(table, 4), *names)[names[0]]
    assert settled.p == pytest.approx(first.evidence.p)
    assert (settled.decision, settled.waiting) == ("supported", 0)


def test_the_papers_own_effect_stands_beside() -> None:
    figures = dict(zip(TABLE3, (23.9, 23.0, 22.6, 22.3, 22.2), strict=True))
    paper: Mapping[str, Mapping[Cell, float]] = {"table3": figures}
    outcomes = {"table3": drawn(TABLE3, ORDER + NOISE, 5)}
    verdicts = {each.claim: each for each in judge(CLAIMS, outcomes, paper)}
    assert verdicts["table3-32x4d-base"].evidence.paper == pytest.approx(-1.7)
    slope = np.polyfit([0, 1, 2, 3, 5], list(figures.values()), 1)[0]
    assert verdicts["table3-trend-base"].evidence.paper == pytest.approx(float(slope))
    assert verdicts["table3-train-base"].evidence.paper is None
    assert verdicts["table3-gain-shrinks"].evidence.paper is None


def test_revision_3_after_the_fact() -> None:
    errors = revision3()
    stated = {cell: range(5) for cell in errors["top1_error"]}
    top1, train = errors["top1_error"], errors["train_error"]
    outcomes = Outcomes({"top1_error": top1, "train_error": train}, {}, stated)
    tables = dict.fromkeys(("table3", "table4", "residual", "figure7"), outcomes)
    found = {each.claim: each for each in judge(CLAIMS, tables, after_the_fact=True)}
    assert all(each.after_the_fact for each in found.values())
    decided = {name: each.decision for name, each in found.items() if each.decision == "supported"}
    # What the README said by hand: the trend, and every setting but 2x40d after correction.
    assert set(decided) == {
        "table3-trend-base", "table3-train-base", "table3-4x24d-base", "table3-8x14d-base",
        "table3-32x4d-base",
    }  # fmt: skip
    assert found["table3-trend-base"].state == "final"
    assert found["table4-order"].decision == "undecided"
    assert found["figure7-paths-before-width"].decision == "not run"
    assert "contradicted" not in {each.decision for each in found.values()}


def test_where_nothing_is_so_a_table_errs_no_more_often_than_its_level() -> None:
    trials = 300
    random = generator(11)
    wrong = np.zeros(3)
    for _ in range(trials):
        noise: Floats = random.normal(20, 0.5, (4, 5)) + random.normal(0, 1, (4, 1))
        verdicts = judge(CLAIMS, {"table3": drawn(TABLE3, noise, 4)})
        for place, family in enumerate(("primary", "secondary")):
            wrong[place] += any(v.decision == "supported" for v in verdicts if v.family == family)
        wrong[2] += any(v.decision == "contradicted" for v in verdicts if v.family == "secondary")
    assert all(at_most(rate, 0.05, trials) for rate in wrong / trials)
