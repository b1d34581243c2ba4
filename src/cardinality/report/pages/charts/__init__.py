"""The figures of a table in plain values: what is drawn, what is said of it, and its numbers.

A module a figure; `every` has them all.
"""
