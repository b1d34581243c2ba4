"""The ways in which a run can end before its last epoch."""


class Stopped(Exception):
    """The run was asked to stop; it goes on from its last checkpoint when it is run again."""


class Diverged(Exception):
    """The loss stopped being finite: the run has failed, and its message says where."""


class Lost(Exception):
    """Somebody else has taken the run over, since nothing was heard of this process for too long.

    What it has computed since its last checkpoint is given up; nothing of it is written.
    """
