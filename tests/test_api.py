"""The public face: names come late, docs/api.md tells the truth, and so does the README."""

import doctest
import re
import subprocess
import sys
from importlib.metadata import version

import pytest

import cardinality
from tests.places import ROOT

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")


def test_importing_takes_no_time_and_brings_no_library() -> None:
    """The best of three in fresh processes, since a busy machine is no failure."""
    code = (
        "import time; start = time.perf_counter(); import cardinality;"
        " print(time.perf_counter() - start);"
        " import sys; print(*{'torch', 'pandas', 'numpy', 'pydantic', 'typer'} & {*sys.modules})"
    )
    seconds = []
    for _ in range(3):
        answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
        took, _, brought = answer.stdout.decode().partition("\n")
        assert brought.strip() == ""
        seconds.append(float(took))
    assert min(seconds) < 0.1


def test_every_name_is_there_and_says_what_it_is() -> None:
    assert dir(cardinality) == sorted(cardinality.__all__)
    assert cardinality.__version__ == version("cardinality")
    for name in set(cardinality.__all__) - {"__version__"}:
        assert len(getattr(cardinality, name).__doc__) > 80
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
    exec(compile(example, "README.md", "exec"), {})
