"""Data from which the page evaluates the law by itself (whatif.js), with the same formulas as here.

Predictions are c + exp(b + phi(q) . v). Error bars are those of `olmix_core.surrogate.regression.uncertainty`, computed
in the browser from B_t^-1, the design and the pull of each run, and the prior; nothing is approximated. Matrices are
little-endian float64 in base64. Of the symmetric B_t^-1 the lower triangle is kept, row by row.
"""

import base64
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixture import Array
from olmix_core.serialization import JsonObject
from olmix_core.surrogate.intervals import NORMAL_90


@dataclass(frozen=True)
class LeafData:
    """A leaf.

    Attributes:
        label: Its label.
        parts: Columns of the law that it is made of, (column, share) each.
        cap: Highest weight; None where it has no cap.
        epochs: Epochs per unit of weight; None where they are unknown.
    """

    label: str
    parts: tuple[tuple[int, float], ...]
    cap: float | None
    epochs: float | None


@dataclass(frozen=True)
class TaskData:
    """A task.

    Attributes:
        name: Its label.
        weight: Weight in the objective.
        c: Irreducible BPB of its law.
        low: Smallest prediction, in BPB; None for a law without bounds.
        high: Largest prediction.
        b: Offset of the exponent.
        gamma: Power of diminishing returns; None for the log-linear law.
        v: [m] coefficients of the exponent.
        offsets: [swarms] levels of other swarms.
        open: Standard deviation that the prior leaves open, in BPB.
        local_noise: Usual, least and most BPB above c, and the power of it with which the noise grows; None where the
            noise is the same for all mixtures.
    """

    name: str
    weight: float
    c: float
    low: float | None
    high: float | None
    b: float
    gamma: float | None
    v: tuple[float, ...]
    offsets: tuple[float, ...]
    open: float
    local_noise: tuple[float, float, float, float] | None


@dataclass(frozen=True)
class FamilyData:
    """A family of tasks.

    Attributes:
        name: Its name.
        tasks: Positions of its tasks.
    """

    name: str
    tasks: tuple[int, ...]


@dataclass(frozen=True)
class WhatIf:
    """The law, the mixtures and the limits of a mix, for whatif.js.

    Attributes:
        name: Name of the mix.
        z90: Half width of a 90 % interval in standard deviations.
        leaves: The m leaves.
        mixtures: {natural, previous, proposed: [m] weights}.
        tasks: The T tasks.
        families: The families of tasks.
        runs: Number K of runs.
        inverse: [T, P (P + 1) / 2] lower triangles of B_t^-1, with P = columns + swarms + 2; base64.
        trained: [K, columns] mixtures of the runs, base64.
        levels: [K, swarms] 1 where a run belongs to an other swarm, base64.
        prior: [columns + swarms, columns + swarms], base64.
        pulls: [K, T], base64.
        noise: [T, T] covariance of a measurement, base64.
    """

    name: str
    z90: float
    leaves: tuple[LeafData, ...]
    mixtures: Mapping[str, list[float]]
    tasks: tuple[TaskData, ...]
    families: tuple[FamilyData, ...]
    runs: int
    inverse: str
    trained: str
    levels: str
    prior: str
    pulls: str
    noise: str

    def to_json(self) -> JsonObject:
        """Write the data as JSON.

        Returns:
            The fields, as whatif.js reads them.
        """
        return asdict(self)


def whatif(mix: PublishedMix) -> WhatIf | None:
    """Collect the data of a mix for whatif.js.

    Args:
        mix: The mix.

    Returns:
        The data; None where the law has no closed form.
    """
    surrogate = mix.surrogate.fitted_law
    if surrogate is None:
        return None
    factors = surrogate.covariance.factors()
    local = factors.local_noise
    lower = np.tril_indices(factors.inverse.shape[1])
    parameters, bounds = surrogate.parameters, surrogate.parameters.bounds
    powers = surrogate.law.powers(len(surrogate.tasks))
    position = {task: t for t, task in enumerate(surrogate.tasks)}
    return WhatIf(
        name=mix.record.name,
        z90=NORMAL_90,
        leaves=_leaves(mix),
        mixtures={name: mixture.tolist() for name, mixture in mix.mixtures.items()},
        tasks=tuple(
            TaskData(
                name=task,
                weight=float(mix.task_weights[t]),
                c=float(parameters.c[t]),
                low=None if bounds is None else float(bounds[0][t]),
                high=None if bounds is None else float(bounds[1][t]),
                b=float(parameters.b[t]),
                gamma=None if surrogate.law.gamma is None else powers[t],
                v=tuple(parameters.v[t].tolist()),
                offsets=tuple(factors.offsets[t].tolist()),
                open=float(factors.prior_part[t]),
                local_noise=None
                if local is None
                else (float(local.usual[t]), float(local.least[t]), float(local.most[t]), local.power),
            )
            for t, task in enumerate(surrogate.tasks)
        ),
        families=tuple(
            FamilyData(name, tuple(position[task] for task in members)) for name, members in mix.families.items()
        ),
        runs=len(factors.pulls),
        inverse=_base64(factors.inverse[:, lower[0], lower[1]]),
        trained=_base64(factors.mixtures),
        levels=_base64(factors.levels),
        prior=_base64(factors.prior),
        pulls=_base64(factors.pulls),
        noise=_base64(surrogate.covariance.noise_covariance),
    )


def _leaves(mix: PublishedMix) -> tuple[LeafData, ...]:
    return tuple(
        LeafData(
            label=leaf,
            parts=tuple((int(row), float(mix.columns[row, j])) for row in np.flatnonzero(mix.columns[:, j])),
            cap=_finite(mix.table["cap"][j]),
            epochs=_finite(mix.epochs[j]),
        )
        for j, leaf in enumerate(mix.leaves)
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _base64(values: Array) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()
