"""The JSON forms of fitted surrogates, as in surrogate.json (docs/store.md). K runs, m leaves, T tasks."""

from collections.abc import Mapping, Sequence
from typing import NotRequired, TypedDict

from olmix_core.surrogate.regression.prior import PriorJSON


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
    gamma: NotRequired[float | None]


class LawSettingsJSON(TypedDict):
    """Settings of the fit; `ridge` [T] as it was selected."""

    huber_delta: float
    gamma: float | None
    ridge: list[float]


class PooledJSON(TypedDict):
    """A `Pooled`."""

    levels: list[list[float]]
    offsets: list[list[float]]
    precision: list[list[float]]


class LawErrorsJSON(TypedDict):
    """The data of the error bars: loss [T], mixtures [K, m], weights [K, T], left_out [K, T]."""

    loss: list[float]
    mixtures: list[list[float]]
    weights: list[list[float]]
    left_out: list[list[float]]
    pooled: PooledJSON | None


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
