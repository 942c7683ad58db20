"""Step `train`: one per mixture. Key: {content: weight} without zeros, recipe, tokenizer, seed (in the recipe).

A proxy that diverges has a result too, which says so: it would diverge again.
"""

from olmix_core.errors import DivergenceError
from olmix_core.store import Store
from olmix_core.worker import is_trained, proxy_folder
from olmix_core.workers import workers
from tasks import progress
from tasks.step import Payload, Result, step
from tasks.tokenizer import tokenizer_path


@step("train", code_version=1)
def train(
    payload: Payload, store: str, *, label: str, corpora: dict[str, str], timeout_hours: float | None = None
) -> Result:
    """Train a proxy in a process of its own. `corpora` is where the tokens of each leaf lie."""
    key = train.key(payload)
    job = {
        "do": "train",
        "store": store,
        "key": key,
        "mixture": payload["mixture"],
        "recipe": payload["recipe"],
        "attempt": payload.get("attempt", 0),
        "tokenizer": tokenizer_path(payload["tokenizer"]),
        "corpora": {leaf: corpora[leaf] for leaf in payload["mixture"]},
    }
    opened = Store(store)
    if is_trained(opened, key):
        # Trained, but its step was killed before it could say so.
        run = opened.read_json(f"{proxy_folder(key)}/run.json")
    else:
        tracked = progress.current()
        try:
            run = workers.run(job, lambda state: tracked.advanced("train", label, state), timeout_hours)
        except DivergenceError as error:
            return {"proxy": key, "diverged": str(error)}
        finally:
            tracked.left("train", label)
    return {
        "proxy": key,
        "parameters": run["parameters"],
        "tokens": sum(run["tokens"].values()),
        "seconds": run["seconds"],
        "loss": run["losses"][-1][1],
    }
