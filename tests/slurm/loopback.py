"""A real Slurm of one node on this machine: controller and node daemon, as whoever runs the tests.

It needs Debian's slurmctld, slurmd and slurm-client; neither munge nor accounting nor a database.
"""

import getpass
import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

# MaxArraySize cuts a small grid; requeued jobs wait for cred_expire, two minutes unless stated.
# Cores are counted and not enforced, so there may be more than the machine has.
CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={first}
SlurmdPort={second}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
AuthInfo=cred_expire=5
CredType=cred/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SchedulerParameters=sched_interval=2,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
MaxArraySize=4
KillWait=2
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
NodeName={host} NodeAddr=127.0.0.1 CPUs=4
PartitionName=low Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1
PartitionName=high Nodes=ALL MaxTime=INFINITE PriorityTier=10 PreemptMode=OFF
"""


@dataclass
class Slurm:
    """The two daemons.

    Attributes:
        folder: of all that they write.
        processes: those that live, by program.
    """

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        first, second = _free_ports()
        host, user = socket.gethostname().partition(".")[0], getpass.getuser()
        text = CONFIGURATION.format(
            host=host, user=user, folder=self.folder, first=first, second=second
        )
        self.configuration.write_text(text)

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def start(self, program: str) -> None:
        """Start slurmctld or slurmd, in the foreground."""
        found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
        assert found, f"no {program} here; apt-get install slurmctld slurmd slurm-client"
        command = [found, "-D", "-f", str(self.configuration)]
        with (self.folder / f"{program}.out").open("a") as out:
            self.processes[program] = subprocess.Popen(
                command, stdout=out, stderr=out, start_new_session=True
            )

    def begin(self) -> None:
        """Start both, and wait until the node takes jobs."""
        self.start("slurmctld")
        self.start("slurmd")
        end = time.monotonic() + 60
        while "idle" not in self.ask("sinfo", "--noheader", "--format=%T"):
            assert time.monotonic() < end, self.logs()
            time.sleep(0.5)

    def ask(self, *command: str) -> str:
        """What a program of Slurm's prints; nothing where it fails."""
        environment = {**os.environ, "SLURM_CONF": str(self.configuration)}
        answer = subprocess.run(command, env=environment, capture_output=True, text=True)
        return answer.stdout if answer.returncode == 0 else ""

    def stop(self, program: str) -> None:
        """End one of them."""
        process = self.processes.pop(program)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def close(self) -> None:
        """End the jobs and both daemons; steps have daemons of their own, which end with them."""
        self.ask("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}")
        self.ask("scancel", f"--user={getpass.getuser()}")
        end = time.monotonic() + 10
        while self.ask("squeue", "--noheader") and time.monotonic() < end:
            time.sleep(0.5)
        for program in list(self.processes):
            self.stop(program)

    def logs(self) -> str:
        """The ends of what the daemons have said."""
        paths = [*self.folder.glob("*.log"), *self.folder.glob("*.out")]
        return "\n".join(f"{path.name}:\n{path.read_text()[-2000:]}" for path in paths)


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]
