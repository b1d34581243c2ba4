"""What the numbers mean: comparisons, trends, verdicts, power, and each test image.

In: errors by cell and seed, as plain values (`analysis.outcomes`), or a plan and its records
(`analysis.ledger`). Out: frozen dataclasses of plain values, which every renderer shares. It reads
no files but paper_tables/claims*.yaml, imports no torch, and knows no Markdown and no colours.

What is computed, why so, and what it does not say: docs/statistics.md.
"""
