"""Remarks on gains within the noise: what would show them, and how long that would take."""

from collections.abc import Mapping

from olmix_core.formatting import duration
from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.undecided import Remedy, remedy

_COMPARED = ("natural", "previous")  # mixtures that the proposed one is compared with


def undecided_remarks(
    surrogate: Surrogate, mixtures: Mapping[str, Array], task_weights: Array, runs: int, seconds: float | None
) -> tuple[str, ...]:
    """Say for each gain within the noise what would show it.

    Args:
        surrogate: The law, of T tasks over m columns.
        mixtures: {natural, proposed, ...: [m]}.
        task_weights: [T] weights of the tasks in the objective.
        runs: Runs of the fit.
        seconds: Duration of the training of one proxy; None where it is not known.

    Returns:
        A remark for each.
    """
    remarks = []
    for name in _COMPARED:
        if name in mixtures:
            found = remedy(surrogate, mixtures["proposed"], mixtures[name], task_weights, runs)
            if found is not None:
                remarks.append(_worded(name, found, seconds))
    return tuple(remarks)


def _worded(name: str, found: Remedy, seconds: float | None) -> str:
    def cost(proxies: int) -> str:
        return "" if not seconds or proxies * seconds < 1 else f" ({duration(proxies * seconds)} of training)"

    ways = []
    if found.runs is not None:
        more = "one more proxy" if found.runs == 1 else f"about {found.runs} more proxies"
        ways.append(f"{more} in the swarm{cost(found.runs)}")
    if found.copies is not None:
        both = f"{found.copies} proxies each of the {name} and the proposed mixture"
        ways.append(f"{both}{cost(2 * found.copies)}, compared directly,")
    if not ways:
        return f"the gain over {name} is within the noise, and so small that 1,000 more proxies would not show it"
    return (
        f"the gain over {name} is within the noise; if it is as large as predicted, {' or '.join(ways)} would show it"
        " in 4 of 5 cases"
    )
