"""What is asked and at which scale: data sets as named, ablations and protocols, the plan of runs.

In: YAML files and the machine's numerics. Out: a list of runs, each named by all that decides its
bits. It asks `architecture`, `host` and `common`, and never looks at results.
"""
