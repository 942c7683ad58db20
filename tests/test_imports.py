"""Imports point one way: flows -> tasks -> olmix_core; and the core knows nothing of Prefect."""

import ast
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import olmix_core

ROOT = Path(__file__).parent.parent
FORBIDDEN = {"olmix_core": {"tasks", "flows", "prefect"}, "tasks": {"flows"}}
CORE = sorted(module.name for module in pkgutil.walk_packages(olmix_core.__path__, "olmix_core."))


def imported(file: Path) -> set[str]:
    """The top-level packages that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", FORBIDDEN)
def test_no_import_points_back(package: str) -> None:
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        assert not imported(file) & FORBIDDEN[package], file


def test_no_module_of_the_core_loads_prefect() -> None:
    # Each in a process of its own would take a minute; if any of them loads it, it is there in the end.
    code = f"import {', '.join(CORE)}, sys; assert 'prefect' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)
