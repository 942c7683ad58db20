"""The automatic release: which unaffected leaves are worth recomputing when others change.

The coupling (see `coupling`) needs the coefficients of every leaf. Those of kept leaves come from a log-linear law
fitted to the evidence on record. Those of a leaf that was revised, partitioned or merged are those of its old content;
those of a leaf that is new are guessed from the kept leaves that its text resembles (see `resemblance`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from olmix_core.config.defaults import RUNS_PER_DIMENSION
from olmix_core.data.input_file import InputFile
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.mixture import Array
from olmix_core.planning import coupling
from olmix_core.planning.text_similarity import profile, resemblance
from olmix_core.serialization import JsonRecord
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit_law


@dataclass(frozen=True)
class ReleaseEffect(JsonRecord):
    """What releasing a leaf does to the coupling.

    Attributes:
        leaf: The leaf.
        before: Coupling kappa before its release.
        after: Coupling after it.
        fall: The share of the coupling that goes away.
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
        resembles: {new leaf: {kept leaf: share}}, the leaves that its coefficients are guessed from.
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
    """The leaves to release, and the coupling of every kept leaf; None where there are no ratios to keep.

    evidence: over atoms (see `carry`). affected: {leaf: the old content it comes from, {atom: share}, or None}.

    Returns {before, after: kappa; released, leaves: [{leaf, before, after, fall}]; resembles: {leaf: {leaf: share}}}.
    """
    atoms = evidence.leaves
    known = [leaf for leaf in kept if leaf in atoms]
    if len(known) < 2:
        return None
    slopes = _slopes(evidence, old_weights)
    of_known = slopes[:, [atoms.index(leaf) for leaf in known]]
    profiles = {
        leaf: profile(files[leaf], tokenizer)
        for leaf in [*known, *(leaf for leaf, origin in affected.items() if origin is None)]
    }
    resembles: dict[str, dict[str, float]] = {}
    columns = [of_known]
    for leaf, origin in affected.items():
        if origin is None:
            shares = resemblance(profiles[leaf], np.stack([profiles[one] for one in known]))
            resembles[leaf] = {one: float(share) for one, share in zip(known, shares, strict=True) if share > 0}
            columns.append((of_known @ shares)[:, None])
        else:
            usable = np.array([origin.get(atom, 0.0) for atom in atoms])
            columns.append((slopes @ usable / max(usable.sum(), 1e-12))[:, None])
    coefficients = np.concatenate(columns, axis=1)
    fixed, recomputed = list(range(len(known))), list(range(len(known), coefficients.shape[1]))
    released = coupling.greedy_release(coefficients, fixed, recomputed, RUNS_PER_DIMENSION)
    before = coupling.kappa(coefficients, fixed, recomputed)

    def effects(releases: Sequence[coupling.Release]) -> tuple[ReleaseEffect, ...]:
        return tuple(ReleaseEffect(known[one.leaf], one.before, one.after, one.fall) for one in releases)

    return ReleaseChoice(
        before=before,
        after=released[-1].after if released else before,
        released=effects(released),
        leaves=effects(coupling.candidates(coefficients, fixed, recomputed)),
        resembles=resembles,
    )


def _slopes(evidence: SwarmData, old_weights: Mapping[str, float]) -> Array:
    """[T, atoms] log-linear coefficients as deviations from their mean under the old mixture."""
    law = fit_law(evidence, family="log_linear")
    weights = np.array([old_weights.get(atom, 0.0) for atom in evidence.leaves])
    return coupling.centred(law.parameters.v, weights / weights.sum())
