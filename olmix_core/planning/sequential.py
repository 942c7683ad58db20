"""Which proxies to train next, and when to stop: a swarm in rounds, each of which learns from the ones before.

The question of a swarm is where the optimum lies. After every round laws are drawn from what the runs so far leave
possible (`influence`), each the fitted law plus its first-order change,

    g_z(q) = sum_t w_t ( f_t(q) + d f_t / d theta_t (q) . move_t(z) ) + kl KL(q || reference),     z standard normal,

and each has an optimum of its own: a sample of where the true one may lie. Two numbers follow:

- what is still to be gained: by how much the optima of the drawn laws beat today's proposal, each judged by its own
  law, on average (the expected regret of stopping now, in BPB);
- the worth of a run at q: by how much it narrows down the differences in BPB between today's proposal and those optima.
  With M(q) . z the change of the mean BPB at q, a run with noise s takes from a difference with moves D the variance
  (M(q) . D)^2 / (|M(q)|^2 + s^2).

A batch is chosen greedily, each run given the ones before it. Everything follows from the evidence, the candidates and
the seed, so a round is the same whenever and wherever it is computed. Shapes: m leaves, d columns of E, S draws.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from olmix_core.config.swarm import Swarm
from olmix_core.evidence.atoms import atom_matrix
from olmix_core.mixture import Array, LeafIndex, Mixture, tidy
from olmix_core.planning.swarm import sample_swarm
from olmix_core.proposal.expansion import expansion
from olmix_core.proposal.request import ProposalRequest, propose_for_leaves
from olmix_core.surrogate.law_surrogate import LawSurrogate, normalised

DRAWS = 32  # laws whose optimum is sought
CANDIDATES = 150  # mixtures drawn around each of two centres
NEAR = 0.9  # share of the proposal in its centre; the rest is natural, so that no leaf is out of reach

_STEPS = 200  # of mirror descent
_LEAST = 1e-12  # weight that keeps a logarithm finite
_LOWEST = -60.0  # logit below the largest at which a weight is nothing


@dataclass(frozen=True)
class Objective:
    """What is asked of a mixture q = E r: least weighted mean BPB + kl KL(q || reference), q <= caps.

    expansion E [m, d], whose columns share no leaf; reference and caps [m].
    """

    expansion: Array
    reference: Array
    caps: Array
    kl: float
    task_weights: Array | None = None

    @property
    def column_caps(self) -> Array:
        """[d] the weight at which the first leaf of a column reaches its cap."""
        with np.errstate(divide="ignore"):
            most = np.where(self.expansion > 0, self.caps[:, None] / np.maximum(self.expansion, 1e-300), np.inf)
        return np.asarray(most.min(axis=0))


@dataclass(frozen=True)
class PosteriorOptima:
    """Where the optimum may lie: samples [S, m], today's proposal [m], and what is still to be gained in BPB."""

    incumbent: Array
    samples: Array
    remaining_gain: float


@dataclass(frozen=True)
class RoundSettings:
    """How the next mixtures are drawn and when a swarm ends.

    Attributes:
        swarm: How mixtures are drawn; its seed is that of the round.
        bounds: {leaf: (lowest, highest weight)} of mixtures of the swarm.
        count: Number of mixtures.
        tolerance: Gain in BPB below which no more proxies are trained.
    """

    swarm: Swarm
    bounds: Mapping[str, tuple[float, float]]
    count: int
    tolerance: float


@dataclass(frozen=True)
class NextRound:
    """The mixtures to train next; none where too little is still to be gained.

    Attributes:
        mixtures: {leaf: weight} each, without zeros.
        remaining_gain: What is expected to be gained still, in BPB.
    """

    mixtures: Sequence[Mixture]
    remaining_gain: float


def propose_round(surrogate: LawSurrogate, request: ProposalRequest, settings: RoundSettings) -> NextRound:
    """Choose the mixtures of the next round of a swarm.

    They are chosen among mixtures drawn as the swarm was, mixtures around the current proposal, and the optima of
    laws that the runs leave possible.

    Args:
        surrogate: The law fitted so far, over atoms.
        request: What is asked of the mixture, over leaves.
        settings: How mixtures are drawn, how many, and when to stop.

    Returns:
        The mixtures, and the gain that is still expected.

    Raises:
        ProposalError: No mixture meets the request.
    """
    leaves = LeafIndex(tuple(request.leaves))
    columns, _ = request.loosened()
    matrix, made_of = expansion(columns, leaves.names), atom_matrix(leaves.names, surrogate.leaves, request.splits)
    proposal = propose_for_leaves(surrogate, request)
    goal = Objective(
        expansion=made_of @ matrix,
        reference=request.in_atoms(request.reference or request.natural, surrogate),
        caps=np.where(made_of.sum(axis=1) > 0, made_of @ request.caps, np.inf),
        kl=request.kl,
        task_weights=np.array([request.task_weights[task] for task in surrogate.tasks]),
    )
    seed = settings.swarm.seed
    optima = draw_optima(surrogate, goal, proposal.proposal.weights, draws=DRAWS, seed=seed)
    if optima.remaining_gain < settings.tolerance:
        return NextRound((), optima.remaining_gain)
    natural = leaves.vector(request.natural)
    lower, upper = np.array([settings.bounds.get(leaf, (0.0, 1.0)) for leaf in leaves]).T
    drawn = [
        sample_swarm(CANDIDATES, centre @ (matrix > 0), matrix, settings.swarm, lower, upper)
        for centre in (natural, NEAR * proposal.weights + (1 - NEAR) * natural)
    ]
    of_optima = optima.samples @ (made_of > 0)
    within = np.all((of_optima >= lower) & (of_optima <= upper), axis=1)
    candidates = np.vstack([*drawn, *(tidy(q)[None] for q in of_optima[within])])
    chosen = candidates[select_batch(surrogate, optima, candidates @ made_of.T, settings.count, goal)]
    return NextRound(tuple(leaves.mixture(mixture) for mixture in chosen), optima.remaining_gain)


def draw_optima(
    surrogate: LawSurrogate, goal: Objective, incumbent: Array, *, draws: int, seed: int
) -> PosteriorOptima:
    """The optima of `draws` laws that the runs leave possible, each sought from the proposal of `incumbent` [m]."""
    weights = normalised(goal.task_weights, surrogate.tasks)
    moves = surrogate.influence.draws(draws, seed)[:, :, : len(incumbent) + 2]
    E, caps = goal.expansion, goal.column_caps
    start = np.maximum(incumbent @ (E > 0), _LEAST)
    r = np.tile(start / start.sum(), (draws, 1))
    before, slope = _drawn(surrogate, goal, weights, moves, r @ E.T)
    value, rate = before, np.ones((draws, 1))
    for _ in range(_STEPS):
        along = slope @ E
        along -= np.sum(along * r, axis=1, keepdims=True)
        scale = np.maximum(np.abs(along).max(axis=1, keepdims=True), 1e-12)
        trial = _capped(np.log(np.maximum(r, _LEAST)) - rate * along / scale, caps)
        trial_value, trial_slope = _drawn(surrogate, goal, weights, moves, trial @ E.T)
        better = trial_value < value
        rate = np.where(better[:, None], rate * 1.5, rate / 3)
        r[better], value, slope[better] = trial[better], np.where(better, trial_value, value), trial_slope[better]
    return PosteriorOptima(incumbent, r @ E.T, float(np.mean(before - value)))


def _drawn(surrogate: LawSurrogate, goal: Objective, weights: Array, moves: Array, Q: Array) -> tuple[Array, Array]:
    """g_z [S] of each drawn law at its own mixture Q [S, m], and its slope [S, m]."""
    law, p = surrogate.law, surrogate.parameters
    phi, slopes = law.features(Q), np.stack([law.slopes(q) for q in Q])
    decay = p.decay(phi)  # [S, T]
    bend = moves[:, :, 1] + np.einsum("stm,sm->st", moves[:, :, 2:], phi)
    known = goal.reference > 0
    ratio = np.maximum(Q[:, known], _LEAST) / goal.reference[known]
    value = (p.c + decay + moves[:, :, 0] + decay * bend) @ weights
    value += goal.kl * np.sum(Q[:, known] * np.log(ratio), axis=1)
    pull = decay * weights
    slope = slopes * ((pull * (1 + bend)) @ p.v + np.einsum("st,stm->sm", pull, moves[:, :, 2:]))
    slope[:, known] += goal.kl * (np.log(ratio) + 1)
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
    surrogate: LawSurrogate, optima: PosteriorOptima, candidates: Array, count: int, goal: Objective
) -> list[int]:
    """The `count` rows of `candidates` [n, m] to train next, the most telling first."""
    weights = normalised(goal.task_weights, surrogate.tasks)
    points = np.vstack([candidates, optima.samples, optima.incumbent])
    parts = surrogate.influence.prediction_deviations(points)
    moves = np.concatenate([np.tensordot(weights, part, axes=1) for part in parts], axis=1)
    of_candidates, asked = moves[: len(candidates)], moves[len(candidates) : -1] - moves[-1]
    noise = surrogate.objective_noise(weights) ** 2 + 1e-12
    chosen: list[int] = []
    for _ in range(count):
        told = np.sum((of_candidates @ asked.T) ** 2, axis=1) / (np.sum(of_candidates**2, axis=1) + noise)
        told[chosen] = -1.0
        chosen.append(int(np.argmax(told)))
        # what the run would tell is taken out of all moves: they become those of z given the run
        told_of = of_candidates[chosen[-1]]
        size = float(told_of @ told_of)
        if size > 0:
            shrink = (1 - np.sqrt(noise / (size + noise))) / size
            of_candidates = of_candidates - shrink * np.outer(of_candidates @ told_of, told_of)
            asked = asked - shrink * np.outer(asked @ told_of, told_of)
    return chosen
