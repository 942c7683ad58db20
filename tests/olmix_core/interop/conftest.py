"""A small swarm in the files of the published tool."""

from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from olmix_core.interop.fit import PublishedFit
from tests.support.published_swarm import Project, make_metrics, make_ratios, run, write_project


@pytest.fixture
def ratios() -> pd.DataFrame:
    """A mixture per run."""
    return make_ratios()


@pytest.fixture
def metrics(ratios: pd.DataFrame) -> pd.DataFrame:
    """BPB per run and task."""
    return make_metrics(ratios)


@pytest.fixture
def write(tmp_path: Path) -> Project:
    """Write a configuration and its files: write(ratios, metrics, section={field: value}) -> its path."""
    return partial(write_project, tmp_path)


@pytest.fixture(scope="module")
def default_fit(tmp_path_factory: pytest.TempPathFactory) -> PublishedFit:
    """The fit of the configuration without changes; nothing is written."""
    ratios = make_ratios()
    return run(write_project(tmp_path_factory.mktemp("default"), ratios, make_metrics(ratios)))
