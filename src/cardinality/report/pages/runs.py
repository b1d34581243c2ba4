"""Runs: each with all that it came from, and those that are not there with their reason."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from cardinality.architecture.names import net_in_words
from cardinality.common.text import plural
from cardinality.experiment.plan import Entry, Plan
from cardinality.experiment.run import REVISION, Run
from cardinality.report.pages.charts.by_epoch import run_curves
from cardinality.report.pages.gathered import Gathered, TableRead
from cardinality.report.pages.shapes import Absent, RunGroup, RunLine, SittingLine
from cardinality.report.wording import flat
from cardinality.results.folder import Status
from cardinality.results.records import Record, Sitting

# What tells nets of one setting and depth apart, as a configuration has it.
OPTIONS = ("block", "shortcut", "deep_stem", "pooled_projection", "squeeze")


def anchor_of(net: Mapping[str, Any]) -> str:
    """The anchor of the runs of a net, from their configuration's part about it."""
    plain = "" if net["residual"] else "-noshortcut"
    more = (key if value is True else value for key, value in net.items() if key in OPTIONS)
    kind = "".join(f"-{part}" for part in more)
    return f"cell-{net['setting']}-depth{net['depth']}{plain}{kind}"


def groups_of(gathered: Gathered) -> tuple[RunGroup, ...]:
    """Every recorded run that a table shows, once, by its net."""
    found: dict[str, tuple[str, dict[str, None], dict[str, RunLine]]] = {}
    for table in gathered.tables:
        for entry, run, record in _recorded(table, gathered.records):
            cell = anchor_of(run.configuration["net"])
            _, tables, runs = found.setdefault(cell, (_title(entry), {}, {}))
            tables.setdefault(table.plan.ablation_name)
            if run.name not in runs:
                runs[run.name] = _run(gathered, table, entry, run, record)
    return tuple(
        RunGroup(cell, title, tuple(tables), tuple(sorted(runs.values(), key=lambda r: r.seed)))
        for cell, (title, tables, runs) in found.items()
    )


def _recorded(
    table: TableRead, records: Mapping[str, Record]
) -> Iterator[tuple[Entry, Run, Record]]:
    """The runs of a table that have a record which it shows, finished or not."""
    for entry in table.plan.entries:
        for run in entry.runs:
            if run.name in table.found.done or run.name in table.found.failed:
                yield entry, run, records[run.name]


def _title(entry: Entry) -> str:
    net = entry.architecture
    return net_in_words(entry.row.setting, f"{net.depth} layers", entry.row.residual, net.variant)


def _run(gathered: Gathered, table: TableRead, entry: Entry, run: Run, record: Record) -> RunLine:
    final = record.final
    rows = gathered.results.epochs(record) if final is not None else []
    identity = record.identity
    return RunLine(
        name=record.name,
        folder=f"{'runs' if record.status == 'done' else 'failed'}/{record.name}",
        seed=run.seed,
        status=record.status,
        failure=record.failure or "",
        top1=None if final is None else final.top1_error,
        top5=None if final is None else final.top5_error,
        train=None if final is None else final.train_error,
        seconds=record.seconds,
        finished=record.finished,
        data="" if identity is None else str(identity),
        weights=record.weights_checksum or "",
        command=command(table, entry, run, record.status),
        configuration=tuple(flat(record.configuration)),
        sittings=tuple(map(_sitting, record.sittings)),
        curves=run_curves(record.name, rows),
    )


def command(table: TableRead, entry: Entry, run: Run | None, status: Status) -> str:
    """The command that computes a run, or what is missing of a line.

    Args:
        table, entry: where it stands.
        run: which one; none for all that are missing.
        status: how it ended; a run that would not be computed again needs another place.
    """
    plan = table.plan
    name, scale = plan.typed
    role = entry.role.removesuffix(" layers")
    words = ["cardinality", "run", name, "--protocol", scale]
    words += ["--only", _only(plan, entry, role), "--depth", role]
    if run is not None:
        words += ["--seed", str(run.seed)]
    if run is not None and status in ("done", "diverged"):
        words += ["--device", run.numerics.device, "--results", "again"]
    if status == "failed":
        words += ["--retry-failed"]
    return shlex.join(words)


def _only(plan: Plan, entry: Entry, role: str) -> str:
    """What selects a row alone at its depth: its setting, else its label, else its net.

    A label may read like another row's setting, and then it is that row's.
    """
    own = {run.name for run in entry.runs}
    # Of labels those that a page and a shell leave as they are.
    label = entry.row.label or ""
    words = [str(entry.row.setting), *([label] if re.fullmatch(r"[\w .,+-]+", label) else [])]
    return next((word for word in words if plan.chosen(word, role) == own), entry.runs[0].net)


def _sitting(sitting: Sitting) -> SittingLine:
    processes = f", {sitting.processes} processes" if sitting.processes > 1 else ""
    beside = ""
    if sitting.side_by_side is not None:
        several = sitting.side_by_side > 1
        beside = f", {sitting.side_by_side} runs side by side" if several else ", one run at a time"
    changed = {True: "", False: " with changes", None: " (state not known)"}[sitting.clean]
    return SittingLine(
        epochs=f"{sitting.first_epoch} to {sitting.last_epoch}",
        where=f"{sitting.device}, {plural(sitting.cores, 'CPU core')}{processes}{beside}",
        versions=", ".join(f"{name} {version}" for name, version in sitting.versions.items()),
        commit=f"{(sitting.commit or 'unknown')[:10]}{changed}",
        began=sitting.began or "",
        ended=sitting.ended,
        seconds=sitting.wall_seconds,
        cpu_seconds=sitting.cpu_seconds,
        memory=sitting.peak_memory,
        joules=None if sitting.energy is None else sitting.energy.joules,
    )


def absent_of(gathered: Gathered) -> tuple[Absent, ...]:
    """Every planned run without a result, once, failed ones first, and records that are unsound.

    Those that are only missing are one line a net: one command computes all of them.
    """
    found: dict[str, Absent] = {}
    unsound = _unsound(gathered)
    for table in gathered.tables:
        failed, done = table.found.failed, table.found.done
        for entry in table.plan.entries:
            for run in entry.runs:
                if run.name in done or run.name in found or run.name in unsound:
                    continue
                why = failed.get(run.name)
                status: Status = "missing" if why is None else "failed"
                status = "diverged" if run.name in table.found.diverged else status
                found[run.name] = Absent(
                    _title(entry), (run.seed,), status, why or "not computed yet",
                    command(table, entry, None if why is None else run, status),
                )  # fmt: skip
    ended = [each for each in found.values() if each.status != "missing"]
    return (*unsound.values(), *ended, *_together(found.values()))


def _together(absent: Iterable[Absent]) -> Iterator[Absent]:
    """Missing runs that one command computes, as one line."""
    nets: dict[str, list[Absent]] = {}
    for each in absent:
        if each.status == "missing":
            nets.setdefault(each.command + each.what, []).append(each)
    for same in nets.values():
        yield replace(same[0], seeds=tuple(seed for each in same for seed in each.seeds))


def _unsound(gathered: Gathered) -> dict[str, Absent]:
    """Records that do not hold together, by name; where they lie on this machine is left out."""
    here = f"{gathered.results.folder}/"
    return {
        name: Absent(name, (), "unsound", problem.replace(here, ""), "cardinality verify")
        for name, problem in gathered.results.read_all()[1].items()
    }


def left_out_of(gathered: Gathered) -> tuple[str, ...]:
    """Records that are there and that no table shows, by why not."""
    shown = {name for table in gathered.tables for name in (*table.found.done, *table.found.failed)}
    judged = gathered.judged.found
    beyond, older, rest = 0, 0, 0
    for name, record in gathered.records.items():
        if name in shown:
            continue
        if name in judged.done or name in judged.failed:
            beyond += 1
        elif record.configuration["revision"] != REVISION:
            older += 1
        else:
            rest += 1
    counts = {
        "of seeds beyond those that the protocol states": beyond,
        "of another revision of the code": older,
        "with other numerics, other images, or of no table's nets": rest,
    }
    return tuple(f"{plural(count, 'record')} {why}" for why, count in counts.items() if count)
