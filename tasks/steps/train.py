"""Step `train`: one per mixture. Key: {content: weight} without zeros, recipe, tokenizer, seed (in the recipe).

A proxy that diverges has a result too, which says so: it would diverge again.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.errors import DivergenceError
from olmix_core.formatting import amount, duration
from olmix_core.proxies.mixture_description import MixtureDescription
from olmix_core.proxies.results import CommandRun, ProxyRun, load_run
from olmix_core.report.markdown import table
from olmix_core.serialization import OMIT_NONE, JsonMapping, JsonObject, JsonRecord, Scalar
from olmix_core.storage.layout import proxy_folder, proxy_model_path, proxy_run_path, tokenizer_path
from olmix_core.storage.store import Store
from olmix_core.workers.command import run_command
from olmix_core.workers.jobs import ProxyReference, TrainJob
from olmix_core.workers.pool import worker_pool
from tasks.runtime import progress
from tasks.runtime.artifacts import Artifacts, Done, Where
from tasks.runtime.payload import result_of
from tasks.runtime.step import step


@dataclass(frozen=True)
class TrainPayload(JsonRecord):
    """What a proxy depends on.

    Attributes:
        mixture: {leaf: weight}, without zeros.
        recipe: The recipe, written out (`ProxyRecipe.identity`).
        tokenizer: Fingerprint of the tokenizer.
        attempt: Number of a further attempt at a mixture that diverged; None for the first.
        exclusions: {leaf: name of the list of its passages that are not trained on, since they hold text that proxies
            are evaluated on}, of leaves of the mixture that have some; None where none has.
    """

    mixture: Mapping[str, float] = field(metadata=result_of("swarm"))
    recipe: Mapping[str, Scalar]
    tokenizer: str = field(metadata=result_of("tokenizer"))
    attempt: int | None = field(default=None, metadata=OMIT_NONE)
    exclusions: Mapping[str, str] | None = field(default=None, metadata=OMIT_NONE | result_of("overlap"))


@dataclass(frozen=True)
class TrainResult(JsonRecord):
    """A trained proxy, or why there is none.

    Attributes:
        proxy: Key of the proxy.
        parameters: Number of its parameters.
        tokens: Tokens that it trained on.
        seconds: Time that it took.
        loss: Its last loss; None where another trainer does not say.
        files: Its files in the store.
        diverged: Why its training was given up; None where it was not.
    """

    proxy: str
    parameters: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float | None = None
    files: dict[str, str | None] = field(default_factory=dict)
    diverged: str | None = field(default=None, metadata=OMIT_NONE)

    def to_json(self) -> JsonObject:
        """Return the result as plain JSON.

        Returns:
            All fields; of a proxy that diverged only its key and the reason.
        """
        if self.diverged is not None:
            return {"proxy": self.proxy, "diverged": self.diverged}
        return super().to_json()

    @classmethod
    def from_json(cls, record: JsonMapping) -> "TrainResult":
        """Read a result.

        Args:
            record: As `to_json` writes it.

        Returns:
            The result.

        Raises:
            ValueError: A field is missing, or is not of its type.
        """
        return super().from_json({**cls("").to_json(), **record} if "diverged" in record else record)


@dataclass(frozen=True)
class ExternalTrainer(JsonRecord):
    """A trainer of the user's own: the command that runs it, and the mixture to train on."""

    command: str
    mixture: MixtureDescription


def _forecast(_payload: TrainPayload, key: str, _where: Where) -> TrainResult:
    return TrainResult(key)


def _describe(done: Sequence[Done[TrainPayload, TrainResult]], artifacts: Artifacts) -> list[str]:
    if not done:
        return ["Nothing is left to explore: no proxy."]
    rows = []
    for outcome in done:
        heaviest = sorted(outcome.payload.mixture.items(), key=lambda item: -item[1])[:3]
        label, result, diverged = outcome.where["label"], outcome.result, outcome.result.diverged is not None
        rows.append(
            {
                "proxy": label if outcome.url is None else f"[{label}]({outcome.url})",
                "state": "diverged" if diverged else outcome.state,
                "heaviest domains": ", ".join(f"{artifacts.label(leaf)} {weight:.0%}" for leaf, weight in heaviest),
                "tokens": "" if diverged else f"{result.tokens:,}",
                "seconds": "" if diverged else f"{result.seconds:.1f}",
                "last loss": "" if result.loss is None else f"{result.loss:.4f}",
                "folder": f"`{proxy_folder(result.proxy)}`",
            }
        )
    trained = [outcome.result for outcome in done if outcome.result.diverged is None]
    if not trained:
        return ["Every proxy diverged.", "", *table(rows)]
    tokens, seconds = sum(result.tokens for result in trained), sum(result.seconds for result in trained)
    summary = f"{len(trained)} proxies of {trained[0].parameters:,} parameters: {amount(tokens)} tokens"
    return [f"{summary}, {duration(seconds)} of one worker.", "", *table(rows)]


@step(
    "train",
    1,
    title="train a proxy on each",
    after="swarm",
    payload=TrainPayload,
    result=TrainResult,
    weight=34.0,  # it takes longest
    forecast=_forecast,
    artifact=_describe,
    uses_proxies=lambda _where: True,
)
def train(
    payload: TrainPayload,
    store: Store,
    *,
    label: str,
    corpora: Mapping[str, str],
    timeout_hours: float,
    external: JsonMapping | None = None,
) -> TrainResult:
    """Train a proxy in a process of its own, or have another trainer do so.

    Args:
        payload: What the proxy depends on.
        store: The store.
        label: Number of the proxy, to show.
        corpora: {leaf: folder of its tokens}.
        timeout_hours: Time that it may take.
        external: Another trainer, an `ExternalTrainer`; None for the proxies of this project.

    Returns:
        The trained proxy.

    Raises:
        TrainingError: It could not be trained.
    """
    key = train.key(payload)
    if external is not None:
        return _train_by_command(payload, key, store, ExternalTrainer.from_json(external), timeout_hours)
    job = TrainJob(
        proxy=ProxyReference(store.url, key, payload.recipe, tokenizer_path(payload.tokenizer)),
        mixture=payload.mixture,
        corpora={leaf: corpora[leaf] for leaf in payload.mixture},
        attempt=payload.attempt or 0,
        exclusions=payload.exclusions or {},
    )
    run, model = load_run(store, key), proxy_model_path(key)
    if not isinstance(run, ProxyRun) or not store.exists(model):  # else its step was killed before it could say so
        tracked = progress.current()
        try:
            run = worker_pool.run(job, lambda state: tracked.advanced(train.name, label, state), timeout_hours)
        except DivergenceError as error:
            return TrainResult(key, diverged=str(error))
        finally:
            tracked.left(train.name, label)
    return TrainResult(
        proxy=key,
        parameters=run.training.parameters,
        tokens=sum(run.training.tokens.values()),
        seconds=run.training.seconds,
        loss=run.training.losses[-1][1],
        files={proxy_run_path(key): None, model: None},
    )


def _train_by_command(
    payload: TrainPayload, key: str, store: Store, trainer: ExternalTrainer, timeout_hours: float
) -> TrainResult:
    path = proxy_run_path(key)
    run = load_run(store, key)
    if not isinstance(run, CommandRun):
        started = time.monotonic()
        metrics = run_command(trainer.command, trainer.mixture, timeout_hours)
        run = CommandRun(key, payload.mixture, payload.recipe, metrics, time.monotonic() - started)
        store.write_json(path, run.to_json())
    tokenizer = Tokenizer.from_json(store.read_json(tokenizer_path(payload.tokenizer)))
    recipe = ProxyRecipe.model_validate(payload.recipe)
    assert recipe.tokens is not None  # counted when the inputs were resolved
    return TrainResult(
        proxy=key,
        parameters=recipe.parameters(tokenizer.vocab_size),
        tokens=recipe.tokens,
        seconds=run.seconds,
        files={path: None},
    )
