"""The ledger as a page, and all scales side by side."""

import math
from collections.abc import Sequence

import pandas as pd

from cardinality.analysis.comparisons import Effect
from cardinality.analysis.images import ImageEffect, Interval
from cardinality.analysis.planning import Needed
from cardinality.analysis.verdicts import Verdict
from cardinality.architecture.names import net_in_words
from cardinality.common.text import Markdown, code, link, markdown, plural
from cardinality.report.bits import agreements
from cardinality.report.claims_parts import (
    Part,
    between,
    compared_cells,
    image_effects,
    shown_parts,
)
from cardinality.report.judged import Judged, by_decision
from cardinality.report.markdown import columns_of, to_markdown
from cardinality.report.verdict_words import (
    DOUBLING,
    REASONS,
    effect_text,
    ps_text,
    settled,
    short,
    verdict_text,
)
from cardinality.report.wording import DASH, number, signed

Columns = dict[str, pd.Series]


def columns(verdicts: Sequence[Verdict]) -> Columns:
    """The ledger's columns as texts."""
    lines = []
    for verdict in verdicts:
        p, corrected = ps_text(verdict)
        evidence = verdict.evidence
        unit = " a doubling" if evidence.unit == DOUBLING else ""
        paper = DASH if evidence.paper is None else signed(evidence.paper, 2) + unit
        shown = effect_text(evidence.effect)
        lines.append(
            {
                "claim": _named(verdict),
                "verdict": verdict_text(verdict),
                "effect ± interval, points": shown + (unit if shown != DASH else ""),
                "pairs": str(evidence.pairs),
                "p": p,
                "p, corrected": f"{corrected} (of {verdict.family_size})",
                "paper's own effect": paper,
            }
        )
    return columns_of(lines)


def _named(verdict: Verdict) -> Markdown:
    return Markdown(f"{code(verdict.claim)}: {markdown(verdict.text)}")


def page(judged: Judged) -> str:
    """The whole page of one protocol."""
    title = f"# The claims, and what {code(judged.name)} says of them"
    scale = markdown(judged.plans[0].protocol.title)
    if not judged.verdicts:
        nothing = "No claim is judged at this scale."
        return f"{title}\n\n{scale}. {nothing}\n"
    final = by_decision([verdict for verdict in judged.verdicts if verdict.final])
    counts = ", ".join(
        f"{count} {each}" + (f" ({words})" if words else "")
        for each, count in by_decision(judged.verdicts).items()
        for words in (settled(each, count, final[each]),)
    )
    still = "Interim: what is not final may change until every stated run is there."
    state = "Final." if judged.final else f"**{still}**"
    blocks = [
        title,
        f"{scale}. {state} {counts}.",
        "\n".join(f"- {line}" for line in _reading(judged)),
    ]
    for table in dict.fromkeys(verdict.table for verdict in judged.verdicts):
        blocks += _section(judged, table)
    blocks += _images(judged)
    return "\n\n".join(block for block in blocks if block) + "\n"


def _reading(judged: Judged) -> list[str]:
    level = f"{100 * judged.claims.level:g} %"
    late = any(verdict.after_the_fact for verdict in judged.verdicts)
    before = "" if late else " and were written before the runs that they judge"
    lines = [
        f"The rules stand in {_files(judged)}{before}; docs/statistics.md explains them, and"
        " docs/log.md says what was known by then.",
        f"Supported: the corrected p is at most {level} (one-sided, Holm); contradicted: the same"
        " the other way. Undecided is neither, and no sign that nothing differs. Primary claims are"
        " one family, each table's secondary ones one more.",
        "Effects are negative where the first net errs less, ± is half of a 95 % t interval over"
        " seeds; a trend's is the slope. A chain shows its weakest link, and of the paper's"
        " figures the weakest link in those, which may be another. They have no interval.",
    ]
    if late:
        lines.append("**After the fact: some of these runs were there before the rules.**")
    if judged.found.others:
        others = plural(judged.found.others, "run")
        lines.append(
            f"Left out, because their numerics or their images are others: {others} of these nets."
        )
    if judged.found.unsound:
        unsound = plural(len(judged.found.unsound), "run")
        lines.append(
            f"**Left out, because they do not hold together: {unsound} (`cardinality verify` says"
            " why).**"
        )
    return lines


def _files(judged: Judged) -> str:
    names = dict.fromkeys(claim.of or "claims" for claim in judged.claims.claims)
    return " and ".join(f"paper_tables/{markdown(name)}.yaml" for name in names)


def _section(judged: Judged, table: str) -> list[str]:
    verdicts = [verdict for verdict in judged.verdicts if verdict.table == table]
    blocks = [f"## {markdown(table)}", to_markdown(columns(verdicts))]
    lines = [line for verdict in verdicts for line in remarks(judged, verdict)]
    return [*blocks, "\n".join(f"- {line}" for line in lines), *_would_decide(judged, table)]


def remarks(judged: Judged, verdict: Verdict) -> list[str]:
    """What must be said beside a verdict: links, what is left out, what would decide."""
    name, effect = code(verdict.claim), verdict.evidence.effect
    lines = []
    if any(link.evidence.effect.over for link in verdict.links):
        links = (
            between(verdict).join(
                markdown(net_in_words(*cell)) for cell in (link.first, link.second)
            )
            + f" {effect_text(link.evidence.effect)} ({link.evidence.pairs})"
            for link in verdict.links
        )
        lines.append(f"{name}, its links: {'; '.join(links)}.")
    diverged = {*effect.diverged}.union(*(link.evidence.effect.diverged for link in verdict.links))
    if diverged:
        seeds = ", ".join(map(str, sorted(diverged)))
        ranked = "; in the trend it ranks last" if verdict.rule == "trend" else ""
        lines.append(f"{name}: a run of seed {seeds} diverged and is left out of the mean{ranked}.")
    if effect.extended is not None:
        more = Effect(effect.extended, (), (), 0, None)
        lines.append(
            f"{name}, extended: {effect_text(more)} over all {effect.extended.n} seeds; those"
            " beyond the stated ones change no verdict."
        )
    if verdict.waiting:
        lines.append(
            f"{name}: its own runs have ended; it may still be decided, by the correction, when the"
            f" {plural(verdict.waiting, 'interim claim')} of its family are final."
        )
    if verdict.evidence.ties:
        lines.append(f"{name}: equal errors share a rank, which makes p larger than it need be.")
    return lines


def _would_decide(judged: Judged, table: str) -> list[str]:
    """The seeds for the paper's own effects, of a table's claims that are undecided."""
    of_table = {v.claim for v in judged.verdicts if v.table == table}
    needed = [each for each in judged.ledger.needed if each.claim in of_table]
    if not needed:
        return []
    return [
        "Undecided: how many seeds find the *paper's* own effect in 80 of 100 cases at the"
        " corrected level, planned with the deviation's upper 80 % bound (never for the effect just"
        " seen: that is large where luck made it large). A trend's is from its first net to its"
        " last.",
        to_markdown(columns_of([needed_line(each, each.claim) for each in needed])),
    ]


def needed_line(needed: Needed, claim: str) -> dict[str, str]:
    """How many seeds something needs, with which deviation, and whose that is."""
    known = needed.spread
    return {
        "claim": code(claim),
        "effect to find, points": DASH if needed.effect is None else number(needed.effect, 2),
        "deviation": DASH if known is None else number(known.upper, 2),
        "whose": DASH if known is None else f"{known.whose} (degrees of freedom: {known.degrees})",
        "level": f"{100 * needed.level:.2g} %",
        "seeds": str(needed.seeds) if needed.seeds is not None else REASONS[needed.why],
    }


def _images(judged: Judged) -> list[str]:
    """Intervals over seeds, over another draw of test images, and both; and how runs agree."""
    lines = []
    for part in shown_parts(judged):
        found = image_effects(judged, part)
        if found is not None:
            lines.append(_image_line(part, found))
    if not lines:
        return []
    return [
        "## Other seeds, and other test images",
        "95 % intervals: over other seeds on these test images, over another draw of test images"
        " with these seeds, and over both. Verdicts are over seeds. Where images share a source,"
        " sources are what is drawn. Two or three seeds know their deviation badly, which makes the"
        " first interval wide; the third knows its own from the images as well.",
        to_markdown(columns_of(lines)),
        _agreement(judged),
    ]


def _image_line(part: Part, found: ImageEffect) -> dict[str, str]:
    def ends(interval: Interval | None) -> str:
        if interval is None:
            return DASH
        return f"{signed(interval.low, 2)} to {signed(interval.high, 2)}"

    label = f", {markdown(part.label)}" if part.link else ""
    drawn = f"{found.images:,} images"
    if found.units != found.images:
        drawn = f"{found.units:,} sources of {drawn}"
    return {
        "claim": Markdown(code(part.verdict.claim) + label),
        "effect": signed(found.mean, 2) + (" a doubling" if len(part.contrast or ()) > 4 else ""),
        "over seeds": ends(found.over_seeds),
        "over images": ends(found.over_images),
        "over both": ends(found.over_both),
        "from": f"{plural(found.seeds, 'seed')}, {drawn}",
    }


def _agreement(judged: Judged) -> str:
    """Two sentences of how runs agree."""
    found = agreements(judged.pictures.right, compared_cells(judged))
    texts = []
    for same, what in ((True, "Two seeds of one net"), (False, "Two nets with the same seed")):
        lines = found[(found["first"] == found["second"]) == same]
        if not lines.empty:
            kappa = lines.kappa.mean()
            texts.append(
                f"{what} agree on {100 * lines.agree.mean():.1f} % of the test images (kappa"
                f" {DASH if math.isnan(kappa) else f'{kappa:.2f}'}, mean of {len(lines)} pairs)."
            )
    return " ".join([*texts, "Each pair: agreement.csv."]) if texts else ""


def overview(everything: Sequence[Judged]) -> str:
    """All protocols side by side, with the paper's own figures."""
    blocks = [
        "# The claims, and what each scale says of them",
        "A verdict is about its scale alone. In italics what may still change. Effects are mean ±"
        " half of a 95 % t interval over seeds (pairs), in points, a trend's in points a doubling"
        " of C; the paper's own effect is from its own figures, where it has them.",
    ]
    lines = overview_lines(everything)
    nothing = "No claim is judged at any of these scales."
    blocks.append(to_markdown(columns_of(lines)) if lines else nothing)
    links = (link(judged.name, f"{judged.name}/claims.md") for judged in everything)
    blocks.append(f"Each with its p values, links and intervals: {', '.join(links)}.")
    return "\n\n".join(blocks) + "\n"


def overview_lines(everything: Sequence[Judged]) -> list[dict[str, str]]:
    """One line a claim: its text, the paper's own effect, and each protocol's verdict.

    A scale may ask for some of the claims alone; the others have no cell there.
    """
    by_scale = {judged.name: {v.claim: v for v in judged.verdicts} for judged in everything}
    asked = {verdict.claim: verdict for judged in everything for verdict in judged.verdicts}
    lines = []
    for verdict in asked.values():
        line = {
            "claim": _named(verdict),
            "paper": DASH if verdict.evidence.paper is None else signed(verdict.evidence.paper, 2),
        }
        for name, verdicts in by_scale.items():
            line[name] = short(verdicts[verdict.claim]) if verdict.claim in verdicts else DASH
        lines.append(line)
    return lines
