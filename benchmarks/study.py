"""A study: what the proposed mixture is worth to a larger model, on fourteen domains of real text.

    make study               (an hour on two free cores, hours on shared ones)

1. `examples/study/fetch_corpus.py` fetches the text, where it is not there yet.
2. `olmix run examples/study/mix.yaml` finds the mixture.
3. A larger model (over three times the parameters and the tokens of the proxies) is trained on the natural and the
   proposed mixture (and the uniform one, with --uniform), with as many seeds as asked for, and measured: on the tasks
   of the configuration, on all of the paper's tasks, and on the held-out text of every domain.
4. What the law predicted beside what was measured: benchmarks/results/study.json, two figures in docs/studies, and the
   results in docs/studies/fourteen-domains.md.

Whatever is finished is kept in the store of the configuration: killed and started again, it goes on from there, a model
in training from its last checkpoint. Seeds are paired: with the same seed, models begin with the same weights and see
each domain's text in the same order, whatever the mixture.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.execution import prefect_settings

prefect_settings.prepare()

import numpy as np  # noqa: E402

from benchmarks import report, study_report  # noqa: E402
from olmix_core.config.config import Config  # noqa: E402
from olmix_core.config.evaluation import Task  # noqa: E402
from olmix_core.config.load import load_config, read_task_list  # noqa: E402
from olmix_core.config.recipe import ProxyRecipe  # noqa: E402
from olmix_core.data.tasks import TaskSource  # noqa: E402
from olmix_core.data.tokenisation import tokenise  # noqa: E402
from olmix_core.data.tokenizer import train_tokenizer  # noqa: E402
from olmix_core.identity import digest  # noqa: E402
from olmix_core.mixes.loading import load  # noqa: E402
from olmix_core.mixes.published_mix import PublishedMix  # noqa: E402
from olmix_core.mixes.record import as_mix  # noqa: E402
from olmix_core.planning.preflight import ResolvedInputs, resolve_inputs  # noqa: E402
from olmix_core.proxies.results import ProxyRun, load_run  # noqa: E402
from olmix_core.serialization import JsonRecord  # noqa: E402
from olmix_core.storage.layout import corpus_folder, proxy_folder, tokenizer_path  # noqa: E402
from olmix_core.storage.store import Store  # noqa: E402
from olmix_core.workers.jobs import EvaluateJob, ForecastJob, ProxyReference, TrainJob  # noqa: E402
from olmix_core.workers.pool import at_once, worker_pool  # noqa: E402
from tasks.steps.statistics import StatisticsPayload, statistics  # noqa: E402

ROOT = Path(__file__).parent.parent
STUDY = ROOT / "examples" / "study"
CONFIG = STUDY / "mix.yaml"
PAGE = ROOT / "docs" / "studies" / "fourteen-domains.md"
ALL_TASKS = STUDY / "data" / "tasks" / "olmix-52.yaml"
ALL_SAMPLE = 24  # documents of each of the paper's tasks
# What differs from the proxies' recipe. The larger model sees all of every domain; how often it may repeat one is what
# `proposal.target_tokens` in the configuration, its tokens, says.
LARGER = {"layers": 4, "width": 144, "heads": 4, "learning_rate": 4e-3, "leaf_share": 1.0}
COMPARED = ("natural", "proposed")
PROBE_STEPS = 24


@dataclass(frozen=True)
class StudyTask(JsonRecord):
    """A task of the study: where its documents are, or the leaves whose held-out text it is."""

    source: TaskSource
    leaves: tuple[str, ...] = ()


def larger_recipe(config: Config, proxy: ProxyRecipe, seed: int) -> dict[str, Any]:
    """Identity of the larger model's recipe: as long as the target run, otherwise the proxies' with LARGER in it."""
    assert config.proposal.target_tokens is not None
    changes = {**LARGER, "tokens": int(config.proposal.target_tokens), "seed": seed}
    return ProxyRecipe.model_validate({**proxy.identity(), **changes}).identity()


def measured_tasks(inputs: ResolvedInputs, config: Config) -> dict[str, StudyTask]:
    """{label: task} of everything that the larger model is measured on.

    The tasks of the configuration by their labels, every domain's held-out text as "heldout:...", the paper's tasks as
    "olmes:...". `leaves` are the contents whose held-out text is meant.
    """
    tasks = {task.label: StudyTask(task.source, task.leaves) for task in inputs.tasks}
    for leaf in inputs.domains.leaves:
        tasks[f"heldout:{leaf.label}"] = StudyTask(TaskSource(), (leaf.fingerprint,))
    entry = Task.model_validate({"list": str(ALL_TASKS), "sample": ALL_SAMPLE})
    for task in read_task_list(entry, ALL_TASKS, "(file)"):
        assert task.sample is not None
        tasks[f"olmes:{task.label}"] = StudyTask(TaskSource(file=task.file, sample=(task.sample, 0)))
    return tasks


# How long it will take


def probe(inputs: ResolvedInputs, config: Config, tasks: Mapping[str, StudyTask], larger: int) -> float:
    """Hours that the study takes at the speed of this machine now: some steps of either model, some of their tasks.

    larger: how many larger models are trained.
    """
    leaf = min(inputs.domains.leaves, key=lambda leaf: sum(size for _, size, _ in leaf.contents))
    proxies = config.swarm.runs or 3 * (len(inputs.domains.leaves) + 1)
    models: dict[str, tuple[dict[str, Any], int, list[str]]] = {
        "proxy": (
            inputs.recipe.identity(),
            proxies,
            [task.label for task in inputs.tasks],
        ),
        "larger": (larger_recipe(config, inputs.recipe, 0), larger, list(tasks)),
    }
    cores, total = at_once(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        tokenizer = train_tokenizer([leaf.files], inputs.vocab_size)
        store.write_json("tokenizer.json", tokenizer.to_json())
        tokenise(leaf.files, tokenizer, store, "tokens")

        def seconds_of(name: str, number: int) -> float:
            recipe, _, labels = models[name]
            tokens = PROBE_STEPS * recipe["batch_size"] * recipe["sequence_length"]
            identity = {**recipe, "tokens": tokens, "leaf_share": 1.0}
            proxy = ProxyReference(folder, f"{name}-{number}", identity, "tokenizer.json")
            run = worker_pool.run(TrainJob(proxy, {leaf.fingerprint: 1.0}, {leaf.fingerprint: "tokens"}))
            training = run.training.seconds * recipe["tokens"] / tokens
            files = [tasks[label].source for label in labels if tasks[label].source.file]
            part = files[number % len(files) :: cores]  # the others forecast the rest
            seconds = [worker_pool.run(ForecastJob(proxy, source)).seconds for source in part]
            measuring = sum(seconds) * len(files) / len(part)
            return float(training + measuring)

        for name, (_, count, _) in models.items():
            with ThreadPoolExecutor(cores) as pool:  # all cores busy, as they will be
                seconds = sum(pool.map(seconds_of, [name] * cores, range(cores))) / cores
            total += count * seconds / cores
            print(f"{count} x {name}: about {seconds:.0f} s each to train and measure, {cores} at once", flush=True)
    worker_pool.close()
    return total / 3600


# The larger model


def mixtures_of(mix: PublishedMix) -> dict[str, dict[str, float]]:
    """{name: {label: weight}} of the mixtures that may be compared."""
    uniform = np.full(len(mix.leaves), 1 / len(mix.leaves))
    weights = {**mix.mixtures, "uniform": uniform}
    return {name: dict(zip(mix.leaves, one.tolist(), strict=True)) for name, one in weights.items()}


def train_and_measure(
    mix: PublishedMix, inputs: ResolvedInputs, config: Config, tasks: Mapping[str, StudyTask], name: str, seed: int
) -> dict[str, Any]:
    """Train the larger model on a mixture, unless that was done, and measure it; {mixture, seed, parameters, seconds,
    evaluation_seconds, bpb}.
    """
    store = Store(config.store)
    record = as_mix(mix.record, mix.title)
    tokenizer = record.tokenizer.fingerprint
    fingerprint = {label: leaf for leaf, label in record.labels.items()}
    folders = {leaf: corpus_folder(statistics.key(StatisticsPayload(leaf, tokenizer))) for leaf in fingerprint.values()}
    mixture = {fingerprint[label]: weight for label, weight in mixtures_of(mix)[name].items() if weight > 0}
    recipe = larger_recipe(config, inputs.recipe, seed)
    key = f"larger-{digest({'mixture': mixture, 'recipe': recipe, 'tokenizer': tokenizer})}"
    proxy = ProxyReference(store.url, key, recipe, tokenizer_path(tokenizer))
    run = load_run(store, key)
    if not isinstance(run, ProxyRun):
        run = worker_pool.run(TrainJob(proxy, mixture, folders))
    done = f"{proxy_folder(key)}/bpb-{digest({label: task.to_json() for label, task in tasks.items()})}.json"
    if not store.exists(done):
        started = time.monotonic()
        bpb = {
            label: worker_pool.run(
                EvaluateJob(proxy, label, task.source, tuple(folders[leaf] for leaf in task.leaves))
            ).bpb
            for label, task in tasks.items()
        }
        store.write_json(done, {"bpb": bpb, "seconds": time.monotonic() - started})
    measured = store.read_json(done)
    print(
        f"larger model on {name}, seed {seed}: {run.training.seconds:.0f} s, measured in {measured['seconds']:.0f} s",
        flush=True,
    )
    return {
        "mixture": name,
        "seed": seed,
        "parameters": run.training.parameters,
        "seconds": run.training.seconds,
        "evaluation_seconds": measured["seconds"],
        "bpb": measured["bpb"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="of the larger model; intervals need two")
    parser.add_argument("--uniform", action="store_true", help="train it on the uniform mixture too")
    parser.add_argument("--estimate", action="store_true", help="say how long it would take, and stop")
    arguments = parser.parse_args()
    if not ALL_TASKS.exists():
        subprocess.run([sys.executable, str(STUDY / "fetch_corpus.py")], check=True)
    compared = (*COMPARED, "uniform") if arguments.uniform else COMPARED
    config = load_config(CONFIG)
    inputs = resolve_inputs(config, str(CONFIG))
    tasks = measured_tasks(inputs, config)
    if arguments.estimate or not Store(config.store).exists("mixes"):
        print(f"about {probe(inputs, config, tasks, len(compared) * arguments.seeds):.1f} hours in all", flush=True)
    if arguments.estimate:
        return
    started = time.monotonic()
    subprocess.run([str(Path(sys.executable).parent / "olmix"), "run", str(CONFIG)], check=True)
    mix = load(config.store, config.name)
    jobs = [(name, seed) for seed in range(arguments.seeds) for name in compared]
    with ThreadPoolExecutor(at_once()) as pool:
        measured = list(pool.map(lambda job: train_and_measure(mix, inputs, config, tasks, *job), jobs))
    worker_pool.close()
    mixtures = {name: one for name, one in mixtures_of(mix).items() if name in compared}
    found = study_report.figures(mix, mixtures, measured)
    print(study_report.markdown(found))
    study_report.draw(found, PAGE.parent)
    study_report.write_page(found, PAGE)
    report.write("study", {**found, "seconds": time.monotonic() - started})


if __name__ == "__main__":
    main()
