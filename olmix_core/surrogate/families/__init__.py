"""Families of surrogates: a registry in which each module of this folder adds one.

A module describes its family (how it is fitted and read back, and what can be asked of it) as a `Family` and calls
`register_family`. `laws` and `regressors` hold what several families share. To add a family, add a module here and a
row of the table in docs/surrogate.md.
"""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
