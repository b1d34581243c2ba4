"""Text from strangers, by each way out."""

import html
from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cardinality.common.text import Markdown, code, csv, file_name, line, link, markdown, terminal


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
    assert not set(markdown(text).replace("< ", "")) & set("<>|`[]*~")
    assert markdown(markdown(text)) == markdown(text)
    assert html.unescape(markdown(text)) == terminal(text)
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
    assert shown == "a&#124;b &lt;script&gt;&#96;x&#96;&lt;/script&gt;&#91;y&#93;(javascript:z)"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("# **a** ~b~", "&#35; &#42;&#42;a&#42;&#42; &#126;b&#126;"),
        ("__a__ and _b_", "&#95;&#95;a&#95;&#95; and &#95;b&#95;"),
        ("a\\|b", "a&#92;&#124;b"),
        ("\x1b[1m", "\\x1b&#91;1m"),
        # What means nothing to Markdown stays readable on a terminal.
        (
            "p < 0.01 of paper_tables/claims.yaml, #3!",
            "p < 0.01 of paper_tables/claims.yaml, &#35;3!",
        ),
        ("3 − 2 = 1, C#, 5 %", "3 − 2 = 1, C#, 5 %"),
    ],
)
def test_markdown_has_no_mark_of_a_stranger(text: str, shown: str) -> None:
    assert markdown(text) == shown


def test_what_is_markdown_on_purpose_stays_so_and_a_text_made_of_it_does_not() -> None:
    bold = Markdown("**a**")
    assert markdown(bold) is bold
    assert markdown(f"{bold}") == "&#42;&#42;a&#42;&#42;"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("make a", "`make a`"), ("a '`; b; `' c", "`` a '`; b; `' c ``"), ("a|\x07", "`a\\|\\x07`")],
)
def test_code_ends_where_it_should(text: str, shown: str) -> None:
    assert code(text) == shown


def test_a_link_leads_to_the_file_that_it_names() -> None:
    assert link("a]b", "a]b) c/report.md") == "[a&#93;b](a%5Db%29%20c/report.md)"


@given(st.text(max_size=300))
def test_a_files_name_is_one_everywhere(text: str) -> None:
    name = file_name(text)
    assert len(name) == min(100, len(text))
    assert set(name) <= {*ascii_letters, *digits, *"._-"}
    if set(text) <= {*ascii_letters, *digits, *"._-"}:
        assert name == text[:100]
