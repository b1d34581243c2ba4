"""Results on disk: a folder a run, complete or not there.

results/PROTOCOL/
  runs/RUN/run.json      configuration, final figures and provenance of a finished run
  runs/RUN/epochs.csv    every epoch
  failed/RUN/            the same of a run that failed; a later success takes its place
  checkpoints/RUN.pt     where an unfinished run goes on; not in git
  weights/RUN.safetensors  the weights of a finished one; not in git
  tables/, plots/        made from the records alone
"""

import csv
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from cardinality.common.errors import UserError
from cardinality.common.strict import Strict
from cardinality.experiment.plan import Numerics, Run, digest
from cardinality.host.provenance import Provenance
from cardinality.results.epochs import Epoch

Status = Literal["done", "failed", "missing"]

LARGEST_RECORD = 1_000_000  # bytes; ours are some thousand


Percent = Annotated[float, Field(ge=0, le=100)]


class Final(Strict):
    """The figures of the last epoch; errors in percent, top-5 only with five classes or more."""

    train_loss: float
    train_error: Percent
    test_loss: float
    top1_error: Percent
    top5_error: Percent | None


class Record(Strict):
    """What is kept of one run besides its epochs.

    Attributes:
        name: of the run (`cardinality.experiment.plan.Run.name`).
        status: ``done`` or ``failed``.
        failure: why it failed.
        configuration: the run's effective configuration, which its name is a hash of.
        params, macs, activations: of the net.
        data_checksum: of the data set (`cardinality.data.images.Images.checksum`).
        final: the last epoch's figures, of a finished run.
        weights_checksum: of the finished net's weights.
        seconds: of training and evaluation, over all sittings.
        peak_memory: bytes at most in the last sitting, where it is known: of a CPU's process with
            everything in it, of a GPU's tensors.
        provenance: where and with what.
        finished: when, in UTC.
    """

    name: str
    status: Literal["done", "failed"]
    failure: str | None
    configuration: dict[str, Any]
    params: int
    macs: int
    activations: int
    data_checksum: str
    final: Final | None
    weights_checksum: str | None
    seconds: float
    peak_memory: int | None = None
    provenance: Provenance
    finished: str

    @model_validator(mode="after")
    def _check(self) -> "Record":
        if (self.status == "done") != (self.final is not None):
            raise ValueError("final: stands in a record that is done, and in no other")
        _ = self.numerics
        return self

    @property
    def numerics(self) -> Numerics:
        """The numerics that the run was computed with."""
        return TypeAdapter(Numerics).validate_python(self.configuration.get("numerics"))


@dataclass(frozen=True)
class Report:
    """How a worker's run ended; ``reason`` says why it failed."""

    run: Run
    outcome: Literal["done", "failed", "stopped"]
    reason: str = ""


@dataclass(frozen=True)
class Results:
    """The results of one protocol; every path of the suite's output comes from here."""

    folder: Path

    @property
    def tables(self) -> Path:
        """Folder of the rendered tables."""
        return self.folder / "tables"

    @property
    def plots(self) -> Path:
        """Folder of the plots."""
        return self.folder / "plots"

    @property
    def lock(self) -> Path:
        """File that a driver holds while it computes."""
        return self.folder / ".lock"

    def checkpoint(self, name: str) -> Path:
        """File that an unfinished run goes on from."""
        return self.folder / "checkpoints" / f"{name}.pt"

    def weights(self, name: str) -> Path:
        """File with a finished run's weights, for `cardinality evaluate`; not in git."""
        return self.folder / "weights" / f"{name}.safetensors"

    def status(self, name: str) -> Status:
        """Whether a run is done, failed or missing."""
        if (self.folder / "runs" / name / "run.json").is_file():
            return "done"
        return "failed" if (self.folder / "failed" / name / "run.json").is_file() else "missing"

    def read(self, name: str) -> Record | None:
        """The record of a finished run, else that of a failed one, else nothing.

        Raises:
            UserError: a record that cannot be read.
        """
        for kind in ("runs", "failed"):
            path = self.folder / kind / name / "run.json"
            if path.is_file():
                return _parse(path)
        return None

    def finished(self) -> Iterator[Record]:
        """Every finished run of the protocol, by name."""
        for path in sorted((self.folder / "runs").glob("*/run.json")):
            yield _parse(path)

    def epochs(self, record: Record) -> list[dict[str, float]]:
        """Every epoch of a finished run, in order; a figure that was not measured is not a number.

        Raises:
            UserError: a file that cannot be read, or that has not just the run's epochs.
        """
        path = self.folder / "runs" / record.name / "epochs.csv"
        try:
            if path.stat().st_size > LARGEST_RECORD:
                raise ValueError(f"larger than {LARGEST_RECORD:,} bytes")
            with path.open(newline="") as file:
                lines = list(csv.DictReader(file))
            # Empty is a figure that was not measured; None is a column that is missing.
            rows = [{k: float("nan" if v == "" else v) for k, v in line.items()} for line in lines]
            expected = record.configuration["training"]["epochs"]
            if [row.get("epoch") for row in rows] != list(range(1, expected + 1)):
                raise ValueError(f"expected the epochs 1 to {expected}")
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from None
        return rows

    def write(self, record: Record, epochs: Sequence[Epoch]) -> None:
        """Put a run's folder in place, all at once, and drop what it supersedes."""
        kind = "runs" if record.status == "done" else "failed"
        aside = self.folder / "checkpoints" / f"{record.name}.{os.getpid()}.part"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(parents=True)
        if epochs:
            with (aside / "epochs.csv").open("w", newline="") as file:
                rows = [asdict(epoch) for epoch in epochs]
                writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
        (aside / "run.json").write_text(record.model_dump_json(indent=1) + "\n")
        target = self.folder / kind / record.name
        target.parent.mkdir(parents=True, exist_ok=True)
        if record.status == "done" and target.exists():  # finished twice: its first record stays
            shutil.rmtree(aside)
            return
        if target.exists():  # a retry has failed again: the newer failure counts
            target.replace(aside.with_suffix(".old"))
        aside.replace(target)
        shutil.rmtree(aside.with_suffix(".old"), ignore_errors=True)
        if record.status == "done":
            shutil.rmtree(self.folder / "failed" / record.name, ignore_errors=True)


def make_record(
    run: Run,
    provenance: Provenance,
    data_checksum: str,
    epochs: Sequence[Epoch],
    weights_checksum: str | None = None,
    peak_memory: int | None = None,
    failure: str | None = None,
) -> Record:
    """The record of a run that ended: with a reason if it failed, else with its last epoch.

    The last epoch is the result, never the best one.
    """
    final = None
    if failure is None:
        last = asdict(epochs[-1])
        final = Final(**{key: last[key] for key in Final.model_fields})
    else:
        failure = " ".join(failure.split())[:500]
    return Record(
        name=run.name,
        status="done" if failure is None else "failed",
        failure=failure,
        configuration=run.configuration,
        params=run.complexity.params,
        macs=run.complexity.macs,
        activations=run.complexity.activations,
        data_checksum=data_checksum,
        final=final,
        weights_checksum=weights_checksum,
        seconds=sum(epoch.seconds for epoch in epochs),
        peak_memory=peak_memory,
        provenance=provenance,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _parse(path: Path) -> Record:
    try:
        if path.stat().st_size > LARGEST_RECORD:
            raise UserError(f"{path}: larger than {LARGEST_RECORD:,} bytes, so no record of ours")
        record = Record.model_validate(json.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        raise UserError(f"{path}: {key}: {first['msg']}; no record of ours") from None
    except (OSError, KeyError, TypeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: no record of ours: {error}") from None
    if record.name != path.parent.name or not record.name.endswith(digest(record.configuration)):
        raise UserError(f"{path}: is the record of another run than its folder's name says")
    return record
