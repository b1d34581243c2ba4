"""This machine: its device, memory and processes, the built kernel, and where records come from.

In: what the system says of itself. Out: plain values. It asks `common` alone, and imports torch
only inside the functions that measure it.
"""
