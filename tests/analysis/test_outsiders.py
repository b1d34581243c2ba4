import time

import pytest

from cardinality.analysis.claims import read_claims
from cardinality.analysis.outcomes import Cell
from cardinality.analysis.outsiders import judge_given, parse
from cardinality.common.errors import UserError
from tests.analysis.made import REVISION3

CLAIMS = read_claims()
PLAIN = "setting,seed,error\n1x64d,0,23.9\n32x4d,0,22.2\n1x64d,1,23.8\n32x4d,1,22.3\n"


def test_setting_seed_and_error_suffice() -> None:
    given = parse("\ufeff" + PLAIN.replace("1x64d,0", " 1x64d , 0") + "\n", "runs.csv")
    assert given.outcomes.errors["top1_error"][Cell("1x64d", "base")] == {0: 23.9, 1: 23.8}
    assert (given.runs, given.depths, given.ignored) == (4, {"base": "base"}, ())
    assert given.outcomes.stated is None


def test_depths_play_roles_in_ascending_order() -> None:
    text = "depth,setting,seed,error,lr\n101,1x64d,0,22\n50,1x64d,0,24\n200,1x64d,0,21\n"
    given = parse(text.replace("\n", ",1\n").replace("lr,1", "lr"), "runs.csv")
    assert given.depths == {"base": "50", "deep": "101", "double": "200"}
    assert given.outcomes.errors["top1_error"][Cell("1x64d", "deep")] == {0: 22}
    assert given.ignored == ("lr",)
    words = parse("depth,setting,seed,error\ndeep,1x64d,0,22\ndouble,1x64d,0,21\n", "runs.csv")
    assert words.depths == {"deep": "deep", "double": "double"}


def test_runs_without_shortcuts_are_asked_at_their_own_depth() -> None:
    rows = [
        f"{setting},{shortcuts},{seed},{error + seed / 10 + len(setting) * seed / 50}\n"
        for setting, shortcuts, error in [
            ("1x64d", "yes", 24), ("32x4d", "yes", 22), ("1x64d", "no", 31), ("32x4d", "no", 26),
        ]
        for seed in range(3)
    ]  # fmt: skip
    rows[5] = "32x4d,yes,2,22.3\n"
    rows[8] = "1x64d,no,2,31.6\n"
    given = parse("setting,shortcuts,seed,error\n" + "".join(rows), "runs.csv")
    assert given.depths == {"base": "base", "residual": "base"}
    verdict = judge_given(CLAIMS, given, "runs.csv", "residual-both-lose")[0]
    assert (verdict.state, verdict.evidence.pairs, verdict.family_size) == ("as given", 3, 1)


def test_a_diverged_run_counts_as_such() -> None:
    given = parse(PLAIN.replace("22.3", "diverged"), "runs.csv")
    assert given.outcomes.diverged == {Cell("32x4d", "base"): {1}}
    assert given.outcomes.errors["top1_error"][Cell("32x4d", "base")] == {0: 22.2}


def test_verdicts_are_as_given() -> None:
    lines = REVISION3.read_text().splitlines()
    chosen = [line.split(",") for line in lines[1:] if ",11," in line]
    rows = [f"{setting},{seed},{error},{train}" for setting, _, _, seed, error, train in chosen]
    given = parse("\n".join(["setting,seed,error,train_error", *rows]), "runs.csv")
    trend = judge_given(CLAIMS, given, "runs.csv", "table3-trend-base")[0]
    assert (trend.decision, trend.state, trend.after_the_fact) == ("supported", "as given", False)
    assert trend.p == pytest.approx(0.0007, abs=5e-5)
    every = {verdict.claim: verdict for verdict in judge_given(CLAIMS, given, "runs.csv")}
    assert every["table3-trend-base"].family_size == 4
    assert every["table3-train-base"].decision == "supported"
    assert every["table4-order"].decision == "not run"


def test_headings_and_words_are_read_in_any_case() -> None:
    shouted = PLAIN.replace("setting,seed", "Setting,SEED").replace("22.3", "Diverged")
    assert parse(shouted, "a.csv") == parse(PLAIN.replace("22.3", "diverged"), "a.csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "setting: no such column; there are: none; allowed: setting, seed, error, and if you"),
        ("setting;seed;error\n", "setting: no such column; there are: setting;seed;error; allowed"),
        ("setting,seed\n", "error: no such column"),
        ("setting,seed,error,seed\n", "seed: the column stands twice"),
        ("setting,seed,error\n", "no runs; allowed: a line for each, below the heading"),
        (PLAIN + "1x64d,2\n", "line 6: 2 values; allowed: 3, as in the heading"),
        (PLAIN + "1x64d,1,20\n", "line 6: 1x64d, seed 1 stands in line 4 already"),
        (PLAIN + "64,1,20\n", "line 6: setting '64': expected CARDINALITYxWIDTHd"),
        (PLAIN + "1x64d,x,20\n", "line 6: seed: 'x'; allowed: a whole number"),
        (PLAIN + "1x64d,-1,20\n", "line 6: seed: '-1'; allowed: a whole number"),
        (PLAIN + "1x64d,2,none\n", "line 6: error: 'none'; allowed: percent, from 0 to"),
        (PLAIN + "1x64d,2,nan\n", "line 6: error: 'nan'; allowed: percent"),
        (PLAIN + "1x64d,2,\n", "line 6: error: ''; allowed: percent"),
        (PLAIN + "1x64d,2,2_7\n", "line 6: error: '2_7'; allowed: percent"),
        (PLAIN + "1x64d,2,\uff12\n", "line 6: error: '\uff12'; allowed: percent"),
        (PLAIN + "1x64d,2,-1\n", "line 6: error: '-1'; allowed: percent"),
        ("setting,seed,error\n" + "".join(f"1x{d}d,0,2\n" for d in range(1, 202)),
         "201 nets; allowed: 200"),
        (PLAIN + "1x64d,2,120\n", "line 6: error: '120'; allowed: percent"),
        ("setting,seed,error,depth\n1x64d,0,2,x\n", "line 2: depth: 'x'; allowed: a whole number"),
        ("setting,seed,error,depth\n1x64d,0,2,50\n1x64d,0,2,deep\n", "depth: words and numbers"),
        ("setting,seed,error,depth\n" + "".join(f"1x64d,0,2,{d}\n" for d in (1, 2, 3, 4)),
         "depth: 4 depths; allowed: up to 3, or the words base, deep, double, residual"),
        ("setting,seed,error,shortcuts\n1x64d,0,2,?\n", "shortcuts: '?'; allowed: yes or no"),
        ("setting,seed,error,shortcuts,depth\n1x64d,0,2,no,20\n1x64d,0,2,no,50\n",
         "shortcuts: no at several depths; allowed: at one"),
        ('setting,seed,error\n"1x64d,0,2\n', "line 2: 1 values; allowed: 3"),
        ("setting,seed,error\n" + "1" * 200 + ",0,2\n", "line 2: a value of 200 characters"),
        ("setting,seed,error\n" + "1" * 200_000 + ",0,2\n", "no CSV: field larger"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text, "runs.csv")
    assert str(caught.value).startswith("runs.csv: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("error", ["25", "25.5", "25.", ".5", "2.55e1"])
def test_plain_numbers_are_percent(error: str) -> None:
    found = parse(f"setting,seed,error\n1x64d,0,{error}\n", "runs.csv").outcomes
    (errors,) = found.errors["top1_error"].values()
    assert errors[0] == float(error)


def test_columns_beyond_number_are_read_in_no_time() -> None:
    begun = time.process_time()
    with pytest.raises(UserError, match="no runs"):
        parse(",".join(["setting,seed,error", *map(str, range(100_000))]), "runs.csv")
    assert time.process_time() - begun < 2


def test_a_claim_that_the_runs_cannot_judge() -> None:
    given = parse(PLAIN, "runs.csv")
    with pytest.raises(UserError, match="no runs of 2x40d, base and 4x24d, base"):
        judge_given(CLAIMS, given, "runs.csv", "table3-trend-base")
    with pytest.raises(UserError, match="no such claim"):
        judge_given(CLAIMS, given, "runs.csv", "table3")
    apart = parse(PLAIN.replace("1x64d,0", "1x64d,2").replace("1x64d,1", "1x64d,3"), "runs.csv")
    with pytest.raises(UserError, match="no seed that all of its settings have"):
        judge_given(CLAIMS, apart, "runs.csv", "table3-32x4d-base")
