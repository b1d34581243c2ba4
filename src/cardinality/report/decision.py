"""What a table decides and what not, in one sentence made from the verdicts."""

import shlex
from collections.abc import Sequence
from dataclasses import replace

from cardinality.analysis.claims import claims_of
from cardinality.analysis.ledger import analyse
from cardinality.analysis.verdicts import Verdict
from cardinality.common.errors import UserError
from cardinality.common.text import Markdown, code, markdown, plural
from cardinality.experiment.plan import Entry, Plan
from cardinality.report.judged import judge_plans, plans_of
from cardinality.report.recorded import as_recorded
from cardinality.report.verdict_words import effect_text, ps_text
from cardinality.results.folder import Results

# Of more that are open, their number says more than their names.
FEW = 4
# Of final ones that are undecided: what the rest of their family may bring.
MAY_STILL = (
    "{} of the family are interim, and by Holm's correction what is undecided may be decided when"
    " these are final"
)
RULES = {
    "trend": "Page's trend, exact",
    "difference": "paired t",
    "interaction": "paired t",
    "chain": "every link by a paired t",
    "within": "two one-sided tests",
}


def decided(plan: Plan, results: Results) -> str:
    """What a table decides and what not: one sentence, made from the verdicts.

    The verdicts are the protocol's, also where the table is shown with fewer or more seeds; they
    are corrected together with those of its other tables, where these can be planned.
    """
    claims = claims_of(plan)
    own = [claim.name for claim in claims.claims if claim.table == plan.ablation_name]
    if not own:
        return _undecided(plan, results)
    judged = judge_plans([plan, *siblings(plan)], results)
    verdicts = [verdict for verdict in judged.verdicts if verdict.claim in own]
    return _sentence(verdicts, shlex.quote(plan.typed[1]))


def _single(verdict: Verdict, protocol: str) -> str:
    evidence, text = verdict.evidence, markdown(verdict.text.strip().rstrip("."))
    verb = {
        "supported": "the runs support that",
        "contradicted": "the runs contradict that",
        "undecided": "the runs leave undecided whether",
        "not run": "nothing yet: of the seeds that its scale states no run is there for",
    }[verdict.decision]
    lowered = text[:1].lower() + text[1:]
    if verdict.decision == "not run":
        lowered = f"“{text}”"
    p, _ = ps_text(verdict)
    figures = ""
    if evidence.p is not None and evidence.pairs:
        figures = (
            f" ({RULES[verdict.rule]}, {evidence.pairs} seeds: p = {p}; "
            f"{effect_text(evidence.effect)} {evidence.unit})"
        ).replace("= <", "<")
    state = "final" if verdict.final else f"interim, {plural(verdict.unfinished, 'run')} to go"
    if verdict.waiting:
        state += f", but {MAY_STILL.format(plural(verdict.waiting, 'claim'))}"
    return Markdown(
        f"**What this decides: {verb} {lowered}**{figures}, at {100 * verdict.level:g} %; {state}."
        " Nothing else here is decided;"
        f" {code(f'cardinality claims --protocol {protocol}')} has the figures."
    )


def _undecided(plan: Plan, results: Results) -> str:
    """The same of a table that no claim which its scale asks is about: what its intervals say."""
    found = as_recorded(plan, results)
    lines = analyse(found.plan, found.done, found.diverged)
    every = [line.to_reference["top1_error"] for line in lines if line.to_reference]
    below = sum(each.high is not None and each.high < 0 for each in every)
    above = sum(each.low is not None and each.low > 0 for each in every)
    known = sum(each.low is not None for each in every)
    nothing = (
        "What this decides: nothing, since no sentence that is judged at this scale is about this"
        " table."
    )
    if not every:
        return nothing
    if not known:
        return f"{nothing} No difference here has an interval, which takes two seeds."
    return (
        f"{nothing} Of {known} difference{'s'[: known > 1]} with an interval {below or 'none'} lie"
        f"{'s'[: below == 1]} below zero and {above or 'none'} above, each taken by itself."
    )


def siblings(plan: Plan) -> list[Plan]:
    """The other tables at the plan's scale, with its recipe."""
    try:
        plans = plans_of(plan.typed[1])
    except UserError:
        return []
    if not plan.runs():
        return []
    training = plan.runs()[0].training

    def alike(entry: Entry) -> Entry:
        if plan.remark is None:
            return entry
        batch = training.batch
        return replace(
            entry,
            runs=tuple(replace(run, training=run.training.with_batch(batch)) for run in entry.runs),
        )

    return [
        replace(other, entries=tuple(map(alike, other.entries)))
        for other in plans
        if other.protocol == plan.protocol and other.ablation_name != plan.ablation_name
    ]


def _sentence(verdicts: Sequence[Verdict], protocol: str) -> str:
    """``What this decides: ...``; a single claim in its own words and with its figures."""
    if len(verdicts) == 1:
        return _single(verdicts[0], protocol)
    about = f"{len(verdicts)} claims about this table"
    absent = sum(verdict.decision == "not run" for verdict in verdicts)
    if absent == len(verdicts):
        return f"What this decides: nothing yet, since none of the {about} has been run."
    parts = [
        _counted(verdicts, "supported", "the runs support"),
        _counted(verdicts, "contradicted", "contradict"),
        _counted(verdicts, "undecided", "leave", " undecided"),
    ]
    parts += [f"and {absent} are not run"] if absent else []
    unfinished = sum(not verdict.final for verdict in verdicts)
    state = "final" if not unfinished else f"interim: stated runs of {unfinished} have not ended"
    waiting = max(verdict.waiting for verdict in verdicts)
    if waiting and not unfinished:
        state += f", but {MAY_STILL.format(plural(waiting, 'claim'))}"
    return Markdown(
        f"What this decides: of the {about} {', '.join(parts)}"
        f"; at {100 * verdicts[0].level:g} %, corrected for their number, and {state}. Nothing else"
        f" here is decided; {code(f'cardinality claims --protocol {protocol}')} has the figures."
    )


def _counted(verdicts: Sequence[Verdict], decision: str, verb: str, end: str = "") -> str:
    """How many claims are decided so, which, and of how many of them that is final."""
    found = [verdict for verdict in verdicts if verdict.decision == decision]
    final = sum(verdict.final for verdict in found)
    # A long list of what is open says less than its number.
    shown = decision != "undecided" or len(found) <= FEW
    said: list[str] = [markdown(verdict.claim) for verdict in found] if shown else []
    said += [f"{final} of them final"] if 0 < final < len(found) else []
    return f"{verb} {len(found) or 'none'}{end}" + (f" ({', '.join(said)})" if said else "")
