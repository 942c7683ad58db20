"""Real text to train proxies on, outside any flow: the quickstart's domains, or a configuration's.

A proxy of any mixture and seed, measured on the held-out text of every domain and on further tasks.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from olmix_core.config.evaluation import Task
from olmix_core.config.load import load_config, read_task_list
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.tasks import TaskSource
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import train_tokenizer
from olmix_core.mixture import Array, natural
from olmix_core.planning.preflight import resolve_inputs
from olmix_core.planning.swarm import SwarmSpace, sample_swarm
from olmix_core.storage.store import Store
from olmix_core.workers.jobs import EvaluateJob, ProxyReference, TrainJob
from olmix_core.workers.pool import at_once, worker_pool

QUICKSTART = Path(__file__).parent.parent / "examples" / "quickstart"


def tasks_of(path: Path | None, sample: int) -> list[Task]:
    """The tasks of a list, `sample` documents of each; without one the quickstart's."""
    if path is None:
        return [Task(file=str(file)) for file in sorted((QUICKSTART / "data" / "tasks").glob("*.jsonl"))]
    return read_task_list(Task.model_validate({"list": str(path), "sample": sample}), path, "(file)")


class Laboratory:
    """The text of the configuration at `config` in a store in `folder`, and the tasks to measure proxies on.

    leaves [m] and tasks [T] are names; tokens [m] what each leaf holds, natural [m] its share of them.
    """

    def __init__(self, folder: str, config: Path, listed: Sequence[Task], recipe: Mapping[str, float]) -> None:
        self._folder, self._recipe, self._config = folder, recipe, load_config(config)
        inputs = resolve_inputs(self._config, str(config))
        store, leaves = Store(folder), inputs.domains.leaves
        tokenizer = train_tokenizer([leaf.files for leaf in leaves], inputs.vocab_size)
        store.write_json("tokenizer.json", tokenizer.to_json())
        corpora = {leaf.fingerprint: f"tokens/{leaf.fingerprint}" for leaf in leaves}
        counts = [tokenise(leaf.files, tokenizer, store, corpora[leaf.fingerprint]).available for leaf in leaves]
        self._corpora = corpora
        self.leaves = tuple(leaf.label for leaf in leaves)
        self.tokens = np.array(counts, dtype=np.float64)
        self.natural = natural(counts)
        self._tasks: dict[str, tuple[TaskSource, tuple[str, ...]]] = {
            f"heldout {leaf.label}": (TaskSource(), (corpora[leaf.fingerprint],)) for leaf in leaves
        }
        for task in listed:
            sample = (task.sample, task.sample_seed) if task.sample else None
            self._tasks[task.label] = (TaskSource(file=str(task.file), sample=sample), ())
        self.tasks = tuple(self._tasks)
        self._trained = 0  # mixtures, in earlier calls of `measure`

    def swarm(self, count: int, seed: int | None = None) -> Array:
        """[count, m] mixtures as the configuration's swarm draws them, under another `seed` if one is given."""
        settings = self._config.swarm.sampling
        if seed is not None:
            settings = replace(settings, seed=seed)
        ones = np.ones(len(self.leaves))
        return sample_swarm(count, SwarmSpace(self.natural, np.eye(len(ones)), 0 * ones, ones), settings)

    def measure(
        self, mixtures: Array, seeds: Sequence[int], recipe: Mapping[str, float] | None = None
    ) -> tuple[Array, list[float]]:
        """BPB [n, seeds, T] of proxies trained on `mixtures` [n, m], and the seconds that each of them took.

        `recipe` holds fields in place of those of the laboratory.
        """
        chosen = self._recipe if recipe is None else recipe

        def run(job: tuple[int, int]) -> tuple[float, list[float]]:
            number, seed = job
            identity = ProxyRecipe.model_validate({"seed": seed, **chosen}).identity()
            proxy = ProxyReference(self._folder, f"{self._trained + number}-{seed}", identity, "tokenizer.json")
            weights = zip(self._corpora, mixtures[number].tolist(), strict=True)
            mixture = {leaf: weight for leaf, weight in weights if weight > 0}
            seconds = worker_pool.run(TrainJob(proxy, mixture, self._corpora)).training.seconds
            bpb = [
                worker_pool.run(EvaluateJob(proxy, name, source, corpora)).bpb
                for name, (source, corpora) in self._tasks.items()
            ]
            print(f"mixture {number}, seed {seed}: {seconds:.1f} s", flush=True)
            return seconds, bpb

        jobs = [(number, seed) for number in range(len(mixtures)) for seed in seeds]
        with ThreadPoolExecutor(at_once()) as pool:
            found = list(pool.map(run, jobs))
        worker_pool.close()
        self._trained += len(mixtures)
        bpb = np.array([scores for _, scores in found]).reshape(len(mixtures), len(seeds), len(self.tasks))
        return bpb, [seconds for seconds, _ in found]
