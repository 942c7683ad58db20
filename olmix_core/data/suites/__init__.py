"""Evaluation suites that `olmix tasks import` can write: a registry in which each module of this folder adds one.

A module describes its suite (where its source is downloaded from, and how that becomes JSONL tasks and lists of them)
as a `Suite` and calls `register`. To add a suite, add a module here and describe it in docs/evaluation.md.
"""

import pkgutil
from importlib import import_module

from olmix_core.data.suites.registry import Suite, get_suite, suites

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["Suite", "get_suite", "suites"]
