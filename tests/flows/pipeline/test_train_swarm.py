"""A swarm of which some proxies diverge: tried again, left out by name, or the end of the run; never silently wrong."""

from collections.abc import Sequence
from typing import Any

import pytest
from typing_extensions import override

from flows.execution.executor import Executor
from flows.pipeline.context import RunContext
from flows.pipeline.run_state import RunState
from flows.pipeline.train_swarm import TrainedSwarm, train_swarm
from olmix_core.config.config import Config
from olmix_core.data.domains import DomainSet
from olmix_core.errors import DivergenceError
from olmix_core.planning.base import Base
from olmix_core.planning.bounds import NamedBounds
from olmix_core.planning.preflight import ResolvedInputs
from olmix_core.storage.store import Store
from tasks.runtime.step import Call, Step
from tasks.steps.train import TrainResult

MIXTURES = [{"a": 1 - i / 20, "b": i / 20} for i in range(20)]


class Diverging(Executor):
    """An executor in which the proxies of some mixtures diverge, {number: attempts that do}."""

    def __init__(self, diverging: dict[int, int]) -> None:
        super().__init__(Store("."))
        self.diverging, self.trained = diverging, list[tuple[int, int]]()

    @override
    def carry_out(self, step: Step[Any, Any], calls: Sequence[Call[Any]], keys: Sequence[str]) -> list[Any]:
        results: list[TrainResult] = []
        for call, key in zip(calls, keys, strict=True):
            number, attempt = int(call.where["label"]), call.payload.attempt or 0
            assert call.payload.mixture == MIXTURES[number]
            self.trained.append((number, attempt))
            fails = attempt < self.diverging.get(number, 0)
            results.append(TrainResult(key, diverged="the loss is nan") if fails else TrainResult(key, tokens=8))
        return results


def swarm(diverging: dict[int, int], **proxy: Any) -> tuple[TrainedSwarm, Diverging]:
    config = Config.model_validate(
        {
            "name": "test",
            "domains": [{"name": "a", "paths": "a.txt"}],
            "evaluation": {"tasks": [{"heldout": "a"}]},
            "proxy": proxy,
        }
    )
    executor, state = Diverging(diverging), RunState(Base(None, None), tokenizer="tokenizer")
    bounds = NamedBounds((), (), None)
    inputs = ResolvedInputs(DomainSet(()), (), None, (), 512, config.proxy, (), bounds, executor.store)
    context = RunContext(config, "mix.yaml", inputs, executor, state)
    labels = [f"{number:03d}" for number in range(len(MIXTURES))]
    return train_swarm(context, MIXTURES, {}, config.proxy, labels), executor


def test_all_is_well() -> None:
    found, run = swarm({})
    assert found.mixtures == MIXTURES
    assert (len(found.proxies), found.excluded) == (20, [])
    assert run.trained == [(i, 0) for i in range(20)]


def test_one_that_diverged_is_left_out_by_name_and_the_others_keep_their_mixtures() -> None:
    found, _ = swarm({3: 1, 7: 2})
    kept = [i for i in range(20) if i not in (3, 7)]
    assert found.mixtures == [MIXTURES[i] for i in kept]
    assert all(proxy.diverged is None for proxy in found.proxies)
    assert [words.split(" is ")[0].split()[-1] for words in found.excluded] == ["003", "007"]
    assert "the loss is nan" in found.excluded[0]


def test_asked_to_it_tries_once_more_in_another_order_and_only_those() -> None:
    found, run = swarm({3: 1, 7: 2}, retry_diverged=True)
    assert run.trained[20:] == [(3, 1), (7, 1)]
    assert found.mixtures == [mixture for i, mixture in enumerate(MIXTURES) if i != 7]
    assert len({proxy.proxy for proxy in found.proxies}) == 19
    first, _ = swarm({})
    # The others are the proxies that they were; the second attempt is another one.
    assert found.proxies[0] == first.proxies[0]
    assert found.proxies[3].proxy != first.proxies[3].proxy


def test_where_many_diverge_the_recipe_is_at_fault() -> None:
    with pytest.raises(DivergenceError, match=r"3 of 20 proxies diverged; .* mixture 001 is left out"):
        swarm({1: 1, 2: 1, 3: 1})
