"""Families of surrogates: a registry in which each module of this folder adds one.

A module describes its family (how it is fitted and read back, and what can be asked of it) as a `Family` and registers
it in `FAMILIES`. To add one, add a module here, its tests in tests/olmix_core/surrogate/families, and its row (`name`,
predicted BPB, remarks) in the table of docs/surrogate.md. Nothing else changes: the configuration accepts every
registered name. A package of its own goes into an extra in pyproject.toml (`Regressor.extra`). There are three ways
(the smallest example is `lightgbm`):

- a function of the runs of one task to a predictor: `regressors.regressor_family(Regressor(name, function), ...)`;
- another way to fit one of the two laws: `laws.selection_family`, or `laws.law_family` for a form of a law;
- anything else: a class with the protocol `olmix_core.surrogate.base.Surrogate`, and functions that fit and load it.
"""

from olmix_core.registry import import_modules

import_modules(__name__, __path__)
