r"""Tables as LaTeX, for those who write a paper; they need ``\usepackage{booktabs}`` alone."""

import html
import re
from collections.abc import Sequence

import pandas as pd

from cardinality.common.text import Markdown, terminal
from cardinality.report.markdown import LEFT

SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "Δ": r"$\Delta$",
    "–": r"\textendash{}",
    "…": r"\dots{}",
    "·": r"$\cdot$",
}


def escape(text: str) -> str:
    """A text as LaTeX shows it, in one line; emphasis and code of Markdown are dropped."""
    plain = terminal(text)
    if isinstance(text, Markdown):
        bare = re.sub(r"(?<!\w)(\*+)(?=\S)([^*]+?)(?<=\S)\1(?!\w)", r"\2", plain)
        plain = html.unescape(bare.replace("`", ""))
    # Two hyphens would be set as one dash.
    return "".join(SPECIAL.get(sign, sign) for sign in plain).replace("--", "-{}-")


def table(columns: dict[str, pd.Series], caption: str, notes: Sequence[str], label: str) -> str:
    """A floating table with its notes below.

    Args:
        columns: texts by heading, as for Markdown.
        caption: of the table.
        notes: what its columns are and where its figures come from.
        label: to refer to it by.
    """
    sides = "".join("l" if heading in LEFT else "r" for heading in columns)
    rows = [" & ".join(map(escape, columns))]
    rows += [
        " & ".join(escape(cell) for cell in line) for line in zip(*columns.values(), strict=True)
    ]
    body = [rf"    {row} \\" for row in rows]
    below = [rf"  \par\footnotesize {escape(n)}" for n in notes if n]
    return "\n".join(
        [
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{escape(caption)}}}",
            rf"  \label{{{label}}}",
            rf"  \begin{{tabular}}{{{sides}}}",
            r"    \toprule",
            body[0],
            r"    \midrule",
            *body[1:],
            r"    \bottomrule",
            r"  \end{tabular}",
            *below,
            r"\end{table}",
            "",
        ]
    )
