"""Every file is UTF-8, whatever the locale: each place that reads or writes text says so."""

import ast
from pathlib import Path

import pytest

from tests.places import ROOT

SOURCES = sorted((ROOT / "src" / "cardinality").rglob("*.py"))


def silent(source: str) -> list[int]:
    """The lines in which text is read or written in the encoding of whoever runs the code."""
    lines = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        function = call.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        said = {keyword.arg for keyword in call.keywords}
        words = [a.value for a in call.args if isinstance(a, ast.Constant)]
        binary = any(isinstance(word, str) and "b" in word for word in words)
        # `common.files.read_text` and `report.render.write_text` say it themselves.
        ours = name in ("read_text", "write_text") and isinstance(function, ast.Name)
        given_first = name == "read_text" and "utf-8" in words
        opens = name == "open" and isinstance(function, ast.Attribute) and not binary
        text = name == "run" and "text" in said
        if "encoding" not in said and not ours and not given_first and (
            name in ("read_text", "write_text") or text
            or (opens and not _is_other(function))
        ):  # fmt: skip
            lines.append(call.lineno)
    return lines


def _is_other(function: ast.expr) -> bool:
    """What opens something else than a text: a picture, a file by its number."""
    value = getattr(function, "value", None)
    return isinstance(value, ast.Name) and value.id in ("os", "Image", "tarfile", "webbrowser")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_the_encoding_is_said(path: Path) -> None:
    assert silent(path.read_text(encoding="utf-8")) == []


def test_the_test_sees_what_it_looks_for() -> None:
    wrong = "a.read_text()\na.write_text('x')\na.open()\na.open('r+')\nsubprocess.run(c, text=True)"
    right = "a.read_text(encoding='utf-8')\na.open('rb')\nread_text(a, 3)\nos.open(a, 0)"
    assert silent(wrong) == [1, 2, 3, 4, 5]
    assert silent(right) == []
