"""Step `train`: one per mixture. Key: {content: weight} without zeros, recipe, tokenizer, seed (in the recipe).

A proxy that diverges has a result too, which says so: it would diverge again.
"""

import time
from typing import Any

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.errors import DivergenceError
from olmix_core.proxies.mixture_description import MixtureDescription
from olmix_core.proxies.results import CommandRun, ProxyRun, load_run
from olmix_core.storage.layout import proxy_model_path, proxy_run_path, tokenizer_path
from olmix_core.storage.store import Store
from olmix_core.workers.command import run_command
from olmix_core.workers.jobs import ProxyReference, TrainJob
from olmix_core.workers.pool import worker_pool
from tasks.runtime import progress
from tasks.runtime.step import Payload, Result, step


@step("train", code_version=1)
def train(
    payload: Payload,
    store: str,
    *,
    label: str,
    corpora: dict[str, str],
    timeout_hours: float,
    command: str | None = None,
    mixture: dict[str, Any] | None = None,
) -> Result:
    """Train a proxy in a process of its own. `corpora` is where the tokens of each leaf lie.

    A trainer of your own is run by `command`, and is given `mixture` (`MixtureDescription`).
    """
    key = train.key(payload)
    if command is not None and mixture is not None:
        return _by_command(payload, key, store, command, mixture, timeout_hours)
    job = TrainJob(
        proxy=ProxyReference(store, key, payload["recipe"], tokenizer_path(payload["tokenizer"])),
        mixture=payload["mixture"],
        corpora={leaf: corpora[leaf] for leaf in payload["mixture"]},
        attempt=payload.get("attempt", 0),
    )
    opened, model = Store(store), proxy_model_path(key)
    run = load_run(opened, key)
    if not isinstance(run, ProxyRun) or not opened.exists(model):  # else its step was killed before it could say so
        tracked = progress.current()
        try:
            run = worker_pool.run(job, lambda state: tracked.advanced("train", label, state), timeout_hours)
        except DivergenceError as error:
            return {"proxy": key, "diverged": str(error)}
        finally:
            tracked.left("train", label)
    return {
        "proxy": key,
        "parameters": run.parameters,
        "tokens": sum(run.tokens.values()),
        "seconds": run.seconds,
        "loss": run.losses[-1][1],
        "files": {proxy_run_path(key): None, model: None},
    }


def _by_command(
    payload: Payload, key: str, store: str, command: str, mixture: dict[str, Any], timeout_hours: float
) -> Result:
    opened, path = Store(store), proxy_run_path(key)
    run = load_run(opened, key)
    if not isinstance(run, CommandRun):
        started = time.monotonic()
        metrics = run_command(command, MixtureDescription.from_json(mixture), timeout_hours)
        run = CommandRun(key, payload["mixture"], payload["recipe"], metrics, time.monotonic() - started)
        opened.write_json(path, run.to_json())
    tokenizer = Tokenizer.from_json(opened.read_json(tokenizer_path(payload["tokenizer"])))
    recipe = ProxyRecipe.model_validate(payload["recipe"])
    parameters = recipe.parameters(tokenizer.vocab_size)
    return {
        "proxy": key,
        "parameters": parameters,
        "tokens": recipe.tokens,
        "seconds": run.seconds,
        "loss": None,
        "files": {path: None},
    }
