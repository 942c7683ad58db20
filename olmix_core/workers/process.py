"""A process that trains and evaluates proxies on request, on one thread.

Two processes of one thread train far more than one process of two threads; and a process can be killed. It reads one
job a line, as JSON, from standard input, and answers with lines of JSON: {"progress"}, then {"result"} or {"error"}.
It stays for further jobs, since importing torch takes longer than many an evaluation, and ends with its input, in the
middle of a job too: nobody waits for the answer any more.
"""

import dataclasses
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from queue import SimpleQueue
from typing import Any

import numpy as np
import torch

from olmix_core import errors
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus, open_corpus
from olmix_core.data.documents import text_documents
from olmix_core.data.input_file import InputFile
from olmix_core.data.tasks import read_items, sampled
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.proxies.checkpoints import SECONDS, Checkpoints
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.scoring import bpb_of_heldout, bpb_of_items, bpb_of_text, finite
from olmix_core.proxies.scoring_cost import seconds_for
from olmix_core.proxies.training import Progress, best_device, train
from olmix_core.storage.integrity import load_tensors, save_tensors
from olmix_core.storage.layout import proxy_checkpoint_path, proxy_model_path, proxy_run_path
from olmix_core.storage.store import Store

Job = dict[str, Any]


@lru_cache(maxsize=4)
def _tokenizer(store_url: str, path: str) -> Tokenizer:
    return Tokenizer.from_json(Store(store_url).read_json(path))


@lru_cache(maxsize=1024)
def _corpus(store_url: str, folder: str, dtype: str) -> Corpus:
    return open_corpus(Store(store_url), folder, np.dtype(dtype))


@lru_cache(maxsize=1)
def _model(store_url: str, key: str, recipe: ProxyRecipe, vocab_size: int) -> Transformer:
    model = Transformer(recipe, vocab_size)
    store, path = Store(store_url), proxy_model_path(key)
    arrays = load_tensors(store.local_copy(path), store.place(path))
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model.to(best_device()).eval()


def train_job(job: Job, progress: Progress) -> dict[str, Any]:
    """Train the proxy `job["key"]` on `job["mixture"]` and save it in the store; returns run.json.

    One that was killed goes on from its last checkpoint, at most `checkpoint_seconds` back.
    """
    store, recipe = Store(job["store"]), ProxyRecipe.model_validate(job["recipe"])
    tokenizer = _tokenizer(job["store"], job["tokenizer"])
    corpora = {leaf: _corpus(job["store"], job["corpora"][leaf], tokenizer.dtype.name) for leaf in job["mixture"]}
    key = job["key"]
    checkpoints = Checkpoints(store, proxy_checkpoint_path(key), job.get("checkpoint_seconds", SECONDS))
    trained = train(
        job["mixture"],
        corpora,
        recipe,
        tokenizer.vocab_size,
        progress,
        attempt=job.get("attempt", 0),
        checkpoints=checkpoints,
    )
    with store.new_file(proxy_model_path(key)) as path:
        weights = trained.model.state_dict().items()
        save_tensors({name: tensor.detach().cpu().contiguous().numpy() for name, tensor in weights}, path)
    run = {
        "key": key,
        "mixture": job["mixture"],
        "recipe": job["recipe"],
        **{f.name: getattr(trained, f.name) for f in dataclasses.fields(trained) if f.name != "model"},
        "torch": torch.__version__,
    }
    store.write_json(proxy_run_path(key), run)
    checkpoints.remove()
    return run


def evaluate_job(job: Job, progress: Progress) -> dict[str, Any]:
    """BPB of the proxy `job["key"]` on one task: a JSONL `file`, plain `texts`, or the held-out text of `corpora`."""
    recipe = ProxyRecipe.model_validate(job["recipe"])
    tokenizer = _tokenizer(job["store"], job["tokenizer"])
    model = _model(job["store"], job["key"], recipe, tokenizer.vocab_size)
    if job["file"] is not None:
        items = list(read_items(job["file"]))
        sample = tuple(job["sample"]) if job.get("sample") else None
        chosen, population = sampled(items, sample), len(items) if sample else None
        score = bpb_of_items(model, tokenizer, chosen, recipe.sequence_length, population)
    elif job.get("texts"):
        documents = (text for file in job["texts"] for text in text_documents(InputFile(**file)))
        score = bpb_of_text(model, tokenizer, documents, recipe.sequence_length)
    else:
        corpora = [_corpus(job["store"], folder, tokenizer.dtype.name) for folder in job["corpora"]]
        score = bpb_of_heldout(model, tokenizer, corpora, recipe.sequence_length)
    finite(score.bpb, job["key"], job["label"])
    return {name: value for name, value in dataclasses.asdict(score).items() if value is not None}


def forecast_job(job: Job, progress: Progress) -> dict[str, Any]:
    """Seconds that evaluating the proxy `job["key"]` on the JSONL `file` will take."""
    recipe = ProxyRecipe.model_validate(job["recipe"])
    tokenizer = _tokenizer(job["store"], job["tokenizer"])
    model = _model(job["store"], job["key"], recipe, tokenizer.vocab_size)
    started = time.monotonic()
    items = sampled(list(read_items(job["file"])), tuple(job["sample"]) if job["sample"] else None)
    reading = time.monotonic() - started
    return {"seconds": reading + seconds_for(model, tokenizer, items, recipe.sequence_length)}


JOBS: dict[str, Callable[[Job, Progress], dict[str, Any]]] = {
    "train": train_job,
    "evaluate": evaluate_job,
    "forecast": forecast_job,
}


def main() -> None:
    # Answers go through a descriptor of their own: nothing that a library prints can get between them.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)

    def answer(kind: str, value: Any) -> None:
        answers.write(json.dumps({kind: value}) + "\n")
        answers.flush()

    jobs: SimpleQueue[Job] = SimpleQueue()

    def read() -> None:
        for line in sys.stdin:
            jobs.put(json.loads(line))
        os._exit(0)

    threading.Thread(target=read, daemon=True).start()
    while True:
        job = jobs.get()
        try:
            result = JOBS[job["do"]](job, lambda state: answer("progress", state))
        except errors.OlmixError as error:
            if isinstance(error, errors.DamageError):
                Store(job["store"]).set_aside(error)
                error = errors.StoreError(str(error))
            answer("error", {"kind": type(error).__name__, "message": str(error)})
        else:
            answer("result", result)


if __name__ == "__main__":
    main()
