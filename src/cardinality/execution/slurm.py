"""Computes runs as jobs of Slurm, through submitit: an `Executor` that sends, looks and reports.

What becomes of a run is read from its record and its hold; the queue says only whether its job is
still there. So whoever sees the folder may look on, and a driver may end and another go on with the
jobs that it has sent: `jobs/RUN.json` says which.
"""

import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from cardinality.common.errors import UserError, one_line
from cardinality.common.files import read_text, written_aside
from cardinality.common.notes import note
from cardinality.common.text import plural
from cardinality.execution.cluster import Cluster
from cardinality.execution.contract import Broken, Progress, Report
from cardinality.execution.failure import failure_of
from cardinality.execution.job import BROKEN, Order, compute_one, said_by
from cardinality.execution.scheduler import LIVE, NAME, largest_array, queue
from cardinality.experiment.run import Run
from cardinality.results.folder import Results
from cardinality.results.progress import Unsound, read_header

# Seconds between two looks at the queue.
LOOKED = 15.0
# Seconds after which a job whose record is not to be seen has left none, where nobody says that it
# came to a bad end: shared disks may show what was true a minute ago.
LATE = 90.0
# Jobs of a run that may go without a word before the run has failed.
LOST = 3
MISSING = "Slurm is not here (no sbatch); allowed: a machine of the cluster, or --dry-run"


def scripts(cluster: Cluster, logs: Path, count: int) -> list[str]:
    """What is given to sbatch for so many runs; where there is no Slurm, for one as it comes.

    Raises:
        UserError: submitit is not installed.
    """
    make = _submitit().slurm.slurm._make_sbatch_string
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(logs))}"
    sizes = [len(part) for part in _parts(range(count), largest_array())]
    words = parameters(cluster)
    return [
        str(make(command, logs, map_count=size if size > 1 else None, **words)) for size in sizes
    ]


def parameters(cluster: Cluster) -> dict[str, Any]:
    """What a run's job asks for, in submitit's words."""
    asked: dict[str, Any] = {
        "job_name": NAME,
        "partition": cluster.partition,
        "account": cluster.account,
        "time": cluster.minutes,
        "gpus_per_node": cluster.gpus or (1 if cluster.device == "cuda" else None),
        "ntasks_per_node": 1,
        "cpus_per_task": cluster.cpus,
        "mem": None if cluster.memory is None else f"{cluster.memory}GB",
        "constraint": cluster.constraint,
        "comment": cluster.comment,
        "array_parallelism": cluster.array,
        "signal_delay_s": cluster.notice,
        # By the release notes of Slurm 22.05, srun no longer takes this from the job.
        "srun_args": [f"--cpus-per-task={cluster.cpus}"],
        "additional_parameters": {"requeue": True},
    }
    # Without a word submitit would ask for a wckey of its own, which not every cluster knows.
    return {"wckey": None} | {key: value for key, value in asked.items() if value is not None}


def job_of(results: Results, name: str) -> str | None:
    """The job that a run was given to, if it was."""
    path = results.job(name)
    try:
        return str(json.loads(read_text(path, 1000))["job"]) if path.is_file() else None
    except (UserError, ValueError, KeyError, TypeError):
        return None


def logs_of(results: Results) -> Path:
    """Folder of what jobs print, and of submitit's files."""
    return results.folder.absolute() / "jobs" / "logs"


def _parts(runs: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [runs[start : start + size] for start in range(0, len(runs), size)]


def _submitit() -> ModuleType:
    try:
        import submitit
        import submitit.slurm.slurm
    except ImportError:
        raise UserError(
            "--executor slurm: submitit is not installed; allowed: pip install submitit"
        ) from None
    return submitit


@dataclass
class Sent:
    """A run whose job is in the queue, or was; since when it is not, and epochs last seen."""

    run: Run
    job: str
    gone: float | None = None
    epochs: int = 0


@dataclass
class Slurm:
    """Sends runs as arrays of jobs.

    Attributes:
        cluster: what is asked for.
        results: of the protocol.
        order: of no run yet; each gets its own.
        workspace: the user's.
        function: what a job calls with the two strings.
        looked: seconds between two looks at the queue.
        late: seconds after which a job whose record is not to be seen has left none.
    """

    cluster: Cluster
    results: Results
    order: Order
    workspace: str
    function: Callable[[str, str], str] = compute_one
    looked: float = LOOKED
    late: float = LATE
    given: list[Run] = field(default_factory=list)
    sent: dict[str, Sent] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)
    stopped: bool = False
    last: float = -1e9

    @property
    def free(self) -> int:
        """One at any time; the queue is long."""
        return 0 if self.stopped else 1

    def submit(self, run: Run) -> None:
        """Keep a run until the others of its array are there."""
        self.given.append(run)

    def poll(self, seconds: float) -> Iterator[Progress | Report]:
        """From time to time send what was given, and see what has become of what was sent.

        Raises:
            Broken: a job found that nothing can be computed on its node, or Slurm takes no jobs.
        """
        if self.stopped:
            yield from self._left()
            return
        if time.monotonic() < self.last + self.looked:
            time.sleep(min(seconds, self.looked))
            return
        self.last = time.monotonic()
        if shutil.which("sbatch") is None:
            raise Broken(MISSING)
        states = queue()
        if states is None:  # its controller restarts; jobs go on meanwhile
            waiting = f"; {plural(len(self.given), 'run')} not sent yet" if self.given else ""
            note(f"Slurm's controller does not answer; it is asked again and again{waiting}")
            return
        for sent in list(self.sent.values()):
            yield from self._look(sent, states)
        self._send(states)

    def _send(self, states: dict[str, str]) -> None:
        """Send all runs that were given, but those whose job is in the queue."""
        fresh = []
        for run in self.given:
            job = job_of(self.results, run.name)
            if job is not None and states.get(job) in LIVE:
                self.sent[run.name] = Sent(run, job)
            else:
                fresh.append(run)
        self.given.clear()
        for runs in _parts(fresh, largest_array()) if fresh else ():
            self._send_array(runs)

    def _send_array(self, runs: Sequence[Run]) -> None:
        executor = _submitit().SlurmExecutor(logs_of(self.results))
        executor.update_parameters(**parameters(self.cluster))
        texts = [self.order.model_copy(update={"run": run.name}).model_dump_json() for run in runs]
        try:
            with executor.batch():
                jobs = [executor.submit(self.function, self.workspace, text) for text in texts]
        except Exception as error:  # sbatch's words are in submitit's FailedJobError
            raise Broken(f"Slurm takes no jobs: {one_line(error)}") from error
        for run, job in zip(runs, jobs, strict=True):
            self.sent[run.name] = Sent(run, job.job_id)
            with written_aside(self.results.job(run.name)) as aside:
                aside.write_text(json.dumps({"job": job.job_id}) + "\n", encoding="utf-8")

    def _look(self, sent: Sent, states: dict[str, str]) -> Iterator[Progress | Report]:
        """See what has become of a run."""
        status, state = self.results.status(sent.run.name), states.get(sent.job, "")
        if status == "done":
            yield self._ended(sent, Report(sent.run, "done"))
        elif state in LIVE:
            sent.gone = None
            yield from self._progress(sent)
        elif status != "missing":
            record = self.results.read(sent.run.name)
            reason = (record.failure if record is not None else None) or ""
            yield self._ended(sent, Report(sent.run, status, reason))
        elif (report := self._without_record(sent, state)) is not None:
            yield self._ended(sent, report)

    def _without_record(self, sent: Sent, state: str) -> Report | None:
        """What a job that is gone without a record has ended with; nothing while it may be late.

        Raises:
            Broken: that nothing can be computed on its node.
        """
        said = self._said(sent)
        if said.startswith(BROKEN):
            raise Broken(said.removeprefix(BROKEN))
        if state == "CANCELLED":
            return Report(sent.run, "stopped", f"job {sent.job} was cancelled")
        if said in ("taken", "stopped") or state == "PREEMPTED":
            return Report(sent.run, "taken", f"job {sent.job} {said or 'was preempted'}")
        if sent.gone is None:
            sent.gone = time.monotonic()
        late = self.late if state in ("", "COMPLETED") else 0.0
        return self._lost(sent, state) if time.monotonic() - sent.gone >= late else None

    def _lost(self, sent: Sent, state: str) -> Report:
        """A job that has left no word: the run is sent again, but not for ever."""
        name, where = sent.run.name, f"what it printed is in {logs_of(self.results)}"
        self.lost[name] = self.lost.get(name, 0) + 1
        how = f"job {sent.job} was lost{f' ({state.lower()})' if state else ''}; {where}"
        if self.lost[name] < LOST:
            return Report(sent.run, "taken", how)
        reason = f"{LOST} jobs were lost; {how}"
        record = failure_of(sent.run, self.results, reason)
        return Report(sent.run, "failed", reason, record)

    def _said(self, sent: Sent) -> str:
        """How a job has said that it ended; empty if it has not come so far."""
        try:
            return read_text(said_by(self.results, sent.job), 10_000).strip()
        except UserError:
            return ""

    def _ended(self, sent: Sent, report: Report) -> Report:
        del self.sent[sent.run.name]
        if job_of(self.results, sent.run.name) in (sent.job, None):  # not another driver's
            self.results.job(sent.run.name).unlink(missing_ok=True)
        said_by(self.results, sent.job).unlink(missing_ok=True)
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
        for run in self.given:
            yield Report(run, "stopped", "it was not sent")
        for sent in self.sent.values():
            yield Report(sent.run, "stopped", f"job {sent.job} goes on; scancel would end it")
        self.given.clear()
        self.sent.clear()

    def stop(self) -> None:
        """Look after the jobs no longer."""
        self.stopped = True

    def kill(self) -> None:
        """Jobs go on."""

    def close(self) -> None:
        """Jobs go on."""
