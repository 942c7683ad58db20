"""Shared by the tests of flows: what a run left."""

from collections.abc import Callable
from pathlib import Path

import pytest

from olmix_core.storage.store import Store


@pytest.fixture
def config(finished: Callable[..., Callable[..., Path]]) -> Path:
    """A configuration that ran once."""
    return finished()()


@pytest.fixture
def store(config: Path) -> Store:
    """The store of its run."""
    return Store(str(config.parent / "store"))
