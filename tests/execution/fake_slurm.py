"""A scheduler in a folder: sbatch, squeue, scancel, scontrol and srun, enough of them for submitit.

``install`` writes a program for each, to be put first in PATH. Jobs are processes of this machine;
one that is put back into the queue begins anew under its number.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

NAMES = ("sbatch", "squeue", "scancel", "scontrol", "srun")


def install(folder: Path) -> Path:
    """Write the programs, and give the folder that they lie in."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    (folder / "jobs").mkdir()
    for name in NAMES:
        path = programs / name
        words = (sys.executable, str(Path(__file__).resolve()), name, str(folder))
        path.write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        path.chmod(0o755)
    return programs


def jobs(folder: Path) -> dict[str, Path]:
    """Every job that has not ended, by number."""
    return {path.name: path for path in (folder / "jobs").iterdir() if path.name[0].isdigit()}


def sbatch(folder: Path, script: str) -> None:
    """Begin a job, or an array of them."""
    text = Path(script).read_text()
    number = 1 + max((int(p.name.split("_")[0]) for p in (folder / "log").glob("*")), default=99)
    (folder / "log").mkdir(exist_ok=True)
    (folder / "log" / str(number)).write_text(text)
    array = re.search(r"--array=0-(\d+)", text)
    count = None if array is None else int(array[1]) + 1
    for place in range(count or 1):
        name = f"{number}_{place}" if count else str(number)
        path = folder / "jobs" / name
        path.write_text("PENDING")
        subprocess.Popen(
            [sys.executable, __file__, "run", str(folder), name, script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "errors").open("a"),
            start_new_session=True,
        )
    print(f"Submitted batch job {number}")


def run(folder: Path, name: str, script: str) -> None:
    """Be a job: once, and again as long as it is put back."""
    path, (number, _, place) = folder / "jobs" / name, name.partition("_")
    environment = {**os.environ, "SLURM_JOB_ID": number, "SLURM_RESTART_COUNT": "0"}
    environment |= {"SLURM_NTASKS": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}
    if place:
        environment |= {"SLURM_ARRAY_JOB_ID": number, "SLURM_ARRAY_TASK_ID": place}
    back = folder / "jobs" / f"back-{name}"
    while path.exists():
        back.unlink(missing_ok=True)
        process = subprocess.Popen(["bash", script], env=environment, start_new_session=True)
        path.write_text(f"RUNNING {process.pid}")
        process.wait()
        if not back.exists():
            path.unlink(missing_ok=True)


def squeue_of(folder: Path) -> dict[str, str]:
    """The states of all jobs by number."""
    found = {}
    for name, path in sorted(jobs(folder).items()):
        with suppress(FileNotFoundError, IndexError):  # it has just ended
            found[name] = path.read_text().split()[0]
    return found


def squeue(folder: Path, *_: str) -> None:
    """Print a number and a state a line."""
    for name, state in squeue_of(folder).items():
        print(name, state)


def scancel(folder: Path, *words: str) -> None:
    """End a job, or send it a signal."""
    sent = next((word.removeprefix("--signal=") for word in words if "--signal" in word), None)
    for name in (word for word in words if not word.startswith("--")):
        tell(folder, name, signal.Signals[f"SIG{sent}"] if sent else signal.SIGKILL)


def tell(folder: Path, name: str, number: signal.Signals) -> None:
    """Send a signal to a job's processes; killed ones leave the queue."""
    path, words = folder / "jobs" / name, [""]
    while len(words) < 2 and path.exists():
        time.sleep(0.05)
        with suppress(FileNotFoundError):  # it has just ended
            words = path.read_text().split()
    with suppress(ProcessLookupError, IndexError):
        os.killpg(int(words[1]), number)


def clear(folder: Path) -> None:
    """End every job, and put none back."""
    for name, path in jobs(folder).items():
        (folder / "jobs" / f"back-{name}").unlink(missing_ok=True)
        words = path.read_text().split()
        path.unlink(missing_ok=True)
        with suppress(ProcessLookupError, IndexError):
            os.killpg(int(words[1]), signal.SIGKILL)


def scontrol(folder: Path, command: str, *words: str) -> None:
    """Say how large arrays may be, or put a job back."""
    if command == "show":
        print("MaxArraySize            = 4")
    elif command == "requeue":
        (folder / "jobs" / f"back-{words[0]}").touch()


def srun(_folder: Path, *words: str) -> None:
    """Be a job's task; bash, which waits, keeps the group's signals from ending itself."""
    values, rest = {}, list(words)
    while rest[0].startswith("--"):
        option = rest.pop(0)
        if option in ("--output", "--error"):
            values[option] = rest.pop(0)
    whole, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    for option, stream in (("--output", 1), ("--error", 2)):
        name = values[option].replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
        name = name.replace("%A", whole or "").replace("%a", place or "")
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    os.execvp(rest[0], rest)


if __name__ == "__main__":
    called, at, *arguments = sys.argv[1:]
    globals()[called](Path(at), *arguments)
