"""What Slurm itself is asked and told, by its programs: the queue, its limits, a job put back."""

import os
import re
import subprocess
import time

# By this name the queue is asked for the suite's jobs, whoever has sent them.
NAME = "cardinality"
# Slurm's own MaxArraySize, where it cannot be asked.
ARRAY = 1001
# A controller that restarts is away for a while: so often, and so many seconds between.
TRIES, BETWEEN = 12, 5.0
# States of jobs that have not ended (squeue, JOB STATE CODES).
LIVE = {
    "PENDING", "CONFIGURING", "RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "STAGE_OUT",
    "SIGNALING", "RESIZING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD",
    "SPECIAL_EXIT",
}  # fmt: skip


def queue() -> dict[str, str] | None:
    """The states of the suite's jobs by number, of those in arrays each by itself.

    Jobs that have ended stand there for some minutes (Slurm's MinJobAge). Nothing where the queue
    cannot be asked: there is no Slurm, or its controller is away for a moment.
    """
    answer = _ask("squeue", f"--name={NAME}", "--noheader", "--array", "--states=all",
                  "--format=%i %T")  # fmt: skip
    if answer is None:
        return None
    pairs = (line.split() for line in answer.splitlines())
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def largest_array() -> int:
    """How many jobs an array may have: their numbers begin with 0 and stay below MaxArraySize."""
    found = re.search(r"MaxArraySize\s*=\s*([0-9]+)", _ask("scontrol", "show", "config") or "")
    return max(1, int(found[1]) if found else ARRAY)


def this_job() -> str:
    """This job's number, as the queue has it: in an array its place there included."""
    whole, place = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    return f"{whole}_{place}" if whole and place else os.environ["SLURM_JOB_ID"]


def requeue() -> bool:
    """Put this job back into the queue; whether Slurm has taken that on."""
    for left in range(TRIES, 0, -1):
        if _ask("scontrol", "requeue", this_job()) is not None:
            return True
        time.sleep(BETWEEN if left > 1 else 0)
    return False


def _ask(*command: str) -> str | None:
    """What a program of Slurm's prints; nothing if there is none, or it fails."""
    try:
        answer = subprocess.run(  # noqa: S603 -- our own words
            command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout
