"""Step `fit`: one per body of evidence. Key: the evidence rows, the law's family and how it is fitted."""

from olmix_core.ledger import pinned
from olmix_core.merged import COLUMNS, merge
from olmix_core.runs import held_out, to_parquet
from olmix_core.store import Store
from olmix_core.surrogate import cross_validate
from olmix_core.surrogate import fit as fit_surrogate
from tasks.step import Payload, Result, step

FOLDS = 5


def surrogate_path(key: str) -> str:
    return f"cache/surrogates/{key}/surrogate.json"


def diagnostics_path(key: str) -> str:
    return f"cache/surrogates/{key}/diagnostics.csv"


def runs_path(key: str) -> str:
    return f"cache/surrogates/{key}/runs.parquet"


@step("fit", code_version=2)
def fit(payload: Payload, store: str) -> Result:
    """Fit one law per task to the evidence, and measure its error on proxies left out of the fit.

    The law's columns are payload["atoms"]: the leaves of today and those that older runs were made of (see `carry`).
    """
    opened, key = Store(store), fit.key(payload)
    evidence = merge(pinned(opened, payload["evidence"], COLUMNS)).problem(
        payload["atoms"], payload["splits"], payload["tasks"]
    )
    settings = {name: payload[name] for name in ("family", "huber_delta", "ridge")}
    surrogate = fit_surrogate(evidence, **settings)
    diagnostics = cross_validate(evidence, **settings, folds=FOLDS, seed=0)
    opened.write_json(surrogate_path(key), surrogate.to_json())
    table = diagnostics.table().to_csv(lineterminator="\n")
    opened.write_bytes(diagnostics_path(key), table.encode())
    opened.write_bytes(runs_path(key), to_parquet(held_out(evidence, diagnostics)))
    return {
        "fit": key,
        "family": surrogate.family,
        "runs": len(evidence.runs),
        "flags": dict(surrogate.flags),
        "notes": list(surrogate.notes),
    }
