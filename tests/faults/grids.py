"""Whole grids from the command line, with real nets, for whatever is done to them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import psutil

from cardinality.results.folder import Results
from tests.made_images import MADE_FOLDERS, write_set
from tests.tiny import TINY_ABLATION, TINY_PROTOCOL

COMMAND = str(Path(sys.executable).with_name("cardinality"))
SAMPLE = os.environ.get("FAULTS") == "sample"
# By this variable every process of a grid is found again, wherever it was moved to.
MARK = "FAULTS_MARK"
PATCHES = "{name: patches, side: 16, train: 80, test: 40}"


def shape(train: int, test: int, epochs: int, seeds: int = 1) -> str:
    """A protocol with that many images, whose epochs are mostly training or mostly evaluating."""
    text = TINY_PROTOCOL.replace(
        PATCHES, PATCHES.replace("80", str(train)).replace("40", str(test))
    )
    return text.replace("epochs: 2", f"epochs: {epochs}").replace("seeds: 2", f"seeds: {seeds}")


def streamed() -> str:
    """A protocol of photographs, which processes of their own decode for each run."""
    data = json.dumps(MADE_FOLDERS | {"train": 80})
    text = TINY_PROTOCOL.replace(PATCHES, data).replace("shift: 1", "shift: 0")
    return text.replace("epochs: 2", "epochs: 6").replace("seeds: 2", "seeds: 1")


PROTOCOLS = {
    "training": shape(train=480, test=40, epochs=8),
    "evaluating": shape(train=40, test=590, epochs=8),
    "many": shape(train=80, test=40, epochs=1, seeds=6),
    "streamed": streamed(),
}


@dataclass
class Grid:
    """A results folder in which some runs are to be computed, and the processes that do.

    Attributes:
        root: folder of all grids, with their YAML files and their data.
        protocol: which of `PROTOCOLS`.
        number: that tells it from other grids.
    """

    root: Path
    protocol: str
    number: int
    mark: str = field(default_factory=lambda: uuid4().hex)
    process: subprocess.Popen[str] | None = None

    @property
    def results(self) -> Results:
        return Results(self.root / f"results-{self.number}" / self.protocol)

    def command(self, *options: str) -> tuple[list[str], dict[str, str]]:
        """The command that computes the grid, and its environment."""
        # Whoever runs these tests may have a signal ignored, as nohup does, and that is inherited.
        heard = ["env", "--default-signal"]
        ablation, protocol = self.root / "two.yaml", self.root / f"{self.protocol}.yaml"
        command = [*heard, COMMAND, "run", str(ablation), "--protocol", str(protocol), *options]
        command += ["--device", "cpu", "--results", str(self.results.folder.parent)]
        environment = {**os.environ, MARK: self.mark, "CARDINALITY_DATA": str(self.root / "data")}
        return command, environment

    def start(self, *options: str) -> str:
        """Start the command and give the line by which it says what there is to do."""
        command, environment = self.command(*options)
        self.process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    @property
    def running(self) -> subprocess.Popen[str]:
        assert self.process is not None
        return self.process

    def processes(self) -> list[psutil.Process]:
        """Every process of this grid that lives, the driver last."""
        return [one for one in psutil.process_iter() if _mark(one) == self.mark][::-1]

    def workers(self) -> list[psutil.Process]:
        """The driver's workers."""
        return [one for one in self.processes() if "--multiprocessing-fork" in _words(one)]

    def ended(self, seconds: float = 600) -> tuple[int, str, str]:
        """Wait for the command: its status, output and errors; none of its processes is left."""
        out, err = self.running.communicate(timeout=seconds)
        end = time.monotonic() + 20
        while (left := self.processes()) and time.monotonic() < end:
            time.sleep(0.05)
        assert left == [], "a process outlives its driver"
        return self.running.returncode, out, err

    def checksums(self) -> dict[str, str | None]:
        """Checksums of the weights of the runs that are done; each record is read in whole."""
        return {record.name: record.weights_checksum for record in self.records()}

    def records(self) -> Iterator:  # type: ignore[type-arg] # of records
        for folder in sorted((self.results.folder / "runs").glob("*")):
            record = self.results.read(folder.name)
            assert record is not None, "a folder without a record"
            yield record

    def failures(self) -> dict[str, str]:
        """Why runs have failed, as recorded, by name."""
        records, problems = self.results.read_all()
        assert problems == {}
        return {one.name: one.failure or "" for one in records if one.status != "done"}


def _mark(process: psutil.Process) -> str | None:
    try:
        return process.environ().get(MARK)
    except psutil.Error:
        return None


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


@dataclass
class Untouched:
    """What grids come to that nobody touches: checksums and the table, by protocol."""

    root: Path
    checksums: dict[str, dict[str, str | None]] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)

    def of(self, protocol: str) -> dict[str, str | None]:
        """Checksums by run; computed when first asked for."""
        if protocol not in self.checksums:
            grid = Grid(self.root, protocol, 0)
            grid.start()
            status, _, err = grid.ended()
            assert status == 0, err
            self.checksums[protocol] = grid.checksums()
            self.tables[protocol] = (grid.results.tables / "two.csv").read_text()
        return self.checksums[protocol]


def completed(grid: Grid, untouched: Untouched) -> None:
    """Go on with the same command to the end: nothing is lost and no bit is another."""
    grid.start("--retry-failed")
    status, _, err = grid.ended()
    assert status == 0, err
    assert grid.checksums() == untouched.of(grid.protocol)
    assert (grid.results.tables / "two.csv").read_text() == untouched.tables[grid.protocol]
    everything = grid.results.folder.parent.rglob("*")
    assert [path.name for path in everything if path.suffix in (".part", ".old")] == []
    assert not list((grid.results.folder / "checkpoints").glob("*.pt"))
    assert grid.failures() == {}


def untouched_in(root: Path) -> Untouched:
    """The grids to compare with, in a folder with the YAML files and the data."""
    (root / "two.yaml").write_text(TINY_ABLATION)
    for name, text in PROTOCOLS.items():
        (root / f"{name}.yaml").write_text(text)
    write_set(root / "data", train=80)
    return Untouched(root)
