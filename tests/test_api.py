"""The public face: names come late, docs/api.md tells the truth, and so does the README."""

import doctest
import inspect
import re
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

import cardinality
from tests.places import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_importing_takes_no_time_since_it_brings_no_library() -> None:
    code = (
        "import cardinality, sys;"
        " print(*{'torch', 'pandas', 'numpy', 'pydantic', 'typer'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout.decode().strip() == ""


def test_every_name_is_there_and_says_what_it_takes() -> None:
    assert dir(cardinality) == sorted(cardinality.__all__)
    assert cardinality.__version__ == version("cardinality")
    for name in set(cardinality.__all__) - {"__version__", "UserError"}:
        public = getattr(cardinality, name)
        told = {*re.findall(r"\w+", public.__doc__.lower())}
        assert {*inspect.signature(public).parameters} - told == set(), name
    with pytest.raises(AttributeError, match="'cardinality' has no attribute 'nothing'"):
        cardinality.nothing  # noqa: B018 -- that is the test


def test_the_page_shows_every_name_and_its_answers_are_true(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks = re.findall(r"```pycon\n(.*?)```", PAGE, re.DOTALL)
    for name in cardinality.__all__:
        assert any(name in block for block in blocks), name
    for block in blocks:
        typed = [line for line in block.splitlines() if line.startswith(">>>")]
        assert len(typed) <= 3, block
    monkeypatch.chdir(ROOT)
    page = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "api.md", "docs/api.md", 0)
    assert len(page.examples) > 15
    runner = doctest.DocTestRunner(verbose=False)
    said: list[str] = []
    runner.run(page, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


def test_the_readmes_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    monkeypatch.chdir(ROOT)
    said: dict[str, Any] = {}
    exec(compile(example, "README.md", "exec"), said)
    assert said["net"].fc.in_features == 2048
    assert len(said["runs"]) >= 100  # those that are committed
