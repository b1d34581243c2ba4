"""The ways in which a run can end before its last epoch."""


class Stopped(Exception):
    """The run was asked to stop; it goes on from its last checkpoint when it is run again."""


class Diverged(Exception):
    """The loss stopped being finite: the run has failed, and its message says where."""
