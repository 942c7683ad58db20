"""Tasks whose law cannot be trusted, because it leaves what was measured by more than the margin of its bounds.

Where a law is beyond its bounds (`regression.bounds`), the bound is what is predicted. The task stays in the mean, with
that value, and is flagged.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from olmix_core.mixture import Array
from olmix_core.surrogate.base import Surrogate
from olmix_core.surrogate.cross_validation import OBJECTIVE, Diagnostics

Flags = dict[str, str]
_LEAST_EXPLAINED = 0.25  # R2 below which a law is no guide


def run_flags(diagnostics: Diagnostics, described: str) -> Flags:
    """Flag tasks by runs that a fit has not seen.

    Args:
        diagnostics: Predictions of these runs.
        described: Description of the runs, such as "left out of the fit".

    Returns:
        {task: reason}.
    """
    if diagnostics.beyond is None:
        return {}
    counts = np.count_nonzero(diagnostics.beyond & ~np.isnan(diagnostics.observed), axis=0)
    total = len(diagnostics.runs)
    return {
        task: _reason([f"{count} of {total} runs {described}"])
        for task, count in zip(diagnostics.tasks, counts, strict=True)
        if count
    }


def held_out_notes(diagnostics: Diagnostics) -> tuple[str, ...]:
    """Say where a law does not predict the objective of runs that it has not seen.

    Args:
        diagnostics: Predictions of these runs.

    Returns:
        One note, or none.
    """
    explained = float(diagnostics.table()["r2"].to_dict()[OBJECTIVE])
    if not explained < _LEAST_EXPLAINED:
        return ()
    return (
        f"on runs left out of the fit, the law predicts the objective with an R2 of {explained:.2f}: do not rely on its"
        " mixture, gains and intervals; more runs, another family or a larger ridge may help",
    )


def mixture_flags(surrogate: Surrogate, mixtures: Mapping[str, Array]) -> Flags:
    """Flag tasks by mixtures that are reported.

    Args:
        surrogate: The fit.
        mixtures: {name: mixture [m]}, such as natural and proposed.

    Returns:
        {task: reason}.
    """
    law = surrogate.fitted_law
    if law is None or not mixtures:
        return {}
    beyond = law.beyond(np.array(list(mixtures.values())))
    return {
        task: _reason(
            [f"the {name} mixture" for name, is_beyond in zip(mixtures, beyond[:, t], strict=True) if is_beyond]
        )
        for t, task in enumerate(surrogate.tasks)
        if beyond[:, t].any()
    }


def _reason(places: Sequence[str]) -> str:
    return (
        f"its law leaves the measured range by more than its width at {' and '.join(places)}, where a bound is used"
        " instead; weight 0 keeps the task out of the mean"
    )


def merged_flags(*flags: Mapping[str, str]) -> Flags:
    """Merge flags; a task may have several reasons.

    Args:
        flags: {task: reason}, several times.

    Returns:
        {task: reasons}.
    """
    reasons: dict[str, list[str]] = {}
    for some in flags:
        for task, reason in some.items():
            if reason not in reasons.setdefault(task, []):
                reasons[task].append(reason)
    return {task: "; ".join(of_task) for task, of_task in reasons.items()}
