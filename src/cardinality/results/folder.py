"""Results on disk: a folder a run, complete or not there.

results/PROTOCOL/
  runs/RUN/run.json      configuration, final figures and sittings of a finished run
  runs/RUN/epochs.csv    every epoch
  runs/RUN/correct.bin   which of the evaluated images the last epoch got right, a bit each
  failed/RUN/            what there is of a run that failed or diverged; a success takes its place
  images/CHECKSUM.json   labels of the evaluated images, once for each set of them
  checkpoints/RUN.pt     where an unfinished run goes on, with RUN.csv, its epochs; not in git
  weights/RUN.safetensors  the weights of a finished one; not in git
  holds/RUN/             who computes an unfinished run; not in git
  kept/                  what was last shown of each table; not in git
  jobs/RUN.json          which job of a cluster it was given to; logs/ beside it; not in git
  manifest.sha256        which of these files the repository brings
  tables/, plots/        made from the records alone, as claims.md, report.md and index.html are
"""

import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from cardinality.architecture.complexity import Complexity, complexity
from cardinality.common.errors import UserError
from cardinality.common.files import aside_of, guard, read_bytes, refuse_links, remove, sync
from cardinality.experiment.run import LaterNetError, net_from
from cardinality.results.epochs import Epoch, read_epochs, write_epochs
from cardinality.results.images import LARGEST, Correct, checksum
from cardinality.results.records import Final, Record, parse

Status = Literal["done", "failed", "diverged", "missing"]
# The revision from which on records say which images were right.
FIRST_WITH_IMAGES = 4
RECORD, EPOCHS, CORRECT = "run.json", "epochs.csv", "correct.bin"
# What every epoch has measured, and what epochs before that revision have.
MEASURED = {field.name for field in fields(Epoch)} - {"top5_error"}
ERRORS = {"train_error", "top1_error"}


def has_records(folder: Path) -> bool:
    """Whether a folder is one protocol's results, with runs that have ended."""
    return any((folder / kind).is_dir() for kind in ("runs", "failed"))


def protocols_below(root: Path) -> dict[str, Path]:
    """The folders of protocols with records in a folder of results, by name and in its order."""
    return {path.name: path for path in sorted(root.glob("*")) if has_records(path)}


@dataclass(frozen=True)
class Results:
    """The results of one protocol; every path of the suite's output comes from here."""

    folder: Path

    def __post_init__(self) -> None:
        guard(self.folder)

    @property
    def tables(self) -> Path:
        """Folder of the rendered tables."""
        return self.folder / "tables"

    @property
    def plots(self) -> Path:
        """Folder of the plots."""
        return self.folder / "plots"

    @property
    def kept(self) -> Path:
        """Folder of what was last shown of each table, see `cardinality.report.kept`."""
        return self.folder / "kept"

    def job(self, name: str) -> Path:
        """File that says which job of a cluster a run was given to."""
        return self.folder / "jobs" / f"{name}.json"

    def holds(self, name: str) -> Path:
        """Folder that says who computes a run, see `cardinality.execution.holds`."""
        return self.folder / "holds" / name

    def images(self, checksum: str) -> Path:
        """File with the labels of the images of a set that runs were evaluated on."""
        return self.folder / "images" / f"{checksum}.json"

    def checkpoint(self, name: str) -> Path:
        """File that an unfinished run goes on from."""
        return self.folder / "checkpoints" / f"{name}.pt"

    def progress(self, name: str) -> Path:
        """File with the epochs so far of an unfinished run, to be read while it is going on."""
        return self.folder / "checkpoints" / f"{name}.csv"

    def weights(self, name: str) -> Path:
        """File with a finished run's weights, for `cardinality evaluate`; not in git."""
        return self.folder / "weights" / f"{name}.safetensors"

    def status(self, name: str) -> Status:
        """How a run ended. A record is there if its file is; whether it is sound, `read` says.

        Raises:
            UserError: the record of a failure that cannot be read.
        """
        if (self.folder / "runs" / name / RECORD).is_file():
            return "done"
        path = self.folder / "failed" / name / RECORD
        return parse(path).status if path.is_file() else "missing"

    def read(self, name: str) -> Record | None:
        """The record of a finished run, else that of a failed one, else nothing.

        Raises:
            UserError: a record that does not hold together.
        """
        for kind in ("runs", "failed"):
            path = self.folder / kind / name / RECORD
            if path.is_file():
                return self._read(path)
        return None

    def read_all(self) -> tuple[list[Record], dict[str, str]]:
        """Every record of the protocol, by name, and what is wrong with those that are unsound.

        Returns:
            Records, a finished run's before a failed one's of the same name; and problems by the
            name of the folder.
        """
        records, problems = [], {}
        for kind in ("runs", "failed"):
            for path in sorted((self.folder / kind).glob(f"*/{RECORD}")):
                try:
                    records.append(self._read(path))
                except UserError as error:
                    problems[path.parent.name] = str(error)
        return records, problems

    def finished(self) -> Iterator[Record]:
        """Every finished run of the protocol that holds together, by name."""
        return (record for record in self.read_all()[0] if record.status == "done")

    def _read(self, path: Path) -> Record:
        record = parse(path)
        if (record.status == "done") != (path.parent.parent.name == "runs"):
            raise UserError(f"{path}: says {record.status}; no record of ours there")
        _hold_to_net(path, record)
        if record.status == "done":
            self.correct(record)
            self.epochs(record)
        return record

    def epochs(self, record: Record) -> list[dict[str, float]]:
        """Every epoch of a finished run, in order; a figure that was not measured is not a number.

        Raises:
            UserError: a file that cannot be read, or whose last epoch is not the record's.
        """
        path = self.folder / "runs" / record.name / EPOCHS
        try:
            rows = read_epochs(path)
            for last in (record.sittings[-1].last_epoch, record.stated_epochs or len(rows)):
                if len(rows) != last:
                    raise ValueError(f"expected the epochs 1 to {last}")
            _hold_to_final(record, rows)
        except UserError:
            raise
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from None
        return rows

    def correct(self, record: Record) -> Correct | None:
        """Which images a finished run got right; nothing of a run before revision 4.

        Raises:
            UserError: the file is not the record's, or does not sum to its error.
        """
        if record.final is None or record.configuration["revision"] < FIRST_WITH_IMAGES:
            return None
        path = self.folder / "runs" / record.name / CORRECT
        try:
            images = record.final.images
            if images is None:
                raise ValueError("the record does not say of how many images")
            packed = read_bytes(path, LARGEST)
            if checksum(packed) != record.correct_checksum:
                raise ValueError("not the file that the record has the checksum of")
            correct = Correct.unpack(packed, images)
            if abs(correct.error - record.final.top1_error) > 1e-9:
                raise ValueError(
                    f"sums to an error of {correct.error:.4f} %, the record says"
                    f" {record.final.top1_error:.4f} %"
                )
        except UserError:
            raise
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read: {error}") from None
        return correct

    def write(
        self, record: Record, epochs: Sequence[Epoch], correct: Correct | None = None
    ) -> None:
        """Put a run's folder in place, all at once, and drop what it supersedes.

        A folder without a record, as a copy that was broken off leaves it, is no run's.
        """
        kind = "runs" if record.status == "done" else "failed"
        aside = aside_of(self.folder / "checkpoints" / record.name)
        target = self.folder / kind / record.name
        for path in (aside, target):
            refuse_links(path)
        shutil.rmtree(aside, ignore_errors=True)
        try:
            _write_into(aside, record, epochs, correct)
        except OSError as error:  # what is half written would keep a full disk full
            shutil.rmtree(aside, ignore_errors=True)
            error.filename = str(target)
            raise
        target.parent.mkdir(parents=True, exist_ok=True)
        if kind == "runs" and (target / RECORD).is_file():  # finished twice: its first stays
            shutil.rmtree(aside)
            return
        if target.exists():  # a retry has failed again: the newer failure counts
            target.replace(aside.with_suffix(".old"))
        try:
            aside.replace(target)
        except OSError:
            if kind == "failed" or not (target / RECORD).is_file():
                raise
            shutil.rmtree(aside)  # somebody else was quicker by a moment
            return
        sync(target.parent)
        remove(aside.with_suffix(".old"))
        if record.status == "done":
            shutil.rmtree(self.folder / "failed" / record.name, ignore_errors=True)


def _write_into(
    folder: Path, record: Record, epochs: Sequence[Epoch], correct: Correct | None
) -> None:
    """Make a run's folder, and wait until it is on the disk."""
    folder.mkdir(parents=True)
    if epochs:
        write_epochs(folder / EPOCHS, epochs)
    if correct is not None:
        (folder / CORRECT).write_bytes(correct.pack())
    text = record.model_dump_json(indent=1) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8")
    for path in (*folder.iterdir(), folder):
        sync(path)


def _hold_to_net(path: Path, record: Record) -> None:
    """See that parameters, MACs and activations are those of the net that was configured.

    A later version's net, which is not known here, has none to be held to.
    """
    try:
        expected = counts_of(record)
    except LaterNetError:
        return
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    for count in ("params", "macs", "activations"):
        ours, theirs = getattr(record, count), getattr(expected, count)
        if ours != theirs:
            raise UserError(f"{path}: {count}: {ours:,}, and its net has {theirs:,}")


def counts_of(record: Record) -> Complexity:
    """Parameters, MACs and activations of the net that a record has configured.

    Raises:
        LaterNetError: it is not known here.
        UserError: it cannot be built.
    """
    try:
        return complexity(net_from(dict(record.configuration["net"])), record.side)
    except LaterNetError:
        raise
    except (ArithmeticError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"configuration.net: {error}") from None


def _hold_to_final(record: Record, rows: list[dict[str, float]]) -> None:
    """See that the epochs are such as are measured, and the last is what the record has."""
    if record.final is None:
        return
    for key, value in record.final.model_dump(exclude_none=True).items():
        if rows[-1].get(key) != value:
            raise ValueError(f"{key} of the last epoch is {rows[-1].get(key)}, not {value}")
    for row in rows:
        _hold_to_sense(record, record.final, row)


def _hold_to_sense(record: Record, final: Final, row: Mapping[str, float]) -> None:
    """See that an epoch has what every epoch has, and nothing that cannot have been measured."""
    here = f"epoch {row['epoch']:.0f}"
    before = record.configuration["revision"] < FIRST_WITH_IMAGES
    for key in ERRORS if before else MEASURED:
        if math.isnan(row.get(key, math.nan)):
            raise ValueError(f"{key} of {here} is missing")
    for key in MEASURED & row.keys() | {"top5_error"}:
        if row[key] < 0 or (key.endswith("_error") and row[key] > 100):
            raise ValueError(f"{key} of {here} is {row[key]:g}")
    if math.isnan(row["top5_error"]) != (final.top5_error is None):
        raise ValueError(f"top5_error of {here} is there, or not, as in no other")
    if row["top5_error"] > row["top1_error"]:
        raise ValueError(f"top5_error of {here} is larger than top1_error")
    # An epoch before the last may be evaluated on fewer, as a protocol's ``curve`` says.
    if not before and (row["images"] % 1 or not 1 <= row["images"] <= (final.images or 0)):
        raise ValueError(f"images of {here} are {row['images']:g}, of {final.images}")
