"""A net as numbers: a setting C x d, the template it is put into, Eq. (4), parameters, MACs.

In: whole numbers. Out: counts and shapes, exact and without torch. It asks `common` alone.
"""
