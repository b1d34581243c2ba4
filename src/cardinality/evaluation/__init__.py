"""The error of given weights on a folder of images.

In: weights as files and class folders. Out: an error with its interval. It asks `nets`, `data` and
`training`, and knows no grid.
"""
