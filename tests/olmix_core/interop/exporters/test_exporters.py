"""Registries of exporters: every format is found, named once, and documented."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from olmix_core.interop.exporters import EVIDENCE_EXPORTERS, MIXTURE_EXPORTERS

ROOT = Path(__file__).parents[4]
FOLDERS: dict[str, tuple[str, Mapping[str, Any]]] = {
    "swarm": ("mixtures", MIXTURE_EXPORTERS),
    "evidence": ("evidence", EVIDENCE_EXPORTERS),
}


@pytest.mark.parametrize("command", FOLDERS)
def test_every_module_of_the_folder_is_an_exporter(command: str) -> None:
    folder, exporters = FOLDERS[command]
    modules = {path.stem for path in (ROOT / "olmix_core/interop/exporters" / folder).glob("*.py")}
    assert len(modules - {"__init__", "base"}) == len(exporters)
    assert all(name == exporter.name for name, exporter in exporters.items())


@pytest.mark.parametrize("command", FOLDERS)
def test_every_exporter_is_documented(command: str) -> None:
    text = (ROOT / "docs/cli.md").read_text().split(f"## olmix {command} export\n")[1].split("\n## ")[0]
    for name, exporter in FOLDERS[command][1].items():
        assert re.search(rf"^\| `{name}` \| {re.escape(exporter.description)}", text, re.M), name
