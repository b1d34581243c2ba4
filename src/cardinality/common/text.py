"""Text from strangers, made harmless: one function for each way out.

A name may come from a YAML file, a folder, a record or a tensor. It says what it says, and whoever
reads it sees what that is; it never moves a cursor, opens a tag or computes a cell.
"""

import html
import re
from urllib.parse import quote

# An error is one line of fewer than so many characters.
LONGEST = 480
# What begins a formula in spreadsheets.
FORMULA = ("=", "+", "-", "@", "\t", "\r")
# What Markdown makes of these begins a tag, code, a link, the next cell, emphasis or a heading; but
# not of _ inside a word, of < before a space, as in p < 0.01, or of a backslash before a letter.
MARKED = re.compile(r"[&>|`\[\]*~]|<(?! )|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#|\\(?![^\W_])")


class Markdown(str):
    """Text that is Markdown on purpose; `markdown` leaves it as it is.

    What others wrote stands in it by `markdown`, `code` or `link`. A sum, a join or an f-string of
    it is a plain text again, until somebody says otherwise.
    """

    __slots__ = ()


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


def markdown(text: object) -> Markdown:
    """As a cell, a heading or a sentence of Markdown, where HTML would count as well.

    Marks become entities, which mean their letter wherever they stand: no backslash before one
    undoes it. What is `Markdown` already stays, so it harms nobody to ask twice.
    """
    if isinstance(text, Markdown):
        return text
    return Markdown(MARKED.sub(_entity, terminal(text)))


def code(text: object) -> Markdown:
    """A command or a name as code of Markdown, between more marks than it has itself.

    Nothing in it is replaced by a quote: a command that is quoted for a shell stays quoted.
    """
    plain = terminal(text).replace("|", "\\|")
    own = max(map(len, re.findall("`+", plain)), default=0)
    fence, pad = "`" * (own + 1), " " if own else ""
    return Markdown(f"{fence}{pad}{plain}{pad}{fence}")


def link(text: object, address: str) -> Markdown:
    """A link of Markdown to a file beside the page."""
    return Markdown(f"[{markdown(text)}]({quote(address)})")


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


def _entity(found: re.Match[str]) -> str:
    named = html.escape(found[0], quote=False)
    return f"&#{ord(found[0])};" if named == found[0] else named


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
