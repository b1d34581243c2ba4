"""What every other package needs: one exception for users' mistakes, whole files, strict models.

In: nothing of the suite. Out: names that no package has to invent again, and where things lie.
"""
