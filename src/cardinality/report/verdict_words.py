"""Verdicts, effects and p values as texts: the same on every page."""

from cardinality.analysis.comparisons import Effect
from cardinality.analysis.planning import Why
from cardinality.analysis.verdicts import Verdict
from cardinality.common.text import Markdown, plural
from cardinality.report.wording import DASH, number, probability, signed

DOUBLING = "points a doubling of C"

# Why there is no number of seeds.
REASONS: dict[Why | None, str] = {
    "no effect stated": "the paper has no such figures",
    "no effect that way": "none: the paper's figures go the other way",
    "no deviation": "not known: no deviation",
    "more than 1000": "more than 1000",
    None: "not known",
}


def effect_text(effect: Effect, digits: int = 2) -> str:
    """Mean ± half its interval, over the seeds that count."""
    over = effect.over
    if over is None:
        return DASH
    half = "" if over.low is None or over.high is None else (over.high - over.low) / 2
    interval = f" ± {number(half, digits)}" if isinstance(half, float) else ""
    return f"{signed(over.mean, digits)}{interval}"


def verdict_text(verdict: Verdict) -> str:
    """The decision; what may still change looks so."""
    late = ", after the fact" if verdict.after_the_fact else ""
    if verdict.decision == "not run":
        return "not run"
    if verdict.state == "interim":
        left = plural(verdict.unfinished, "run")
        return Markdown(f"*{verdict.decision}? interim, {left} to go{late}*")
    given = " (as given)" if verdict.state == "as given" else ""
    return Markdown(f"**{verdict.decision}**{given}{late}")


def settled(decision: str, count: int, final: int) -> str:
    """How many of so many verdicts are final, where that is worth a word."""
    if not count or decision == "not run":
        return ""
    if final in (0, count):
        return "final" if final else "interim"
    return f"{final} final, {count - final} interim"


def ps_text(verdict: Verdict) -> tuple[str, str]:
    """The p and the corrected p of the way that the verdict goes."""
    if verdict.decision == "contradicted":
        both = (verdict.evidence.p_against, verdict.p_against)
        return probability(both[0]) + " the other way", probability(both[1])
    return probability(verdict.evidence.p), probability(verdict.p)


def short(verdict: Verdict) -> str:
    """A verdict with its effect and its pairs, as a cell."""
    if verdict.decision == "not run":
        return "not run"
    late = ", after the fact" if verdict.after_the_fact else ""
    mark = "*" if verdict.state == "interim" else "**"
    interim = ", interim" if verdict.state == "interim" else ""
    evidence = verdict.evidence
    shown = f"{effect_text(evidence.effect)} ({evidence.pairs})"
    if verdict.links and not evidence.pairs:
        begun = sum(link.evidence.pairs > 0 for link in verdict.links)
        shown = f"{begun} of its {len(verdict.links)} comparisons begun"
    return Markdown(f"{mark}{verdict.decision}{interim}{late}{mark}: {shown}")
