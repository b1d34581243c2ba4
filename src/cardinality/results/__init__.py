"""Runs on disk: records, their epochs, how long further ones will take.

In: a run of `experiment` and what it came to. Out: records that were checked. It never imports
torch, so that whoever only reads answers at once.
"""
