"""Checks of a machine before hours are spent on it.

In: plans and a machine. Out: findings, one a check. It asks every other package but `cli`, since it
looks at all that a run needs: versions, the device, what a net's layers come to beside float64, the
data, the disk, and whether a run that is killed loses nothing.
"""
