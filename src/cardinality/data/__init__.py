"""Images, and their way to the device: found, checked, cached, augmented, in batches.

In: a data set as `experiment` names it. Out: batches of normalised images with labels. It knows
neither nets nor records.
"""
