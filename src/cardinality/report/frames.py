"""Results as DataFrames, for whoever wants to look at them with tools of their own."""

from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cardinality.analysis.contrasts import Contrast
from cardinality.architecture.settings import Architecture
from cardinality.common.errors import UserError
from cardinality.common.notes import note
from cardinality.common.workspace import names
from cardinality.experiment.places import PROTOCOLS
from cardinality.experiment.run import net_from
from cardinality.report.bits import agreements
from cardinality.report.claims_parts import as_data, compared_cells, parts
from cardinality.report.judged import Judged, judge_protocol
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results, has_records, protocols_below
from cardinality.results.records import Record

# Columns and their types. What the two frames have in common: which run a row is of.
KEYS = {
    "protocol": "string",
    "run": "string",
    "setting": "string",
    "cardinality": "int64",
    "width": "int64",
    "depth": "int64",
    "residual": "bool",
    "variant": "string",
    "seed": "int64",
}
RUNS = KEYS | {
    "stem": "string",
    "base": "int64",
    "block": "string",
    "classes": "int64",
    "status": "string",
    "failure": "string",
    "params": "int64",
    "macs": "int64",
    "activations": "int64",
    "train_loss": "float64",
    "train_error": "float64",
    "test_loss": "float64",
    "top1_error": "float64",
    "top5_error": "float64",
    "images": "Int64",
    "seconds": "float64",
    "machine": "string",
    "cores": "Int64",
    "torch": "string",
    "commit": "string",
    "clean": "boolean",
    "device": "string",
    "precision": "string",
    "threads": "int64",
    "fused": "bool",
    "revision": "int64",
    "data_checksum": "string",
    "weights_checksum": "string",
    "finished": "string",
}
EPOCHS = KEYS | {
    field.name: "int64" if field.name == "epoch" else "float64" for field in fields(Epoch)
}


@dataclass(frozen=True)
class LoadedResults:
    """The records of one protocol or of several; what was not measured is missing, never 0.

    Attributes:
        runs: a row a run, finished or failed, by protocol and name. Errors are in percent, times
            in seconds, ``finished`` in UTC:

            - which run: protocol, run (its name), setting, cardinality, width, depth, residual,
              variant (in what the net is none of the paper's; most often empty), seed, stem, base,
              block, classes;
            - what it came to: status (``done``, ``failed`` or ``diverged``), failure (why),
              train_loss, train_error, test_loss, top1_error, top5_error (of the last epoch, never
              the best), images (that they were measured on), seconds;
            - what it cost: params, macs (multiply-adds of one image, forward), activations;
            - where and how, in its last sitting: machine, cores, torch, commit, clean, device,
              precision, threads, fused, revision, data_checksum, weights_checksum, finished.
        epochs: a row for each epoch of each finished run, in order: protocol, run, setting,
            cardinality, width, depth, residual, variant, seed, and the columns of the run's
            epochs.csv (`cardinality.results.epochs.Epoch`).
        unsound: what is wrong with records that do not hold together, or are of a net that cannot
            be built here, and so are in neither, by ``PROTOCOL/RUN``.
        folders: where each protocol's results lie, by its name.

    What follows is worked out when it is first asked for, for protocols whose file is in the
    workspace or among the suite's own, and of whose tables one is:

    - ``claims``: a row a claim and one a link of a chain, with verdict, effect, p and pairs, and
      the intervals over seeds, over another draw of test images, and over both, in points;
    - ``agreements``: a row a pair of runs, with the part of the test images on which they agree;
    - ``classes``: a row a claim and class, with the effect on its images, in points: described, not
      tested;
    - ``right``: which test images each finished run got right, (N,) of bool by the run's name.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    unsound: dict[str, str]
    folders: dict[str, Results]

    @cached_property
    def _judged(self) -> list[Judged]:
        known = set(names(PROTOCOLS, ".yaml"))
        found = []
        for name, results in self.folders.items():
            if name in known:
                try:
                    found.append(judge_protocol(name, results))
                except UserError as error:  # one scale's mistake does not keep the others back
                    note(f"{name} is left out: {error}")
        return found

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every claim of the paper's, judged by each protocol's records."""
        frames = [as_data(judged) for judged in self._judged]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def agreements(self) -> pd.DataFrame:
        """How pairs of runs agree on which test images they get right."""
        found = []
        for judged in self._judged:
            frame = agreements(judged.pictures.right, compared_cells(judged))
            found.append(frame.assign(protocol=judged.name))
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame()

    @cached_property
    def classes(self) -> pd.DataFrame:
        """Each claim's effect on the images of each class."""
        lines = []
        for judged in self._judged:
            seeds = {v.claim: v.evidence.effect.seeds for v in judged.verdicts}
            for claim, contrast in _contrasts(judged).items():
                for part in judged.pictures.classes(contrast, seeds[claim]):
                    over = asdict(part.over)
                    line = {"class": part.name, "images": part.images, "effect": over["mean"]}
                    keys = {"protocol": judged.name, "claim": claim}
                    ends = {key: over[key] for key in ("low", "high", "n")}
                    lines.append(keys | line | ends)
        columns = ["protocol", "claim", "class", "images", "effect", "low", "high", "n"]
        return pd.DataFrame(lines, columns=columns)

    @cached_property
    def right(self) -> dict[str, NDArray[np.bool_]]:
        """Which test images each finished run got right, by the run's name."""
        found = {}
        for results in self.folders.values():
            for record in results.finished():
                if f"{results.folder.name}/{record.name}" in self.unsound:
                    continue
                correct = results.correct(record)
                if correct is not None:
                    found[record.name] = correct.right
        return found


def _contrasts(judged: Judged) -> dict[str, Contrast]:
    """What each claim about the test error compares, by its name; of a chain nothing."""
    figures = {verdict.claim: verdict.figure for verdict in judged.verdicts}
    return {
        part.verdict.claim: part.contrast
        for part in parts(judged)
        if part.contrast is not None
        and part.link is None
        and figures[part.verdict.claim] == "top1_error"
    }


def load_results(folder: str | Path, protocol: str | None = None) -> LoadedResults:
    """Read every record below a folder of results.

    Args:
        folder: where `cardinality run` writes, with a folder a protocol, such as ``results``; or
            one protocol's.
        protocol: only this one's; by default all that are there.

    Returns:
        Two DataFrames, `LoadedResults.runs` and `LoadedResults.epochs`, and what was left out.

    Raises:
        UserError: no such folder or protocol.
    """
    runs: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    unsound: dict[str, str] = {}
    folders = {results.folder.name: results for results in _protocols(Path(folder), protocol)}
    for results in folders.values():
        records, problems = results.read_all()
        unsound |= {f"{results.folder.name}/{name}": what for name, what in problems.items()}
        # Finished runs come first: of one that failed and then succeeded, the success counts.
        by_name = {record.name: record for record in reversed(records)}
        for _, record in sorted(by_name.items()):
            try:
                keys = _keys(record, results)
            except UserError as error:
                unsound[f"{results.folder.name}/{record.name}"] = str(error)
                continue
            runs.append(keys | _run(record))
            if record.status == "done":
                epochs += [keys | row for row in results.epochs(record)]
    return LoadedResults(_frame(runs, RUNS), _frame(epochs, EPOCHS), unsound, folders)


def _protocols(folder: Path, only: str | None) -> list[Results]:
    """The results of every protocol below a folder, or of one."""
    there = protocols_below(folder)
    if not there and has_records(folder):
        there = {folder.name: folder}  # one protocol's own folder
    chosen = [Results(path) for name, path in there.items() if only in (None, name)]
    if not chosen:
        wanted, known = only or "any protocol", ", ".join(there) or "none"
        raise UserError(f"{folder}: no results of {wanted}; there are: {known}")
    return chosen


def _keys(record: Record, results: Results) -> dict[str, Any]:
    net = architecture_of(record)
    return {
        "protocol": results.folder.name,
        "run": record.name,
        "setting": str(net.setting),
        "cardinality": net.setting.cardinality,
        "width": net.setting.width,
        "depth": net.depth,
        "residual": net.residual,
        "variant": net.variant,
        "seed": record.configuration["seed"],
    }


def _run(record: Record) -> dict[str, Any]:
    net = architecture_of(record)
    values: dict[str, Any] = {"stem": net.stem, "base": net.base, "block": net.block}
    values |= {"classes": net.classes, "revision": record.configuration["revision"]}
    values |= asdict(record.numerics)
    for part in (record, record.final):
        values |= {key: getattr(part, key) for key in RUNS if hasattr(part, key)}
    if record.sittings:
        last = record.sittings[-1]
        values |= {"machine": last.device, "cores": last.cores, "commit": last.commit}
        values |= {"torch": last.versions.get("torch"), "clean": last.clean}
    return values


def architecture_of(record: Record) -> Architecture:
    """The net that was configured; a key that is left out is at its default."""
    return net_from(record.configuration["net"])


def _frame(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
