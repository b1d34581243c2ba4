"""The command line: words to calls, calls to words.

In: what a user types. Out: one line for a mistake, else what the other packages say.
"""
