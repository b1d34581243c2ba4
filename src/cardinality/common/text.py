"""Text from strangers, made harmless: one function for each way out.

A name may come from a YAML file, a folder, a record or a tensor. It says what it says, and whoever
reads it sees what that is; it never moves a cursor, opens a tag or computes a cell.
"""

import html
import re

# An error is one line of fewer than so many characters.
LONGEST = 480
# What begins a formula in spreadsheets.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# What Markdown makes of these begins code, a link or the next cell.
MARKED = str.maketrans({"|": "\\|", "`": "&#96;", "[": "&#91;", "]": "&#93;"})


def terminal(text: object) -> str:
    r"""As one line of a terminal: control characters, escapes and turns of direction are spelt.

    What is not printable by Unicode stands as Python would write it; bytes of a file's name that
    are no UTF-8 stand as ``\xe9``.
    """
    plain = " ".join(str(text).split())
    return "".join(letter if letter.isprintable() else _spelt(letter) for letter in plain)


def line(text: object, length: int = LONGEST) -> str:
    """The same, cut in its middle: who says it stands first, and what is allowed last."""
    whole = terminal(text)
    if len(whole) <= length:
        return whole
    tail = (length - 5) * 2 // 5
    return f"{whole[: length - 5 - tail]} ... {whole[len(whole) - tail :]}"


def markdown(text: object) -> str:
    """As a cell, a heading or a sentence of Markdown, where HTML would count as well."""
    return html.escape(terminal(text), quote=False).translate(MARKED)


def csv(text: object) -> str:
    """As a cell of CSV that a spreadsheet takes for text; numbers stay as they are."""
    plain = terminal(text)
    if not (str(text).startswith(FORMULA) or plain.startswith(FORMULA)) or _is_number(plain):
        return plain
    return f"'{plain}"


def file_name(text: str, longest: int = 100) -> str:
    """As a part of a file's name: letters, digits and ``._-``, so many at most."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text[:longest])


def plural(count: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _spelt(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
