"""Which of several processes this is: as torchrun or Slurm says it, and no other way."""

import pytest

from cardinality.common.errors import UserError
from cardinality.host.launched import Launched, launched, meeting_place, sharing_here

TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}
SLURM = {"SLURM_PROCID": "3", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_JOB_ID": "123456"}


@pytest.mark.parametrize("environment", [TORCHRUN, SLURM, SLURM | TORCHRUN])
def test_a_launcher_says_it(environment: dict[str, str]) -> None:
    assert launched(8, environment) == Launched(3, 8, 1)
    with pytest.raises(UserError, match=r"--gpus 4: .* has started 8; allowed: --gpus 8"):
        launched(4, environment)


def test_without_a_launcher_nobody_says_it() -> None:
    assert launched(8, {}) is None
    assert launched(8, {"RANK": "3"}) is None


def test_where_they_meet() -> None:
    assert meeting_place({"MASTER_ADDR": "there", "MASTER_PORT": "1"}) == {}
    node = {"SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    assert meeting_place(SLURM | node) == {"MASTER_ADDR": "10.0.0.7", "MASTER_PORT": "23456"}


def test_the_cores_of_a_machine_are_shared_where_torchrun_started_several() -> None:
    assert (sharing_here(TORCHRUN), sharing_here(SLURM), sharing_here({})) == (2, 1, 1)
