"""Tables, Markdown and plots, made from the records and the paper's figures alone.

In: a plan and the records of `results`. Out: files under results/PROTOCOL/. It computes no
training and imports no torch.
"""
