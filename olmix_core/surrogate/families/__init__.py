"""Families of surrogates: a registry in which each module of this folder adds one.

A module describes its family (how it is fitted and read back, and what can be asked of it) as a `Family` and calls
`register_family`. To add one, add a module here and a row of the table in docs/surrogate.md. There are three ways:

- a function of the runs of one task to a predictor: `regressors.regressor_family(Regressor(name, function), ...)`;
- another way to fit one of the two laws: `laws.selection_family`, or `laws.law_family` for a form of a law;
- anything else: a class with the protocol `base.Surrogate`, and functions that fit and load it.
"""

import pkgutil
from importlib import import_module

for _module in pkgutil.iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
