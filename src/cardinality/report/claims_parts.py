"""Claims and the links of chains one by one, with what each compares; and all of it as data."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import starmap

import pandas as pd

from cardinality.analysis.claims import Claim, InteractionTest
from cardinality.analysis.contrasts import Contrast
from cardinality.analysis.contrasts import difference as difference_of
from cardinality.analysis.images import ImageEffect, Interval
from cardinality.analysis.outcomes import Cell
from cardinality.analysis.planning import Needed
from cardinality.analysis.verdicts import Evidence, Verdict, contrast_of
from cardinality.architecture.names import net_in_words
from cardinality.report.judged import Judged


@dataclass(frozen=True)
class Part:
    """A claim, or one link of a chain, with its effect.

    Attributes:
        verdict: of the claim.
        link: the two cells of a link.
        contrast: of the cells; none for a chain as a whole.
        evidence: of the claim or of the link.
    """

    verdict: Verdict
    link: tuple[Cell, Cell] | None
    contrast: Contrast | None
    evidence: Evidence

    @property
    def label(self) -> str:
        """What a link compares."""
        if self.link is None:
            return ""
        return between(self.verdict).join(starmap(net_in_words, self.link))


def between(verdict: Verdict) -> str:
    """What stands between the two cells of a link."""
    return " against " if verdict.rule == "within" else " before "


def parts(judged: Judged) -> Iterator[Part]:
    """Every claim, and after a chain its links."""
    for verdict in judged.verdicts:
        claim = judged.claim(verdict.claim)
        yield Part(verdict, None, contrast_of(claim), verdict.evidence)
        for link in verdict.links:
            cells = (link.first, link.second)
            yield Part(verdict, cells, difference_of(*cells), link.evidence)


def image_effects(judged: Judged, part: Part) -> ImageEffect | None:
    """A part's intervals over seeds, over test images and over both; of test errors alone."""
    if part.contrast is None or part.verdict.figure != "top1_error":
        return None
    return judged.pictures.effect(part.contrast, part.evidence.effect.seeds)


def shown_parts(judged: Judged) -> Iterator[Part]:
    """The same, but of two cells that lie near each other, which are tested both ways, one way."""
    seen = set()
    for part in parts(judged):
        key = part.verdict.claim, part.link and frozenset(part.link)
        if key not in seen:
            seen.add(key)
            yield part


def compared_cells(judged: Judged) -> list[tuple[Cell, Cell]]:
    """Every two cells that a difference or a link compares, once, whichever comes first."""
    pairs: dict[frozenset[Cell], tuple[Cell, Cell]] = {}
    for part in shown_parts(judged):
        if part.contrast is not None and len(part.contrast) == 2:
            first, second = part.contrast
            pairs.setdefault(frozenset((first, second)), (first, second))
    return list(pairs.values())


def claimed_way(claim: Claim) -> int:
    """1 where the paper has the effect positive, else -1."""
    test = claim.test
    return 1 if isinstance(test, InteractionTest) and test.alternative == "greater" else -1


def as_data(judged: Judged) -> pd.DataFrame:
    """One line a claim, and one a link of a chain; what is not there is empty."""
    needed = {each.claim: each for each in judged.ledger.needed}
    return pd.DataFrame([_line(judged, part, needed) for part in parts(judged)])


def _line(judged: Judged, part: Part, needed: dict[str, Needed]) -> dict[str, object]:
    verdict, whole = part.verdict, part.link is None
    corrected = (verdict.p, verdict.p_against) if whole else (None, None)
    return {
        "protocol": judged.name,
        "claim": verdict.claim,
        "link": part.label,
        "table": verdict.table,
        "family": verdict.family,
        "figure": verdict.figure,
        "rule": verdict.rule if whole or verdict.rule == "within" else "difference",
        "verdict": verdict.decision if whole else "",
        "state": verdict.state,
        "unfinished": verdict.unfinished if whole else part.evidence.effect.unfinished,
        "after_the_fact": verdict.after_the_fact,
        "pairs": part.evidence.pairs,
        **_effect_columns(part.evidence),
        "p": part.evidence.p,
        "p_against": part.evidence.p_against,
        "p_corrected": corrected[0],
        "p_against_corrected": corrected[1],
        "ties": part.evidence.ties,
        "level": verdict.level,
        "family_size": verdict.family_size,
        "paper": part.evidence.paper,
        **_image_columns(image_effects(judged, part)),
        **_needed_columns(needed.get(verdict.claim) if whole else None),
        "claim_text": verdict.text,
        "source": verdict.source,
    }


def _effect_columns(evidence: Evidence) -> dict[str, object]:
    effect, over, more = evidence.effect, evidence.effect.over, evidence.effect.extended
    return {
        "effect": None if over is None else over.mean,
        "low": None if over is None else over.low,
        "high": None if over is None else over.high,
        "deviation": None if over is None else over.deviation,
        "unit": evidence.unit,
        "diverged": " ".join(map(str, effect.diverged)),
        "extended_seeds": None if more is None else more.n,
        "extended_effect": None if more is None else more.mean,
        "extended_low": None if more is None else more.low,
        "extended_high": None if more is None else more.high,
    }


def _image_columns(found: ImageEffect | None) -> dict[str, object]:
    def ends(name: str, interval: Interval | None) -> dict[str, object]:
        low, high = (None, None) if interval is None else (interval.low, interval.high)
        return {f"low_{name}": low, f"high_{name}": high}

    if found is None:
        found = ImageEffect(math.nan, 0, 0, 0, None, None, None)
    return {
        "images": found.images or None,
        "units": found.units or None,
        **ends("over_images", found.over_images),
        **ends("over_both", found.over_both),
        "degrees_over_both": None if found.over_both is None else found.over_both.degrees,
    }


def _needed_columns(needed: Needed | None) -> dict[str, object]:
    known = None if needed is None else needed.spread
    return {
        "seeds_for_the_papers_effect": None if needed is None else needed.seeds,
        "planned_deviation": None if known is None else known.upper,
        "deviation_of": "" if known is None else known.whose,
    }
