"""One run: its loop, its numerics, its checkpoint, and weights as files.

In: a run and its images. Out: epochs and a net. It asks `nets` and `data`, and knows no other run
and no table.
"""
