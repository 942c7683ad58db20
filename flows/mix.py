"""The flow: from domains of text to a published mixture, every step cached by what it depends on.

    tokenizer -> statistics (a leaf) -> plan -> swarm -> train (a mixture) -> evaluate (a proxy and a task)
              -> evidence -> fit -> propose -> publish

A step whose payload was seen before is not run again; so a change of the domain set, the tasks or the wishes runs
only what depends on it.
"""

import os
from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from olmix_core.config import Bytes, Config, TokenizerFile, TrainedBPE
from olmix_core.corpus import LeafStatistics
from olmix_core.mixture import natural as natural_mixture
from olmix_core.preflight import Inputs, check_statistics, look
from olmix_core.record import Mix, latest_version, read_mix
from olmix_core.store import Store
from olmix_core.surrogate import Surrogate
from tasks import progress
from tasks.evaluate import evaluate
from tasks.evidence import evidence
from tasks.fit import diagnostics_path, fit, surrogate_path
from tasks.plan import plan
from tasks.propose import propose
from tasks.publish import publish
from tasks.results import results_block
from tasks.statistics import corpus_folder, statistics
from tasks.swarm import swarm
from tasks.tokenizer import tokenizer, tokenizer_path
from tasks.train import train


def run_mix(config: Config, config_file: str, workers: int | None = None) -> dict[str, Any]:
    """Run the flow for `config` with as many proxies at once as `workers` says (by default, one per core).

    Returns mix.json of the published version. Raises OlmixError.
    """
    Store(config.store).preflight()
    runner: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=workers or os.cpu_count() or 1)
    configured = mix.with_options(task_runner=runner, result_storage=results_block(config.store))
    return configured(config, config_file)


@flow(name="mix", flow_run_name="{config.name}", persist_result=False, validate_parameters=False)
def mix(config: Config, config_file: str = "config") -> dict[str, Any]:
    """Propose and publish the mixture that `config` asks for."""
    store, opened = config.store, Store(config.store)
    inputs = look(config, config_file)
    domains, tasks = inputs.domains, inputs.tasks
    recipe = config.proxy.model_dump()

    tokens_by = _tokenizer(config, inputs, opened)
    counted = _statistics(inputs, tokens_by, store)
    check_statistics(config, config_file, inputs, counted)
    tokens = {leaf: one.available for leaf, one in counted.items()}
    natural = dict(zip(tokens, natural_mixture(list(tokens.values())).tolist(), strict=True))

    planned = plan.run(
        {
            "strategy": config.reuse.strategy,
            "tokens": tokens,
            "units": domains.units,
            "runs": config.swarm.runs,
        },
        store,
    )
    drawn = swarm.run(
        {
            "columns": planned["columns"],
            "natural": natural,
            "runs": planned["runs"],
            "settings": config.swarm.model_dump(exclude={"runs", "bounds"}),
            "bounds": {
                leaf.fingerprint: list(config.swarm.bounds[leaf.label])
                for leaf in domains.leaves
                if leaf.label in config.swarm.bounds
            },
        },
        store,
    )

    corpora = {leaf: corpus_folder(statistics.key({"content": leaf, "tokenizer": tokens_by})) for leaf in tokens}
    payloads = [{"mixture": mixture, "recipe": recipe, "tokenizer": tokens_by} for mixture in drawn["mixtures"]]
    trained = train.run_all(
        (payload, store, {"label": f"{number:03d}", "corpora": corpora}) for number, payload in enumerate(payloads)
    )
    measured = evaluate.run_all(
        (
            {"proxy": proxy["proxy"], "task": task.fingerprint},
            store,
            {
                "label": f"{number:03d} {task.label}",
                "recipe": recipe,
                "tokenizer": tokenizer_path(tokens_by),
                "file": task.file,
                "corpora": [corpora[leaf] for leaf in task.leaves],
            },
        )
        for number, proxy in enumerate(trained)
        for task in tasks
    )

    rows = []
    for number, (payload, proxy) in enumerate(zip(payloads, trained, strict=True)):
        of_proxy = measured[number * len(tasks) : (number + 1) * len(tasks)]
        rows.append(
            {
                "proxy": proxy["proxy"],
                "mixture": payload["mixture"],
                "bpb": {task.fingerprint: one["bpb"] for task, one in zip(tasks, of_proxy, strict=True)},
                "recipe": recipe,
                "tokenizer": tokens_by,
                "tokens": proxy["tokens"],
                "seconds": proxy["seconds"],
            }
        )
    said = [{name: row[name] for name in ("proxy", "mixture", "bpb")} for row in rows]
    recorded = evidence.run({"rows": sorted(said, key=lambda row: row["proxy"])}, store, rows=rows)
    fitted = fit.run(
        {
            "evidence": recorded["evidence"],
            "leaves": list(tokens),
            "tasks": [task.fingerprint for task in tasks],
            **config.surrogate.model_dump(),
        },
        store,
    )
    target_tokens = config.proposal.target_tokens or float(sum(tokens.values()))
    proposed = propose.run(
        {
            "fit": fitted["fit"],
            "columns": planned["columns"],
            "natural": natural,
            "tokens": tokens,
            "target_tokens": target_tokens,
            "repetition": config.proposal.repetition,
            "kl": config.proposal.kl,
            "task_weights": {task.fingerprint: task.weight for task in tasks},
        },
        store,
        labels=domains.labels,
    )
    proposal = Mix(
        name=config.name,
        domains=domains,
        tasks=tasks,
        statistics=counted,
        natural=natural,
        proposal=proposed,
        surrogate=Surrogate.from_json(opened.read_json(surrogate_path(fitted["fit"]))),
        diagnostics=opened.read_bytes(diagnostics_path(fitted["fit"])),
        plan=planned,
        target_tokens=target_tokens,
        tokenizer={"settings": _tokenizer_settings(config, inputs), "fingerprint": tokens_by},
        settings=config.model_dump(include={"proxy", "swarm", "surrogate", "proposal", "reuse"}),
        proxies=trained,
        evidence=recorded["evidence"],
    )
    accounting = progress.current().accounting()
    progress.current().expect("publish", 1)
    published = publish(proposal, store, accounting)
    progress.current().finished("publish")
    return published


def _tokenizer_settings(config: Config, inputs: Inputs) -> dict[str, Any]:
    """What the tokenizer is, apart from the domains it is trained on."""
    settings = config.tokenizer
    if isinstance(settings, TokenizerFile):
        return {"kind": settings.kind, "content": inputs.tokenizer_content, "eos": settings.eos}
    if isinstance(settings, Bytes):
        return {"kind": settings.kind}
    return {"kind": settings.kind, "vocab_size": settings.vocab_size}


def _tokenizer(config: Config, inputs: Inputs, store: Store) -> str:
    """The fingerprint of the tokenizer: that of the last version of this mix, where one was trained for it."""
    settings = _tokenizer_settings(config, inputs)
    if latest_version(store, config.name) is not None:
        frozen = read_mix(store, config.name)["tokenizer"]
        if frozen["settings"] == settings and store.exists(tokenizer_path(frozen["fingerprint"])):
            return str(frozen["fingerprint"])
    is_trained = isinstance(config.tokenizer, TrainedBPE)
    leaves = inputs.domains.leaves if is_trained else ()
    payload = {**settings, "leaves": [leaf.fingerprint for leaf in leaves]}
    made = tokenizer.run(
        payload,
        store.url,
        file=config.tokenizer.path if isinstance(config.tokenizer, TokenizerFile) else None,
        leaves=[[asdict(file) for file in leaf.files] for leaf in leaves],
    )
    return str(made["fingerprint"])


def _statistics(inputs: Inputs, tokenizer_fingerprint: str, store: str) -> dict[str, LeafStatistics]:
    """Statistics by leaf, in the order of the leaves."""
    results = statistics.run_all(
        (
            {"content": leaf.fingerprint, "tokenizer": tokenizer_fingerprint},
            store,
            {"label": leaf.label, "files": [asdict(file) for file in leaf.files]},
        )
        for leaf in inputs.domains.leaves
    )
    return {
        leaf.fingerprint: LeafStatistics(**result) for leaf, result in zip(inputs.domains.leaves, results, strict=True)
    }
