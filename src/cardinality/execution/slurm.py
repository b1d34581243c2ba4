"""Computes runs as jobs of Slurm, through submitit: an `Executor` that sends, looks and reports.

What becomes of a run is read from its record and its hold; the queue says only whether its job is
still there. So whoever sees the folder may look on, and a driver may end and another go on with the
jobs that it has sent: `jobs/RUN.json` says which.
"""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cardinality.common.errors import UserError
from cardinality.common.files import read_text, written_aside
from cardinality.execution.cluster import Cluster
from cardinality.execution.contract import Broken, Progress, Report
from cardinality.execution.job import BROKEN, Order, compute_one, said_by
from cardinality.experiment.plan import Run
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header
from cardinality.results.records import make_record

# Seconds between two looks at the queue.
LOOKED = 15.0
# Slurm's own MaxArraySize where it says none; its highest index is one less.
ARRAY = 1001
# Jobs of a run that may go without a word before the run has failed.
LOST = 3
MISSING = "Slurm is not here (no sbatch); allowed: a machine of the cluster, or --dry-run"


def script(cluster: Cluster, folder: Path, count: int) -> str:
    """What is given to sbatch for so many runs, without Slurm.

    Raises:
        UserError: submitit is not installed.
    """
    text = _submitit().slurm.slurm._make_sbatch_string
    command = f"python -u -m submitit.core._submit {folder}"
    return str(text(command, folder, map_count=count, **cluster.parameters()))


def _submitit() -> Any:
    try:
        import submitit
        import submitit.slurm.slurm
    except ImportError:
        raise UserError(
            "executor slurm: submitit is not installed; allowed: pip install 'cardinality[slurm]'"
        ) from None
    return submitit


def queue() -> dict[str, str] | None:
    """The states of this user's jobs in the queue, an array's each by itself; None without one.

    One that is being asked for a moment too often answers with an error, as one that restarts does.
    """
    command = ["squeue", "--me", "--noheader", "--array", "--format=%i %T"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    pairs = (line.split() for line in answer.stdout.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def largest_array() -> int:
    """How many jobs an array may have."""
    command = ["scontrol", "show", "config"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return ARRAY - 1
    found = re.search(r"MaxArraySize\s*=\s*([0-9]+)", answer.stdout)
    return max(1, (int(found[1]) if found else ARRAY) - 1)


def job_of(results: Results, name: str) -> str | None:
    """The job that a run was given to, if it was."""
    path = results.job(name)
    try:
        return str(json.loads(read_text(path, 1000))["job"]) if path.is_file() else None
    except (UserError, ValueError, KeyError, TypeError):
        return None


@dataclass
class Sent:
    """A run whose job is in the queue, or was at the last look."""

    run: Run
    job: str
    absent: int = 0
    epochs: int = 0


@dataclass
class Slurm:
    """Sends runs as arrays of jobs.

    Attributes:
        cluster: what is asked for.
        results: of the protocol.
        order: makes the order for a run.
        workspace: the user's.
        function: what a job calls with the two strings.
        looked: seconds between two looks at the queue.
    """

    cluster: Cluster
    results: Results
    order: Callable[[Run], Order]
    workspace: str
    function: Callable[[str, str], str] = compute_one
    looked: float = LOOKED
    given: list[Run] = field(default_factory=list)
    sent: dict[str, Sent] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    last: float = -1e9

    @property
    def free(self) -> int:
        """As many as there are; the queue is long."""
        return 0 if self.stopped else 1

    def submit(self, run: Run) -> None:
        """Keep a run until the others of its array are there."""
        self.given.append(run)

    def poll(self, seconds: float) -> Iterator[Progress | Report]:
        """Send what was given, and from time to time see what has become of what was sent.

        Raises:
            Broken: a job found that nothing can be computed on its node, or Slurm is not here.
        """
        if self.stopped:
            yield from self._left()
            return
        if self.given:
            self._send()
        if time.monotonic() < self.last + self.looked:
            time.sleep(seconds)
            return
        self.last = time.monotonic()
        states = queue()
        if states is not None:
            for sent in list(self.sent.values()):
                yield from self._look(sent, states)

    def _send(self) -> None:
        """Send all runs that were given, but those whose job is in the queue."""
        states = queue()
        if states is None:
            raise Broken(MISSING)
        fresh = []
        for run in self.given:
            job = job_of(self.results, run.name)
            if job is not None and job in states:
                self.sent[run.name] = Sent(run, job)
            else:
                fresh.append(run)
        self.given.clear()
        size = largest_array()
        for start in range(0, len(fresh), size):
            self._send_array(fresh[start : start + size])

    def _send_array(self, runs: Sequence[Run]) -> None:
        submitit = _submitit()
        try:
            executor = submitit.SlurmExecutor(self.logs)
        except RuntimeError:
            raise Broken(MISSING) from None
        executor.update_parameters(**self.cluster.parameters())
        with executor.batch():
            jobs = [
                executor.submit(self.function, self.workspace, self.order(run).model_dump_json())
                for run in runs
            ]
        for run, job in zip(runs, jobs, strict=True):
            self.sent[run.name] = Sent(run, job.job_id)
            with written_aside(self.results.job(run.name)) as aside:
                aside.write_text(json.dumps({"job": job.job_id}) + "\n", encoding="utf-8")

    @property
    def logs(self) -> Path:
        """Folder of what jobs print, and of submitit's files."""
        return self.results.folder.absolute() / "jobs" / "logs"

    def _look(self, sent: Sent, states: dict[str, str]) -> Iterator[Progress | Report]:
        """See what has become of a run."""
        name, status = sent.run.name, self.results.status(sent.run.name)
        there = sent.job in states
        if status == "done":
            yield self._ended(sent, Report(sent.run, "done"))
        elif status != "missing" and not there:
            record = self.results.read(name)
            reason = (record.failure if record is not None else None) or ""
            yield self._ended(sent, Report(sent.run, status, reason))
        elif there:
            sent.absent = 0
            yield from self._progress(sent)
        elif sent.absent == 0:  # shared disks may show its record a moment later
            sent.absent = 1
        else:
            yield self._ended(sent, self._gone(sent))

    def _gone(self, sent: Sent) -> Report:
        """What a job that has left neither record nor place in the queue has ended with."""
        said = self._said(sent)
        if said.startswith(BROKEN):
            raise Broken(said.removeprefix(BROKEN))
        if said in ("taken", "stopped"):
            return Report(sent.run, "taken", f"job {sent.job} {said}")
        name = sent.run.name
        self.lost[name] = self.lost.get(name, 0) + 1
        reason = f"job {sent.job} was lost; what it printed is in {self.logs}"
        if self.lost[name] < LOST:
            return Report(sent.run, "taken", reason)
        reason = f"{LOST} jobs were lost, the last one is {sent.job}; see {self.logs}"
        return Report(
            sent.run, "failed", reason, make_record(sent.run, None, [], [], failure=reason)
        )

    def _said(self, sent: Sent) -> str:
        """How a job has said that it ended; empty if it has not come so far."""
        try:
            job, _, said = read_text(said_by(self.results, sent.run.name), 10_000).partition(" ")
        except UserError:
            return ""
        return said.strip() if job == sent.job else ""

    def _ended(self, sent: Sent, report: Report) -> Report:
        del self.sent[sent.run.name]
        self.results.job(sent.run.name).unlink(missing_ok=True)
        said_by(self.results, sent.run.name).unlink(missing_ok=True)
        return report

    def _progress(self, sent: Sent) -> Iterator[Progress]:
        try:
            epochs = read_header(self.results.checkpoint(sent.run.name)).epochs
        except (Unsound, OSError):
            return
        if epochs != sent.epochs:
            sent.epochs = epochs
            yield Progress(sent.run.name, epochs)

    def _left(self) -> Iterator[Report]:
        """The driver ends; its jobs do not, and the same command goes on with them."""
        for run in [*self.given, *(sent.run for sent in self.sent.values())]:
            yield Report(run, "stopped")
        self.given.clear()
        self.sent.clear()

    def stop(self) -> None:
        """Look after the jobs no longer; scancel ends them."""
        self.stopped = True

    def kill(self) -> None:
        """Jobs go on."""

    def close(self) -> None:
        """Jobs go on."""
