"""What a page needs to evaluate the law by itself: plain numbers, and the same formulas as here.

Predictions are c + exp(b + phi(q) . v). Error bars are those of `influence`, computed in the browser from B_t^-1, the
design and the pull of each run, and the prior: nothing is approximated. Matrices are little-endian float64 in base64;
of the symmetric B_t^-1 the lower triangle is kept, row by row.
"""

import base64
from typing import Any

import numpy as np

from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixture import Array
from olmix_core.surrogate.intervals import NORMAL_90


def whatif(mix: PublishedMix) -> dict[str, Any] | None:
    """The law, the mixtures and the limits as plain JSON; None where the law has no closed form."""
    surrogate = mix.surrogate.fitted_law
    if surrogate is None:
        return None
    position = {task: t for t, task in enumerate(surrogate.tasks)}
    p = surrogate.parameters
    errors = surrogate.covariance.factors()
    lower = np.tril_indices(errors.inverse.shape[1])
    return {
        "name": mix.record.name,
        "gamma": surrogate.gamma,
        "z90": NORMAL_90,
        "leaves": [
            {
                "label": leaf,
                # The columns of the law that it is made of, [column, share].
                "parts": [[int(row), float(mix.columns[row, j])] for row in np.flatnonzero(mix.columns[:, j])],
                "cap": _finite(mix.table["cap"][j]),
                "epochs": _finite(mix.epochs[j]),
            }
            for j, leaf in enumerate(mix.leaves)
        ],
        "mixtures": {name: mixture.tolist() for name, mixture in mix.mixtures.items()},
        "tasks": [
            {
                "name": task,
                "weight": float(mix.task_weights[t]),
                "c": float(p.c[t]),
                "b": float(p.b[t]),
                "v": p.v[t].tolist(),
                "offsets": errors.offsets[t].tolist(),
                "open": float(errors.prior_part[t]),
            }
            for t, task in enumerate(surrogate.tasks)
        ],
        "families": [
            {"name": name, "tasks": [position[task] for task in members]} for name, members in mix.families.items()
        ],
        "runs": len(errors.pulls),
        "inverse": _base64(errors.inverse[:, lower[0], lower[1]]),  # [T, P (P + 1) / 2], P = columns + swarms + 2
        "design": _base64(errors.design),  # [K, columns + swarms]
        "prior": _base64(errors.prior),  # [columns + swarms, columns + swarms]
        "pulls": _base64(errors.pulls),  # [K, T]
        "noise": _base64(surrogate.covariance.noise_covariance),  # [T, T]
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _base64(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
