"""Text from strangers, by each way out."""

from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardinality.common.text import csv, file_name, line, markdown, terminal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain é 字", "plain é 字"),
        ("\x1b[31mred\x07", "\\x1b[31mred\\x07"),
        ("a\r\nb\u2028c", "a b c"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_a_terminal_sees_what_is_there(text: str, shown: str) -> None:
    assert terminal(text) == shown


def test_a_long_line_keeps_its_beginning_and_its_end() -> None:
    cut = line("file: key: " + "x" * 2000 + "; allowed: this", 100)
    assert len(cut) == 100
    assert cut.startswith("file: key: x")
    assert cut.endswith("x; allowed: this")


@given(st.text())
def test_every_way_out_is_one_line_of_what_can_be_written(text: str) -> None:
    for shown in (terminal(text), line(text), markdown(text), csv(text)):
        assert shown.isprintable()
        shown.encode()
    assert not set(markdown(text).replace("\\|", "")) & set("<>|`[]")
    assert csv(text)[:1] not in ("=", "@")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+cmd|x", "'+cmd|x"),
        ("-1.5", "-1.5"),
        ("-x", "'-x"),
        ("\t=1", "'=1"),
        ("1.5", "1.5"),
    ],
)
def test_a_spreadsheet_sees_text(text: str, shown: str) -> None:
    assert csv(text) == shown


def test_markdown_has_no_cell_tag_or_link_of_a_stranger() -> None:
    shown = markdown("a|b\n<script>`x`</script>[y](javascript:z)")
    assert shown == ("a\\|b &lt;script&gt;&#96;x&#96;&lt;/script&gt;&#91;y&#93;(javascript:z)")


@given(st.text(max_size=300))
def test_a_files_name_is_one_everywhere(text: str) -> None:
    name = file_name(text)
    assert len(name) == min(100, len(text))
    assert set(name) <= {*ascii_letters, *digits, *"._-"}
    if set(text) <= {*ascii_letters, *digits, *"._-"}:
        assert name == text[:100]
