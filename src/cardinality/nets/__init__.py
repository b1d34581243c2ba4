"""The nets in torch: Table 1 from top to bottom, its forms and variants, and faster layers.

In: a description from `architecture`. Out: a module whose parameters are named as torchvision's.
It knows no data, no training and no files.
"""
