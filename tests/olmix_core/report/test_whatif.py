"""What is laid into the page is enough for the numbers of the law, by the formulas that the page evaluates."""

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmix_core.mixes.loading import load_folder
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.report.whatif import whatif
from olmix_core.surrogate.data import SwarmData
from olmix_core.surrogate.fit import fit
from olmix_core.surrogate.regression.prior import SwarmPrior
from olmix_core.surrogate.settings import FitSettings


def doubles(text: str, *shape: int) -> Any:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").reshape(shape)


def evaluated(data: dict[str, Any], q: Any) -> tuple[Any, Any, Any]:
    """BPB [T], its standard deviation [T] and the scale of the noise [T] at q [leaves], as whatif.js computes them."""
    tasks, runs = data["tasks"], data["runs"]
    v = np.array([[*task["v"], *task["offsets"]] for task in tasks])
    columns = len(tasks[0]["v"])
    width = v.shape[1]
    mixture = np.zeros(columns)
    for leaf, weight in zip(data["leaves"], q, strict=True):
        for column, share in leaf["parts"]:
            mixture[column] += share * weight
    trained, levels = doubles(data["trained"], runs, columns), doubles(data["levels"], runs, width - columns)
    root = doubles(data["prior"], width, width)
    pulls, size = doubles(data["pulls"], runs, len(tasks)), width + 2
    lower = np.tril_indices(size)
    bpb, std, scale = [], [], []
    for t, (task, packed) in enumerate(zip(tasks, doubles(data["inverse"], len(tasks), len(lower[0])), strict=True)):
        inverse = np.zeros((size, size))
        inverse[lower] = packed
        inverse = inverse + np.tril(inverse, -1).T
        gamma = task["gamma"]
        phi = np.zeros(width)
        phi[:columns] = mixture if gamma is None else -(mixture**gamma)
        features = np.hstack([trained if gamma is None else -(trained**gamma), levels])
        decay = np.exp(task["b"] + phi @ v[t])
        u = inverse @ np.concatenate([[1, decay], decay * phi])
        at_runs = np.exp(task["b"] + features @ v[t])
        moves = (u[0] + at_runs * (u[1] + features @ u[2:])) * pulls[:, t]
        bpb.append(task["c"] + decay)
        std.append(np.hypot(np.linalg.norm(moves), np.linalg.norm(root @ u[2:] * task["open"])))
        usual, least, most, power = task["local_noise"] or (1.0, 1.0, 1.0, 1.0)
        scale.append((np.clip(decay, least, most) / usual) ** power)
    return np.array(bpb), np.array(std), np.array(scale)


def pooled(mix: PublishedMix) -> PublishedMix:
    """The same with a law of two swarms, the second half of the runs another one that lies 0.3 BPB off."""
    table = mix.evidence
    x, y = table["mixture"].to_numpy(), table["measured"].to_numpy().copy()
    y[20:] += 0.3
    runs = tuple(map(str, table.index))
    evidence = SwarmData(x, y, runs, mix.surrogate.leaves, mix.surrogate.tasks)
    pool = SwarmPrior(swarms={run: "new" if k < 20 else "old" for k, run in enumerate(runs)}, current="new")
    return replace(mix, surrogate=fit(evidence, FitSettings(family="diminishing_returns", prior=pool)))


def under_a_shared_prior(mix: PublishedMix) -> PublishedMix:
    """The same with tasks of different gamma: the first falls steeply with the first shares of a leaf."""
    x = mix.evidence["mixture"].to_numpy()
    slopes = np.array([[2.0, 0.5, 1.0, 0.2], [0.3, 2.5, 0.2, 1.0]])
    powers = (0.4, 0.75) * len(mix.surrogate.tasks)
    y = np.stack([1 + np.exp(0.3 - x ** powers[t] @ slopes[t % 2]) for t in range(len(mix.surrogate.tasks))], axis=1)
    evidence = SwarmData(x, y, tuple(map(str, mix.evidence.index)), mix.surrogate.leaves, mix.surrogate.tasks)
    surrogate = fit(evidence, FitSettings(family="shared_prior"))
    assert surrogate.gamma is None
    return replace(mix, surrogate=surrogate)


@pytest.mark.parametrize(
    "make", [lambda mix: mix, pooled, under_a_shared_prior], ids=["one swarm", "two swarms", "gamma by task"]
)
def test_the_numbers_of_the_page_are_those_of_the_law(fitted: Path, make: Any) -> None:
    mix = make(load_folder(fitted))
    found = whatif(mix)
    assert found is not None
    data: dict[str, Any] = found.to_json()
    for q in (mix.mixtures["natural"], np.array([0.7, 0.0, 0.2, 0.1])):
        bpb, std, scale = evaluated(data, q)
        at = mix.columns @ q
        np.testing.assert_allclose(bpb, mix.surrogate.predict(at[None])[0], rtol=1e-12)
        np.testing.assert_allclose(std, mix.surrogate.std(at[None])[0], rtol=1e-6)
        noise, weights = doubles(data["noise"], len(bpb), len(bpb)), mix.task_weights
        scatter = np.sqrt((scale * weights) @ noise @ (scale * weights))
        assert scatter == pytest.approx(mix.surrogate.objective_noises(at[None], weights)[0], rel=1e-9)
        np.testing.assert_allclose(scale * np.sqrt(np.diag(noise)), mix.surrogate.noise(at[None])[0], rtol=1e-9)
