"""What only reads and counts brings no torch; import-linter (`make lint`) holds the order."""

import subprocess
import sys

import pytest

from tests.places import ROOT

READERS = ("common", "host", "architecture", "experiment", "results", "analysis", "report")


@pytest.mark.parametrize("package", READERS)
def test_no_module_of_what_only_reads_imports_torch(package: str) -> None:
    """By running them: what is imported within a function, the linter counts as well."""
    source = ROOT / "src"
    paths = [path.relative_to(source) for path in (source / "cardinality" / package).rglob("*.py")]
    modules = [".".join(path.with_suffix("").parts) for path in paths if path.stem != "__init__"]
    assert len(modules) > 1
    code = f"import sys, {', '.join(modules)}; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert answer.stdout == b"False\n"
