"""The automatic release: which unaffected leaves are worth recomputing when others change.

The coupling (see `olmix_core.planning.coupling`) needs the coefficients of every leaf. Kept leaves have those of a
log-linear law fitted to the recorded evidence. A leaf that was revised, partitioned or merged has those of its old
content. Those of a new leaf are estimated from the kept leaves that its text resembles (see
`olmix_core.planning.text_similarity`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from olmix_core.config.defaults import RUNS_PER_DIMENSION
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.mixture import Array, LeafIndex
from olmix_core.planning import coupling
from olmix_core.planning.text_similarity import profile, resemblance
from olmix_core.serialization import JsonRecord
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law
from olmix_core.surrogate.settings import FitSettings

_DRAWS = 64  # laws that the runs leave possible


@dataclass(frozen=True)
class ReleaseEffect(JsonRecord):
    """What releasing a leaf does to the coupling.

    Attributes:
        leaf: The leaf.
        before: Coupling kappa before its release.
        after: Coupling after it.
        fall: Share of the coupling that its release removes.
    """

    leaf: str
    before: float
    after: float
    fall: float


@dataclass(frozen=True)
class ReleaseChoice(JsonRecord):
    """The leaves to release, and why.

    Attributes:
        before: Coupling kappa with all unaffected leaves kept.
        after: Coupling after the release.
        released: The released leaves, in order.
        leaves: Every kept leaf, as if it alone were released; the largest fall first.
        resembles: {new leaf: {kept leaf: share}}, the leaves that its coefficients are estimated from.
    """

    before: float
    after: float
    released: Sequence[ReleaseEffect]
    leaves: Sequence[ReleaseEffect]
    resembles: Mapping[str, Mapping[str, float]]


def choose_release(
    *,
    evidence: SwarmData,
    old_weights: Mapping[str, float],
    kept: Sequence[str],
    affected: Mapping[str, Mapping[str, float] | None],
    files: Mapping[str, Sequence[InputFile]],
    tokenizer: Tokenizer,
) -> ReleaseChoice | None:
    """Choose the unaffected leaves to recompute.

    Args:
        evidence: Runs over atoms (see `olmix_core.evidence.atoms`).
        old_weights: {leaf: weight} of the last mix.
        kept: Unaffected leaves.
        affected: {affected leaf: {atom: share} of the old content that it comes from}; None for new content.
        files: {leaf: its files}, of which a little is read.
        tokenizer: The tokenizer of the proxies.

    Returns:
        The leaves to release, and the coupling of every kept leaf; None where there are no ratios to keep.
    """
    atoms = evidence.leaves
    observed = [leaf for leaf in kept if leaf in atoms]
    if len(observed) < 2:
        return None
    profiles = {
        leaf: profile(files[leaf], tokenizer)
        for leaf in [*observed, *(leaf for leaf, origin in affected.items() if origin is None)]
    }
    resembles: dict[str, dict[str, float]] = {}
    of_observed = np.array([[float(atom == leaf) for leaf in observed] for atom in atoms])
    columns = [of_observed]
    for leaf, origin in affected.items():
        if origin is None:
            shares = resemblance(profiles[leaf], np.stack([profiles[other] for other in observed]))
            resembles[leaf] = LeafIndex(tuple(observed)).mixture(shares)
            columns.append((of_observed @ shares)[:, None])
        else:
            weights = np.array([origin.get(atom, 0.0) for atom in atoms])  # atoms without evidence are left out
            columns.append((weights / max(weights.sum(), 1e-12))[:, None])
    made_of = np.concatenate(columns, axis=1)
    coefficients, *draws = (slopes @ made_of for slopes in _slopes(evidence, old_weights))
    fixed, recomputed = list(range(len(observed))), list(range(len(observed), made_of.shape[1]))
    released = coupling.stable_release(coefficients, np.array(draws), fixed, recomputed, RUNS_PER_DIMENSION)
    before = coupling.kappa(coefficients, fixed, recomputed)

    def effects(releases: Sequence[coupling.Release]) -> tuple[ReleaseEffect, ...]:
        return tuple(ReleaseEffect(observed[each.leaf], each.before, each.after, each.fall) for each in releases)

    return ReleaseChoice(
        before=before,
        after=released[-1].after if released else before,
        released=effects(released),
        leaves=effects(coupling.candidates(coefficients, fixed, recomputed)),
        resembles=resembles,
    )


def _slopes(evidence: SwarmData, old_weights: Mapping[str, float]) -> list[Array]:
    """Log-linear coefficients [T, atoms] of the best fit, then draws of them, centred on the old mixture."""
    law = fit_law(evidence, FitSettings(family="log_linear"))
    weights = np.array([old_weights.get(atom, 0.0) for atom in evidence.leaves])
    deviations = law.covariance.draws(_DRAWS, seed=0)[:, :, 2:]
    best = law.parameters.v
    return [coupling.centred(best + deviation, weights / weights.sum()) for deviation in (0.0, *deviations)]
