"""A swarm in rounds: which proxies to train next, given the runs so far, and when to stop.

After every round, laws are drawn from the posterior that the runs imply, each the fitted law plus a first-order change,

    g_z(q) = sum_t w_t ( f_t(q) + d f_t / d theta_t (q) . move_t(z) ) + kl KL(q || reference),     z standard normal.

The optimum of each is a sample of the true optimum. Two quantities follow from these samples:

- the remaining gain: by how much the optima of the drawn laws beat the incumbent (the current proposal), each under its
  own law, on average. It is the expected regret of stopping now, in BPB;
- the value of a run at q: by how much it reduces the variance of the differences in BPB between the incumbent and those
  optima. With M(q) . z the change of the mean BPB at q, a run with noise s reduces the variance of a difference with
  deviations D by (M(q) . D)^2 / (|M(q)|^2 + s^2).

A batch is chosen greedily, each run given those before it. A round is a function of the evidence, the candidates and
the seed. Shapes: m leaves, d columns of E, S draws, T tasks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from olmix_core.config.swarm import SwarmSampling
from olmix_core.evidence.atoms import atom_matrix
from olmix_core.mixture import Array, Mixture, tidy
from olmix_core.planning.swarm import SwarmSpace, sample_swarm
from olmix_core.proposal.leaf_proposal import propose_for_leaves
from olmix_core.proposal.request import ProposalRequest
from olmix_core.surrogate.law_surrogate import LawSurrogate
from olmix_core.surrogate.task_weights import normalised

DRAWS = 32  # laws whose optimum is sought
CANDIDATES = 150  # mixtures drawn around each of two centres
NEAR = 0.9  # share of the proposal in its centre; the rest is natural, so that no leaf is out of reach

_STEPS = 200  # of mirror descent
_LEAST = 1e-12  # weight that keeps a logarithm finite
_LOWEST = -60.0  # logit below the largest at which a weight is nothing


@dataclass(frozen=True)
class Objective:
    """Minimise weighted mean BPB + kl KL(q || reference) over mixtures q = E r with q <= caps.

    Attributes:
        expansion: [m, d] expansion matrix E, whose columns share no leaf.
        reference: [m] mixture that q is pulled towards.
        caps: [m] highest weight of each leaf.
        kl: Strength of the pull, in BPB.
        task_weights: [T] weights in the mean; None for equal weights.
    """

    expansion: Array
    reference: Array
    caps: Array
    kl: float
    task_weights: Array | None = None

    @property
    def column_caps(self) -> Array:
        """[d] weight at which the first leaf of a column reaches its cap."""
        with np.errstate(divide="ignore"):
            highest = np.where(self.expansion > 0, self.caps[:, None] / np.maximum(self.expansion, 1e-300), np.inf)
        return np.asarray(highest.min(axis=0))


@dataclass(frozen=True)
class PosteriorOptima:
    """Samples of the optimum, given the runs so far.

    Attributes:
        incumbent: [m] current proposal.
        samples: [S, m] optima of the drawn laws.
        remaining_gain: Expected gain of these optima over the incumbent, in BPB.
    """

    incumbent: Array
    samples: Array
    remaining_gain: float


@dataclass(frozen=True)
class RoundSettings:
    """How the next mixtures are drawn and when a swarm ends.

    Attributes:
        sampling: How mixtures are drawn; its seed is that of the round.
        bounds: {leaf: (lowest, highest weight)} of mixtures of the swarm.
        count: Number of mixtures.
        tolerance: Gain in BPB below which no more proxies are trained.
    """

    sampling: SwarmSampling
    bounds: Mapping[str, tuple[float, float]]
    count: int
    tolerance: float


@dataclass(frozen=True)
class NextRound:
    """The mixtures to train next; none where too little is still to be gained.

    Attributes:
        mixtures: {leaf: weight} each, without zeros.
        remaining_gain: Gain in BPB that is still expected.
    """

    mixtures: Sequence[Mixture]
    remaining_gain: float


def propose_round(surrogate: LawSurrogate, request: ProposalRequest, settings: RoundSettings) -> NextRound:
    """Choose the mixtures of the next round of a swarm.

    They are chosen among mixtures drawn as the swarm was, mixtures around the current proposal, and the optima of
    laws that the runs leave possible.

    Args:
        surrogate: The law fitted so far, over atoms.
        request: The proposal request, over leaves.
        settings: How mixtures are drawn, how many, and when to stop.

    Returns:
        The mixtures, and the gain that is still expected.

    Raises:
        ProposalError: No mixture meets the request.
    """
    leaves = request.leaves
    columns, _ = request.loosened()
    space = SwarmSpace.of_columns(columns, leaves, request.natural, settings.bounds)
    matrix, made_of = space.expansion, atom_matrix(leaves.names, surrogate.leaves, request.splits)
    proposal = propose_for_leaves(surrogate, request)
    objective = Objective(
        expansion=made_of @ matrix,
        reference=request.in_atoms(request.reference or request.natural, surrogate),
        caps=np.where(made_of.sum(axis=1) > 0, made_of @ request.caps, np.inf),
        kl=request.kl,
        task_weights=request.weights_of_tasks(surrogate),
    )
    seed = settings.sampling.seed
    optima = draw_optima(surrogate, objective, proposal.proposal.weights, draws=DRAWS, seed=seed)
    if optima.remaining_gain < settings.tolerance:
        return NextRound((), optima.remaining_gain)
    natural = leaves.vector(request.natural)
    drawn = [
        sample_swarm(CANDIDATES, replace(space, prior=centre @ (matrix > 0)), settings.sampling)
        for centre in (natural, NEAR * proposal.weights + (1 - NEAR) * natural)
    ]
    of_optima = optima.samples @ (made_of > 0)
    within = np.all((of_optima >= space.lower) & (of_optima <= space.upper), axis=1)
    candidates = np.vstack([*drawn, *(tidy(q)[None] for q in of_optima[within])])
    chosen = candidates[select_batch(surrogate, optima, candidates @ made_of.T, settings.count, objective)]
    return NextRound(tuple(leaves.mixture(mixture) for mixture in chosen), optima.remaining_gain)


def draw_optima(
    surrogate: LawSurrogate, objective: Objective, incumbent: Array, *, draws: int, seed: int
) -> PosteriorOptima:
    """Sample the optimum: draw laws from the posterior and minimise each by mirror descent.

    Args:
        surrogate: The fitted law.
        objective: The objective.
        incumbent: [m] current proposal, where each descent starts.
        draws: Number of laws S.
        seed: Seed of the draws.

    Returns:
        The optima, and by how much they beat the incumbent.
    """
    weights = normalised(objective.task_weights, surrogate.tasks)
    deviations = surrogate.covariance.draws(draws, seed)[:, :, : len(incumbent) + 2]
    E, caps = objective.expansion, objective.column_caps
    start = np.maximum(incumbent @ (E > 0), _LEAST)
    r = np.tile(start / start.sum(), (draws, 1))
    before, slope = _drawn(surrogate, objective, weights, deviations, r @ E.T)
    value, rate = before, np.ones((draws, 1))
    for _ in range(_STEPS):
        along = slope @ E
        along -= np.sum(along * r, axis=1, keepdims=True)
        scale = np.maximum(np.abs(along).max(axis=1, keepdims=True), 1e-12)
        trial = _capped(np.log(np.maximum(r, _LEAST)) - rate * along / scale, caps)
        trial_value, trial_slope = _drawn(surrogate, objective, weights, deviations, trial @ E.T)
        better = trial_value < value
        rate = np.where(better[:, None], rate * 1.5, rate / 3)
        r[better], value, slope[better] = trial[better], np.where(better, trial_value, value), trial_slope[better]
    return PosteriorOptima(incumbent, r @ E.T, float(np.mean(before - value)))


def _drawn(
    surrogate: LawSurrogate, objective: Objective, weights: Array, deviations: Array, Q: Array
) -> tuple[Array, Array]:
    """g_z [S] of each drawn law at its own mixture Q [S, m], and its slope [S, m]."""
    law, p = surrogate.law, surrogate.parameters
    phi = law.features(Q)
    decay = p.decay(phi)  # [S, T]
    # [S, T, m] where tasks differ in gamma, else [S, 1, m].
    by_law = phi[:, None] if phi.ndim == 2 else phi.transpose(1, 0, 2)
    slopes = np.stack([law.slopes(q) for q in Q]).reshape(by_law.shape)
    bend = deviations[:, :, 1] + np.sum(deviations[:, :, 2:] * by_law, axis=2)
    has_reference = objective.reference > 0
    ratio = np.maximum(Q[:, has_reference], _LEAST) / objective.reference[has_reference]
    value = (p.c + decay + deviations[:, :, 0] + decay * bend) @ weights
    value += objective.kl * np.sum(Q[:, has_reference] * np.log(ratio), axis=1)
    pull = (decay * weights)[:, :, None]
    slope = np.sum(slopes * pull * ((1 + bend)[:, :, None] * p.v + deviations[:, :, 2:]), axis=1)
    slope[:, has_reference] += objective.kl * (np.log(ratio) + 1)
    return value, slope


def _capped(logits: Array, caps: Array) -> Array:
    """[S, d] the mixtures nearest to exp(logits) in KL that keep the caps: min(cap, scale exp(logit))."""
    r = np.exp(np.maximum(logits - logits.max(axis=1, keepdims=True), _LOWEST))
    r /= r.sum(axis=1, keepdims=True)
    for _ in range(50):
        full = r >= caps
        room = 1 - np.sum(np.where(full, caps, 0.0), axis=1, keepdims=True)
        free = np.sum(np.where(full, 0.0, r), axis=1, keepdims=True)
        r = np.where(full, caps, r * room / np.maximum(free, 1e-300))
        if not (r > caps * (1 + 1e-9)).any():
            break
    return np.asarray(r, dtype=np.float64)


def select_batch(
    surrogate: LawSurrogate, optima: PosteriorOptima, candidates: Array, count: int, objective: Objective
) -> list[int]:
    """Choose the mixtures to train next, greedily by the value of a run given those before it.

    Args:
        surrogate: The fitted law.
        optima: Samples of the optimum.
        candidates: [n, m] mixtures to choose from.
        count: Number of mixtures to choose.
        objective: The objective.

    Returns:
        Rows of `candidates`, the most valuable first.
    """
    weights = normalised(objective.task_weights, surrogate.tasks)
    points = np.vstack([candidates, optima.samples, optima.incumbent])
    parts = surrogate.covariance.prediction_deviations(points)
    deviations = np.concatenate([np.tensordot(weights, part, axes=1) for part in parts], axis=1)
    of_candidates = deviations[: len(candidates)]
    differences = deviations[len(candidates) : -1] - deviations[-1]
    noise = surrogate.objective_noises(candidates, weights) ** 2 + 1e-12
    chosen: list[int] = []
    for _ in range(count):
        value = np.sum((of_candidates @ differences.T) ** 2, axis=1) / (np.sum(of_candidates**2, axis=1) + noise)
        value[chosen] = -1.0
        chosen.append(int(np.argmax(value)))
        # Condition all deviations on the chosen run.
        of_run = of_candidates[chosen[-1]]
        size = float(of_run @ of_run)
        if size > 0:
            own = float(noise[chosen[-1]])
            shrink = (1 - np.sqrt(own / (size + own))) / size
            of_candidates = of_candidates - shrink * np.outer(of_candidates @ of_run, of_run)
            differences = differences - shrink * np.outer(differences @ of_run, of_run)
    return chosen
