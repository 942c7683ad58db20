"""The JSON forms of fitted surrogates, as in surrogate.json (docs/store.md). K runs, m leaves, T tasks."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

import numpy as np

from olmix_core.surrogate.regression.laws import DIMINISHING_RETURNS, Law, Parameters
from olmix_core.surrogate.regression.prior import PriorJSON
from olmix_core.surrogate.regression.shared_prior import SharedPriorJSON
from olmix_core.surrogate.regression.uncertainty import CovarianceJSON


class DomainJSON(TypedDict):
    """A column of a mixture: its content and, in a published mix, its label; either may be None, but not both."""

    fingerprint: str | None
    label: NotRequired[str | None]


def column_names(domains: Sequence[DomainJSON]) -> tuple[str, ...]:
    """Name the columns of a fit.

    Args:
        domains: The columns, as in surrogate.json.

    Returns:
        Labels, and fingerprints of columns that have none.

    Raises:
        ValueError: A column has neither.
    """
    names = tuple(domain.get("label") or domain["fingerprint"] or "" for domain in domains)
    if not all(names):
        raise ValueError("a column without label and fingerprint")
    return names


class TaskJSON(TypedDict):
    """Parameters of one task: {c, A} of the log-linear law, {c, b, a, gamma} of diminishing returns."""

    c: float
    A: NotRequired[list[float]]
    b: NotRequired[float]
    a: NotRequired[list[float]]
    gamma: NotRequired[float]


class LawSettingsJSON(TypedDict):
    """Settings of the fit; `ridge` [T] as it was selected."""

    huber_delta: float
    gamma: float | None
    ridge: list[float]


class LawErrorsJSON(CovarianceJSON):
    """The data of the error bars, and loss [T]."""

    loss: list[float]


class BoundsJSON(TypedDict):
    """Smallest and largest prediction [T] of each task, in BPB."""

    low: list[float]
    high: list[float]


class LawJSON(TypedDict):
    """surrogate.json of a law."""

    family: str
    domains: list[DomainJSON]
    tasks: dict[str, TaskJSON]
    settings: LawSettingsJSON
    flags: dict[str, str]
    notes: list[str]
    score: float
    pool: PriorJSON | None
    bounds: NotRequired[BoundsJSON | None]
    shared_prior: NotRequired[SharedPriorJSON]
    errors: LawErrorsJSON


class MeasuredJSON(TypedDict):
    """BPB of one task by run; null where a run was not evaluated."""

    bpb: list[float | None]


class JackknifeJSON(TypedDict):
    """surrogate.json of a regressor: the runs [K] that it is fitted to."""

    family: str
    domains: list[DomainJSON]
    tasks: dict[str, MeasuredJSON]
    runs: list[str]
    mixtures: list[list[float]]
    weights: list[float]
    seed: int
    flags: dict[str, str]
    notes: list[str]


class SurrogateJSON(TypedDict):
    """The fields that surrogate.json has in every family."""

    family: str
    domains: list[DomainJSON]
    tasks: Mapping[str, TaskJSON | MeasuredJSON]
    flags: dict[str, str]
    notes: list[str]


def tasks_json(law: Law, parameters: Parameters) -> list[TaskJSON]:
    """Write parameters as JSON.

    Args:
        law: Form of the law.
        parameters: Parameters of T tasks.

    Returns:
        [T] those of each task.
    """
    c, b, v = parameters.c.tolist(), parameters.b.tolist(), parameters.v.tolist()
    if law.gamma is None:
        return [{"c": c[t], "A": v[t]} for t in range(len(c))]
    powers = law.powers(len(c))
    return [{"c": c[t], "b": b[t], "a": v[t], "gamma": powers[t]} for t in range(len(c))]


def bounds_json(parameters: Parameters) -> BoundsJSON | None:
    """Write the bounds of predictions as JSON.

    Args:
        parameters: Parameters of a law.

    Returns:
        The bounds; None for a law without them.
    """
    if parameters.bounds is None:
        return None
    low, high = parameters.bounds
    return {"low": low.tolist(), "high": high.tolist()}


def read_law(data: LawJSON) -> tuple[Law, Parameters]:
    """Read a law and its parameters.

    Args:
        data: The JSON of the surrogate.

    Returns:
        The form of the law, with the gamma of each task where they differ, and the parameters of every task, with
        bounds where there are some.

    Raises:
        KeyError: A field is missing.
        ValueError: The family is unknown, or a field has another shape.
    """
    tasks, bounds = data["tasks"].values(), data.get("bounds")
    is_power_law = data["family"] == DIMINISHING_RETURNS
    law = Law.of_powers([task["gamma"] for task in tasks]) if is_power_law else Law(data["family"])
    parameters = Parameters(
        c=np.asarray([task["c"] for task in tasks], dtype=np.float64),
        b=np.asarray([task.get("b", 0.0) for task in tasks], dtype=np.float64),
        v=np.asarray([task["a"] if is_power_law else task["A"] for task in tasks], dtype=np.float64),
        bounds=None if bounds is None else (np.asarray(bounds["low"]), np.asarray(bounds["high"])),
    )
    return law, parameters
