"""The training of a swarm: all proxies, a second attempt for those that diverged, and what is left out by name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from flows.pipeline.context import RunContext
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.errors import DivergenceError
from olmix_core.mixture import Mixture
from olmix_core.proxies.mixture_description import describe_mixture
from tasks.runtime.step import Call
from tasks.steps.train import ExternalTrainer, TrainPayload, TrainResult, train

# Of a swarm at most this share may be left out, but always one: beyond, it is the recipe that diverges.
MAX_EXCLUDED = 0.1


@dataclass(frozen=True)
class TrainedSwarm:
    """The outcome of a swarm's training.

    Attributes:
        mixtures: Mixtures of the proxies that were trained.
        proxies: These proxies.
        excluded: Why others were left out, by name.
    """

    mixtures: list[Mixture]
    proxies: list[TrainResult]
    excluded: list[str]


def proxy_keys(context: RunContext, mixtures: Sequence[Mixture]) -> list[str]:
    """Return the keys of all proxies that `train_swarm` may train.

    Args:
        context: The run, once its tokenizer is known.
        mixtures: The mixtures.

    Returns:
        Their keys, second attempts too.
    """
    recipe = context.inputs.recipe
    attempts = (0, 1) if recipe.retry_diverged else (0,)
    return [train.key(_payload(context, recipe, mixture, attempt)) for mixture in mixtures for attempt in attempts]


def train_swarm(
    context: RunContext,
    mixtures: Sequence[Mixture],
    corpora: Mapping[str, str],
    recipe: ProxyRecipe,
    labels: Sequence[str],
) -> TrainedSwarm:
    """Train a proxy on every mixture.

    Args:
        context: The run, once its tokenizer is known.
        mixtures: The mixtures.
        corpora: {leaf: folder of its tokens}.
        recipe: The recipe, with its number of tokens.
        labels: What the mixtures are called.

    Returns:
        The trained proxies.

    Raises:
        DivergenceError: More proxies diverged than can be left out.
        TrainingError: A proxy could not be trained.
    """

    def train_some(numbers: Sequence[int], attempt: int) -> list[TrainResult]:
        calls = []
        for number in numbers:
            mixture = mixtures[number]
            where = _where(context, recipe, mixture, corpora, labels[number])
            calls.append(Call(_payload(context, recipe, mixture, attempt), where))
        return context.executor.run_all(train, calls)

    results = dict(enumerate(train_some(range(len(mixtures)), attempt=0)))
    diverged = [number for number, result in results.items() if result.diverged]
    if diverged and recipe.retry_diverged:
        results |= zip(diverged, train_some(diverged, attempt=1), strict=True)
        diverged = [number for number in diverged if results[number].diverged]
    excluded = [
        f"proxy {results[number].proxy[:12]} of mixture {labels[number]} is left out: {results[number].diverged}"
        for number in diverged
    ]
    if len(excluded) > max(1, int(MAX_EXCLUDED * len(mixtures))) or len(excluded) == len(mixtures) > 0:
        raise DivergenceError(f"{len(excluded)} of {len(mixtures)} proxies diverged; the first: {excluded[0]}")
    kept = [number for number in results if number not in diverged]
    return TrainedSwarm([mixtures[number] for number in kept], [results[number] for number in kept], excluded)


def _payload(context: RunContext, recipe: ProxyRecipe, mixture: Mixture, attempt: int) -> TrainPayload:
    exclusions = context.state.overlap.exclusions
    return TrainPayload(
        dict(mixture),
        recipe.identity(),
        context.state.tokenizer,
        attempt or None,
        {leaf: exclusions[leaf] for leaf in sorted(mixture) if leaf in exclusions} or None,
    )


def _where(
    context: RunContext, recipe: ProxyRecipe, mixture: Mixture, corpora: Mapping[str, str], label: str
) -> dict[str, object]:
    """Where the things are that a proxy is trained from, and how an external trainer is run."""
    execution = context.config.execution
    where: dict[str, object] = {"label": label, "corpora": corpora, "timeout_hours": execution.timeout_hours}
    if execution.command is not None:
        name = f"{context.config.name}-{label}"
        description = describe_mixture(name, mixture, context.inputs.domains, recipe)
        where["external"] = ExternalTrainer(execution.command, description).to_json()
    return where
