"""Evaluation suites that `olmix tasks import` can write: a registry in which each module of this folder adds one.

A module describes its suite (where its source is downloaded from, and how that becomes JSONL tasks and lists of them)
as a `Suite` and registers it in `SUITES`. To add a suite, add a module here, with its tests in
tests/olmix_core/data/suites, and its row (`name`, tasks, `main_list`) in the table of docs/evaluation.md. The end of
`olmes` is an example.
"""

from olmix_core.data.suites.registry import SUITES, Suite, get_suite
from olmix_core.registry import import_modules

import_modules(__name__, __path__)

__all__ = ["SUITES", "Suite", "get_suite"]
