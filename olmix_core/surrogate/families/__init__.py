"""The families of surrogates: one module each, which calls `register_family`.

A new family is a new module here, named in the import below, and a row of the table in docs/surrogate.md. The order of
the imports is the order of listings. What a module registers: how the family is fitted and read back, and what can be
asked of it (`olmix_core.surrogate.registry.Family`).
"""

# isort: off
from olmix_core.surrogate.families import log_linear as log_linear
from olmix_core.surrogate.families import diminishing_returns as diminishing_returns
from olmix_core.surrogate.families import search as search
from olmix_core.surrogate.families import lightgbm as lightgbm
from olmix_core.surrogate.families import gaussian_process as gaussian_process
from olmix_core.surrogate.families import bimix as bimix
from olmix_core.surrogate.families import autoscale as autoscale
from olmix_core.surrogate.families import auto as auto
