"""The training of a swarm: all proxies, a second attempt for those that diverged, and what is left out by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.execution.executor import Executor
from olmix_core.config.config import Config
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.domains import DomainSet
from olmix_core.errors import DivergenceError
from olmix_core.proxies.mixture_description import describe_mixture
from tasks.runtime.step import Payload, Result
from tasks.steps.train import train

# Of a swarm at most this share may be left out, but always one: beyond, it is the recipe that diverges.
MOST_EXCLUDED = 0.1


@dataclass(frozen=True)
class TrainedSwarm:
    """The proxies that were trained, with their mixtures; and the reasons why others were left out, by name."""

    mixtures: list[dict[str, float]]
    proxies: list[Result]
    excluded: list[str]


def _payload(mixture: Mapping[str, float], recipe: Mapping[str, Any], tokenizer: str, attempt: int) -> Payload:
    again = {"attempt": attempt} if attempt else {}
    return {"mixture": dict(mixture), "recipe": dict(recipe), "tokenizer": tokenizer, **again}


def proxy_keys(
    config: Config, mixtures: Sequence[Mapping[str, float]], recipe: Mapping[str, Any], tokenizer: str
) -> list[str]:
    """The keys of all proxies that `train_swarm` may train, second attempts too."""
    attempts = (0, 1) if config.proxy.retry_diverged else (0,)
    return [train.key(_payload(mixture, recipe, tokenizer, i)) for mixture in mixtures for i in attempts]


def train_swarm(
    config: Config,
    mixtures: Sequence[dict[str, float]],
    recipe: ProxyRecipe,
    domains: DomainSet,
    tokenizer: str,
    corpora: Mapping[str, str],
    run: Executor,
    first: int = 0,
) -> TrainedSwarm:
    """Train a proxy on every mixture; `first` is the number of the first of them in the swarm.

    Raises:
        DivergenceError: more proxies diverged than can be left out.
        TrainingError: a proxy could not be trained.
    """

    identity = recipe.identity()

    def results(numbers: Sequence[int], attempt: int) -> list[Result]:
        calls: list[tuple[Payload, dict[str, Any]]] = []
        for number in numbers:
            payload = _payload(mixtures[number], identity, tokenizer, attempt)
            where: dict[str, Any] = {"label": f"{first + number:03d}", "corpora": corpora}
            where["timeout_hours"] = config.execution.timeout_hours
            if config.execution.command is not None:
                name = f"{config.name}-{first + number:03d}"
                where |= {
                    "command": config.execution.command,
                    "mixture": describe_mixture(name, mixtures[number], domains, recipe).to_json(),
                }
            calls.append((payload, where))
        return run.run_all(train, calls)

    found = dict(enumerate(results(range(len(mixtures)), attempt=0)))
    diverged = [number for number, result in found.items() if result.get("diverged")]
    if diverged and config.proxy.retry_diverged:
        found |= zip(diverged, results(diverged, attempt=1), strict=True)
        diverged = [number for number in diverged if found[number].get("diverged")]
    excluded = [
        f"proxy {found[number]['proxy'][:12]} of mixture {first + number:03d} is left out: {found[number]['diverged']}"
        for number in diverged
    ]
    if len(excluded) > max(1, int(MOST_EXCLUDED * len(mixtures))) or len(excluded) == len(mixtures) > 0:
        raise DivergenceError(f"{len(excluded)} of {len(mixtures)} proxies diverged; the first: {excluded[0]}")
    kept = [number for number in found if number not in diverged]
    return TrainedSwarm([mixtures[number] for number in kept], [found[number] for number in kept], excluded)
