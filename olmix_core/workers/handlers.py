"""What a worker process does for each kind of job."""

import time
from functools import lru_cache, singledispatch
from typing import Any

import numpy as np
import torch

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import Corpus, open_corpus
from olmix_core.data.documents import text_documents
from olmix_core.data.tasks import read_items, sampled
from olmix_core.data.tokenizer import Tokenizer
from olmix_core.proxies.checkpoints import SECONDS, Checkpoints
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.results import Progress, ProxyRun, Score
from olmix_core.proxies.scoring import check_finite, score_heldout, score_items, score_text
from olmix_core.proxies.scoring_cost import estimate_seconds
from olmix_core.proxies.sequences import Sequences
from olmix_core.proxies.training import best_device, train
from olmix_core.serialization import JsonRecord
from olmix_core.storage.integrity import load_tensors, save_tensors
from olmix_core.storage.layout import proxy_checkpoint_path, proxy_model_path, proxy_run_path
from olmix_core.storage.store import Store
from olmix_core.workers.jobs import EvaluateJob, EvaluationEstimate, ForecastJob, Job, ProxyReference, TrainJob


@singledispatch
def handle(job: Job[Any], progress: Progress) -> JsonRecord:
    """Carry out a job.

    Args:
        job: The job.
        progress: Called from time to time while a proxy is trained.

    Returns:
        The result, of the type `job.result_type`.

    Raises:
        OlmixError: If the job fails for a reason that a user can cause or mend.
    """
    raise NotImplementedError(f"a job of type {type(job).__name__}")


@handle.register
def _train(job: TrainJob, progress: Progress) -> ProxyRun:
    """Train the proxy and save it; run.json is written last. A killed training goes on from its last checkpoint."""
    proxy, store = job.proxy, Store(job.proxy.store)
    recipe, tokenizer = ProxyRecipe.model_validate(proxy.recipe), _tokenizer(proxy.store, proxy.tokenizer)
    corpora = {
        leaf: _corpus(proxy.store, job.corpora[leaf], tokenizer.dtype.name, job.exclusions.get(leaf))
        for leaf in job.mixture
    }
    seconds = SECONDS if job.checkpoint_seconds is None else job.checkpoint_seconds
    checkpoints = Checkpoints(store, proxy_checkpoint_path(proxy.key), seconds)
    sequences = Sequences(job.mixture, corpora, recipe, job.attempt)
    trained = train(sequences, recipe, tokenizer.vocab_size, progress, checkpoints)
    with store.new_file(proxy_model_path(proxy.key)) as path:
        weights = trained.model.state_dict().items()
        save_tensors({name: tensor.detach().cpu().contiguous().numpy() for name, tensor in weights}, path)
    run = ProxyRun(proxy.key, job.mixture, proxy.recipe, trained.training, torch.__version__)
    store.write_json(proxy_run_path(proxy.key), run.to_json())
    checkpoints.remove()
    return run


@handle.register
def _evaluate(job: EvaluateJob, _progress: Progress) -> Score:
    recipe, tokenizer, model = _open(job.proxy)
    source = job.source
    if source.file is not None:
        items = list(read_items(source.file))
        population = len(items) if source.sample else None
        score = score_items(model, tokenizer, sampled(items, source.sample), recipe.sequence_length, population)
    elif source.texts:
        documents = (text for file in source.texts for text in text_documents(file))
        score = score_text(model, tokenizer, documents, recipe.sequence_length)
    else:
        corpora = [_corpus(job.proxy.store, folder, tokenizer.dtype.name) for folder in job.corpora]
        score = score_heldout(model, tokenizer, corpora, recipe.sequence_length)
    check_finite(score.bpb, job.proxy.key, job.label)
    return score


@handle.register
def _forecast(job: ForecastJob, _progress: Progress) -> EvaluationEstimate:
    assert job.source.file is not None  # other tasks are read whole and score quickly
    recipe, tokenizer, model = _open(job.proxy)
    started = time.monotonic()
    items = sampled(list(read_items(job.source.file)), job.source.sample)
    reading = time.monotonic() - started
    return EvaluationEstimate(reading + estimate_seconds(model, tokenizer, items, recipe.sequence_length))


def _open(proxy: ProxyReference) -> tuple[ProxyRecipe, Tokenizer, Transformer]:
    recipe, tokenizer = ProxyRecipe.model_validate(proxy.recipe), _tokenizer(proxy.store, proxy.tokenizer)
    return recipe, tokenizer, _model(proxy.store, proxy.key, recipe, tokenizer.vocab_size)


@lru_cache(maxsize=4)
def _tokenizer(store_url: str, path: str) -> Tokenizer:
    return Tokenizer.from_json(Store(store_url).read_json(path))


@lru_cache(maxsize=1024)
def _corpus(store_url: str, folder: str, dtype: str, exclusion: str | None = None) -> Corpus:
    return open_corpus(Store(store_url), folder, np.dtype(dtype), exclusion)


@lru_cache(maxsize=1)
def _model(store_url: str, key: str, recipe: ProxyRecipe, vocab_size: int) -> Transformer:
    model = Transformer(recipe, vocab_size)
    store, path = Store(store_url), proxy_model_path(key)
    arrays = load_tensors(store.local_copy(path), store.place(path))
    model.load_state_dict({name: torch.from_numpy(array) for name, array in arrays.items()})
    return model.to(best_device()).eval()
