"""A mix is read from a store or a folder, and what is missing or damaged is named."""

from pathlib import Path

import pytest

from olmix_core.errors import StoreError
from olmix_core.mixes.loading import load, load_folder
from olmix_core.storage.store import Store


def test_a_folder_that_is_no_mix(tmp_path: Path, fitted: Path) -> None:
    with pytest.raises(StoreError, match=r"mix.json: found no such file"):
        load_folder(tmp_path)
    with pytest.raises(StoreError, match="found the mixes: none"):
        load(Store(str(tmp_path)))
