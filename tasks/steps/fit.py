"""Step `fit`: one per body of evidence. Key: the evidence rows, the law's family, how it is fitted and pooled."""

import math
from typing import Any

import numpy as np

from olmix_core.evidence.ledger import pinned
from olmix_core.evidence.merge import COLUMNS, merge
from olmix_core.mixes.runs import held_out, to_parquet
from olmix_core.storage.integrity import checksum
from olmix_core.storage.layout import DIAGNOSTICS_FILE, RUNS_FILE, SURROGATE_FILE, fit_path
from olmix_core.storage.store import Store
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import cross_validate
from olmix_core.surrogate.fit import fit as fit_surrogate
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.regression.prior_selection import swarm_diagnostics
from olmix_core.surrogate.settings import FitSettings
from tasks.runtime.step import Payload, Result, step

FOLDS = 5


@step("fit", code_version=2)
def fit(payload: Payload, store: str) -> Result:
    """Fit one law per task to the evidence, and measure its error on proxies left out of the fit.

    The law's columns are payload["atoms"]: the leaves of today and those that older runs were made of (see `carry`).
    Where there are runs of several swarms, payload["pool"] says which is the newest and what hangs together.
    """
    opened, key = Store(store), fit.key(payload)
    merged = merge(pinned(opened, payload["evidence"], COLUMNS))
    evidence = merged.problem(payload["atoms"], payload["splits"], payload["tasks"])
    swarms = dict(zip(merged.proxies, merged.swarms, strict=True))
    pool = payload.get("pool")
    prior = SwarmPrior(swarms, pool["current"], pool["sources"], pool["revised"]) if pool else None
    settings = FitSettings(
        family=payload["family"], huber_delta=payload["huber_delta"], ridge=payload["ridge"], prior=prior
    )
    surrogate = fit_surrogate(evidence, settings)
    diagnostics = cross_validate(evidence, settings, folds=Folds(min(FOLDS, len(evidence.runs)), seed=0))
    opened.write_json(fit_path(key, SURROGATE_FILE), surrogate.to_json())
    table = diagnostics.table().to_csv(lineterminator="\n")
    files: dict[str, str | None] = {fit_path(key, SURROGATE_FILE): None}
    for path, content in (
        (fit_path(key, DIAGNOSTICS_FILE), table.encode()),
        (fit_path(key, RUNS_FILE), to_parquet(held_out(evidence, diagnostics))),
    ):
        opened.write_bytes(path, content)
        files[path] = checksum(content)
    return {
        "fit": key,
        "family": surrogate.family,
        "runs": len(evidence.runs),
        "flags": dict(surrogate.flags),
        "notes": list(surrogate.notes),
        "swarms": _swarms(surrogate, evidence, settings),
        "files": files,
    }


def _swarms(surrogate: Surrogate, evidence: SwarmData, settings: FitSettings) -> list[dict[str, Any]]:
    """What each swarm is to a pooled law; nothing where there is one swarm only."""
    law = surrogate.fitted_law
    if law is None or law.prior is None:
        return []
    found = swarm_diagnostics(evidence, law.law, settings, law.prior, np.ones(len(evidence.runs)))
    return [
        {
            "swarm": one.swarm,
            "runs": one.runs,
            "weight": one.weight,
            "left_out_error": None if math.isnan(one.error) else one.error,
        }
        for one in found
    ]
