"""Many runs: which are missing, who computes them, how far they are.

In: a list of runs and a folder. Out: a record for each. It asks `training` only in the worker
processes, so that a driver starts without torch.
"""
