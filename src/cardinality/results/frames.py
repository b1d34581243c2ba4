"""Results as DataFrames, for whoever wants to look at them with tools of their own."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from cardinality.architecture.settings import Architecture, Setting
from cardinality.common.errors import UserError
from cardinality.host.provenance import Provenance
from cardinality.results.epochs import Epoch
from cardinality.results.folder import Results
from cardinality.results.records import Record

# Where records lie below a protocol's folder.
KINDS = ("runs", "failed")
# Columns and their types. What the two frames have in common: which run a row is of.
KEYS = {
    "protocol": "string",
    "run": "string",
    "setting": "string",
    "cardinality": "int64",
    "width": "int64",
    "depth": "int64",
    "residual": "bool",
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
              seed, stem, base, block, classes;
            - what it came to: status (``done``, ``failed`` or ``diverged``), failure (why),
              train_loss, train_error, test_loss, top1_error, top5_error (of the last epoch, never
              the best), images (that they were measured on), seconds;
            - what it cost: params, macs (multiply-adds of one image, forward), activations;
            - where and how, in its last sitting: machine, cores, torch, commit, clean, device,
              precision, threads, fused, revision, data_checksum, weights_checksum, finished.
        epochs: a row for each epoch of each finished run, in order: protocol, run, setting,
            cardinality, width, depth, residual, seed, and the columns of the run's epochs.csv
            (`cardinality.results.epochs.Epoch`).
        unsound: what is wrong with records that do not hold together and so are in neither, by
            ``PROTOCOL/RUN``.
    """

    runs: pd.DataFrame
    epochs: pd.DataFrame
    unsound: dict[str, str]


def load_results(folder: str | Path, protocol: str | None = None) -> LoadedResults:
    """Read every record below a folder of results.

    Args:
        folder: where `cardinality run` writes, with a folder a protocol; such as ``results``.
        protocol: only this one's; by default all that are there.

    Returns:
        Two DataFrames, `LoadedResults.runs` and `LoadedResults.epochs`, and what was left out.

    Raises:
        UserError: no such folder or protocol.
    """
    runs: list[dict[str, Any]] = []
    epochs: list[dict[str, Any]] = []
    unsound: dict[str, str] = {}
    for results in _protocols(Path(folder), protocol):
        records, problems = results.read_all()
        unsound |= {f"{results.folder.name}/{name}": what for name, what in problems.items()}
        # Finished runs come first: of one that failed and then succeeded, the success counts.
        by_name = {record.name: record for record in reversed(records)}
        for _, record in sorted(by_name.items()):
            keys = _keys(record, results)
            runs.append(keys | _run(record))
            if record.status == "done":
                epochs += [keys | row for row in results.epochs(record)]
    return LoadedResults(_frame(runs, RUNS), _frame(epochs, EPOCHS), unsound)


def _protocols(folder: Path, only: str | None) -> list[Results]:
    """The results of every protocol below a folder, or of one."""
    there = {
        path.parent.name: Results(path.parent)
        for kind in KINDS
        for path in sorted(folder.glob(f"*/{kind}"))
    }
    if only is None and there:
        return [there[name] for name in sorted(there)]
    if only is not None and only in there:
        return [there[only]]
    wanted, known = only or "any protocol", ", ".join(sorted(there)) or "none"
    raise UserError(f"{folder}: no results of {wanted}; there are: {known}")


def _keys(record: Record, results: Results) -> dict[str, Any]:
    net = _architecture(record)
    return {
        "protocol": results.folder.name,
        "run": record.name,
        "setting": str(net.setting),
        "cardinality": net.setting.cardinality,
        "width": net.setting.width,
        "depth": net.depth,
        "residual": net.residual,
        "seed": record.configuration["seed"],
    }


def _run(record: Record) -> dict[str, Any]:
    net = _architecture(record)
    values: dict[str, Any] = {"stem": net.stem, "base": net.base, "block": net.block}
    values |= {"classes": net.classes, "revision": record.configuration["revision"]}
    values |= asdict(record.numerics)
    for part in (record, record.final, _made(record.provenance)):
        values |= {key: getattr(part, key) for key in RUNS if hasattr(part, key)}
    return values


@dataclass(frozen=True)
class _Made:
    """Where a run was made, as far as that is known."""

    machine: str | None = None
    cores: int | None = None
    torch: str | None = None
    commit: str | None = None
    clean: bool | None = None


def _made(known: Provenance | None) -> _Made:
    if known is None:
        return _Made()
    torch = known.versions.get("torch")
    return _Made(known.machine, known.cores, torch, known.commit, known.clean)


def _architecture(record: Record) -> Architecture:
    """The net that was configured; a key that is left out is at its default."""
    net = dict(record.configuration["net"])
    return Architecture(Setting.parse(net.pop("setting")), **net)


def _frame(rows: list[dict[str, Any]], columns: dict[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)
