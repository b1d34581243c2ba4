"""A scheduler in the process of the test: sbatch, squeue, scontrol and srun, enough for submitit.

`Scheduler` writes a program for each into a folder, to be put first in PATH; they hand on what they
are told, with their environment. A job is a process that is forked from one with all imports done,
and does what the script's last word says, `python -m submitit.core._submit FOLDER`. One that is put
back into the queue is killed, and begins anew under its number.
"""

import json
import multiprocessing
import os
import re
import shlex
import signal
import socketserver
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

PROGRAMS = ("sbatch", "squeue", "scontrol", "srun")
# As every program is: it needs no more than a moment to start.
PROGRAM = """\
#!/bin/sh
exec {python} -I -S -c '
import json, os, socket, sys
with socket.create_connection(("127.0.0.1", {port})) as line:
    line.sendall(json.dumps([sys.argv[1:], dict(os.environ)]).encode() + b"\\n")
    code, text = json.loads(line.makefile().read())
(sys.stderr if code else sys.stdout).write(text)
sys.exit(code)
' {name} "$@"
"""
FORKED = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(
    ["submitit.core.submission", "cardinality.execution.job", "tests.execution.fakes"]
)


@dataclass
class Job:
    """A job: what it is told, and how it is.

    Attributes:
        number: as the queue has it.
        environment: of its processes.
        folder: of submitit's files.
        output, error: files of what it prints.
        state: as the queue has it.
        process: of its present life.
        lives: how often it has begun.
        back: whether it was put back.
    """

    number: str
    environment: dict[str, str]
    folder: str
    output: str
    error: str
    state: str = "PENDING"
    process: ForkServerProcess | None = None
    lives: int = 0
    back: bool = False

    def live(self) -> None:
        """Be computed: once, and again as often as it is put back."""
        while self.state == "PENDING":
            self.process = FORKED.Process(target=compute, args=(self,))
            self.lives, self.back = self.lives + 1, False
            self.process.start()
            self.state = "RUNNING"
            self.process.join()
            if self.back:
                self.state = "PENDING"
            elif self.state == "RUNNING":
                self.state = "FAILED" if self.process.exitcode else "COMPLETED"

    def tell(self, number: signal.Signals) -> None:
        """Send its process a signal."""
        assert self.process is not None
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    def end(self, state: str) -> None:
        """Kill it, for a reason that the queue tells; with none it is put back."""
        self.back, self.state = not state, state or "RUNNING"
        self.tell(signal.SIGKILL)


def compute(job: Job) -> None:
    """Be the process of a job."""
    os.setsid()
    for name, stream in ((job.output, 1), (job.error, 2)):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    os.environ.clear()
    os.environ.update(job.environment)
    from submitit.core.submission import process_job

    process_job(job.folder)


@dataclass
class Scheduler:
    """The controller.

    Attributes:
        folder: of the programs.
        largest: MaxArraySize.
        jobs: every job by number.
        scripts: what sbatch was given, by time.
        away: whether it answers nobody, as while it restarts.
        refused: what sbatch is told instead of a number.
    """

    folder: Path
    largest: int = 3
    jobs: dict[str, Job] = field(default_factory=dict)
    scripts: list[str] = field(default_factory=list)
    away: bool = False
    refused: str = ""

    def __post_init__(self) -> None:
        scheduler = self

        class Line(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                (name, *words), environment = json.loads(self.rfile.readline())
                try:
                    answer = scheduler.answer(name, words, environment)
                except LookupError as error:
                    answer = 1, f"{name}: error: {error}\n"
                self.wfile.write(json.dumps(answer).encode())

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()
        self.folder.mkdir()
        for name in PROGRAMS:
            path = self.folder / name
            python, port = shlex.quote(sys.executable), self.server.server_address[1]
            path.write_text(PROGRAM.format(python=python, port=port, name=name))
            path.chmod(0o755)

    def answer(self, name: str, words: list[str], environment: dict[str, str]) -> tuple[int, str]:
        """A program's status and what it prints."""
        if self.away:
            raise LookupError("Unable to contact slurm controller (connect failure)")
        if name == "sbatch":
            return 0, self.sbatch(Path(words[0]).read_text(), environment)
        if name == "squeue":
            return 0, "".join(f"{job.number} {job.state}\n" for job in list(self.jobs.values()))
        if name == "scontrol" and words[0] == "show":
            return 0, f"MaxArraySize            = {self.largest}\n"
        if name == "scontrol" and words[0] == "requeue":
            self.jobs[words[1]].end("")
            return 0, ""
        raise LookupError(f"unknown words {words}")

    def sbatch(self, script: str, environment: dict[str, str]) -> str:
        """Begin a job, or an array of them."""
        if self.refused:
            raise LookupError(self.refused)
        self.scripts.append(script)
        found = re.search(r"--array=0-(\d+)", script)
        places = range(int(found[1]) + 1) if found else [None]
        assert len(places) <= self.largest
        for place in places:
            job = self._job(100 + len(self.scripts), place, script, environment)
            self.jobs[job.number] = job
            threading.Thread(target=job.live, daemon=True).start()
        return f"Submitted batch job {100 + len(self.scripts)}\n"

    def _job(self, number: int, place: int | None, script: str, given: dict[str, str]) -> Job:
        name = str(number) if place is None else f"{number}_{place}"
        environment = given | {"SUBMITIT_EXECUTOR": "slurm", "SLURM_NTASKS": "1"}
        environment |= {"SLURM_JOB_ID": f"{number}{place or 0:03}", "SLURM_PROCID": "0"}
        if place is None:
            environment["SLURM_JOB_ID"] = str(number)
        else:
            environment |= {"SLURM_ARRAY_JOB_ID": str(number), "SLURM_ARRAY_TASK_ID": str(place)}
        words = shlex.split(script.splitlines()[-1] or script.splitlines()[-2])
        output, error = (
            words[words.index(option) + 1].replace("%A_%a", "%j").replace("%j_%t", f"{name}_0")
            for option in ("--output", "--error")
        )
        return Job(name, environment, words[-1], output, error)

    def close(self) -> None:
        """End every job, and put none back."""
        for job in self.jobs.values():
            if job.process is not None and job.process.is_alive():
                job.end("CANCELLED")
        self.server.shutdown()
        self.server.server_close()


def until(true: Callable[[], object], seconds: float = 30) -> None:
    """Wait for something that takes a moment."""
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.01)
    assert true()
