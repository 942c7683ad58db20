"""Mixtures written out for trainers that are not ours: one file per mixture, in the formats that are in use.

    olmix      the published tool's launch configuration (YAML): sources, topics, nested weights
    olmo-core  a source mixture for OLMo-core (YAML): paths with target_ratio
    megatron   a blend for Megatron's --data-path: weight and prefix, over and over
    json       all that is known of a mixture and its domains

Beside them `ratios.csv`, as the published tool writes it: run, name, index, and a weight per leaf. Results are read
back by these names of runs.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.errors import DataError
from olmix_core.storage.filesystem import filesystem


def write_swarm(
    output: Path,
    kind: str,
    mixtures: Sequence[Mapping[str, float]],
    domains: DomainSet,
    recipe: ProxyRecipe,
    *,
    name: str,
    repetition: float,
    template: Mapping[str, Any] | None = None,
) -> list[Path]:
    """Write every mixture to `output`, and ratios.csv; returns the files of the mixtures.

    `template` holds the fields of a launch configuration, which for the published tool's format come before ours.

    Raises:
        DataError: a domain cannot be said in this format.
    """
    output.mkdir(parents=True, exist_ok=True)
    files = []
    for number, mixture in enumerate(mixtures):
        run = f"{name}-{number:03d}"
        if kind == "olmix":
            suffix, content = "yaml", _yaml({**(template or {}), **launch(run, mixture, domains, repetition)})
        elif kind == "olmo-core":
            suffix, content = "yaml", _yaml(olmo_core(mixture, domains, recipe, repetition))
        elif kind == "megatron":
            suffix, content = "txt", megatron(mixture, domains)
        else:
            suffix, content = "json", json.dumps(as_json(run, mixture, domains, recipe), indent=1) + "\n"
        files.append(output / f"{run}.{suffix}")
        files[-1].write_text(content, encoding="utf-8")
    leaves = sorted(domains.leaves, key=lambda leaf: leaf.label)
    rows = []
    for number, mixture in enumerate(mixtures):
        weights = {leaf.label: mixture.get(leaf.fingerprint, 0.0) for leaf in leaves}
        rows.append({"run": f"{name}-{number:03d}", "name": name, "index": number, **weights})
    pd.DataFrame(rows).to_csv(output / "ratios.csv", index=False, lineterminator="\n")
    return files


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=10_000)


def _weighted(mixture: Mapping[str, float], domains: DomainSet) -> list[tuple[Leaf, float]]:
    """The leaves of a mixture with their weights, by label; those without weight are left out."""
    leaves = sorted(domains.leaves, key=lambda leaf: leaf.label)
    return [(leaf, mixture[leaf.fingerprint]) for leaf in leaves if mixture.get(leaf.fingerprint, 0.0) > 0]


def launch(run: str, mixture: Mapping[str, float], domains: DomainSet, repetition: float) -> dict[str, Any]:
    """name, data and mix of a launch configuration: a weight is a share of what is one level above."""
    levels = ("topics", "quality")
    tree: dict[str, Any] = {}
    for leaf, weight in _weighted(mixture, domains):
        *above, last = leaf.label.split(":")
        node = tree
        for part in above:
            node = node.setdefault(part, {})
        node[last] = (leaf, weight)

    def total(node: Any) -> float:
        return node[1] if isinstance(node, tuple) else sum(total(child) for child in node.values())

    def data(name: str, node: Any, depth: int) -> dict[str, Any]:
        if isinstance(node, tuple):
            return {"name": name, "paths": [file.url for file in node[0].files]}
        return {"name": name, levels[depth]: [data(child, below, depth + 1) for child, below in node.items()]}

    def mix(node: dict[str, Any]) -> dict[str, Any]:
        whole = total(node)
        return {
            name: {"weight": total(below) / whole, "repetition_factor": repetition}
            if isinstance(below, tuple)
            else {"weight": total(below) / whole, **mix(below)}
            for name, below in node.items()
        }

    return {"name": run, "data": {"sources": [data(name, node, 0) for name, node in tree.items()]}, "mix": mix(tree)}


def olmo_core(
    mixture: Mapping[str, float], domains: DomainSet, recipe: ProxyRecipe, repetition: float
) -> dict[str, Any]:
    """The fields of OLMo-core's SourceMixtureDatasetConfig."""
    sources = [
        {
            "source_name": leaf.label,
            "target_ratio": weight,
            "max_repetition_ratio": repetition,
            "paths": [file.url for file in leaf.files],
        }
        for leaf, weight in _weighted(mixture, domains)
    ]
    return {"source_list": {"sources": sources}, "requested_tokens": recipe.tokens, "seed": recipe.seed}


def megatron(mixture: Mapping[str, float], domains: DomainSet) -> str:
    """Weight and prefix of every file; a leaf's weight is shared by size. Raises DataError."""
    parts = []
    for leaf, weight in _weighted(mixture, domains):
        if any(file.index is None for file in leaf.files):
            raise DataError(
                f"domain {leaf.label!r}: found files that are not Megatron's; expected .bin with .idx beside"
            )
        sizes = {file.url: size_of(file.url) for file in leaf.files}
        for url, size in sizes.items():
            prefix = url.removeprefix("file://").removesuffix(".bin")
            parts.append(f"{weight * size / sum(sizes.values()):.12g} {prefix}")
    return " ".join(parts) + "\n"


def size_of(url: str) -> int:
    """Bytes of a file."""
    fs, path = filesystem(url)
    return int(fs.size(path))


def as_json(run: str, mixture: Mapping[str, float], domains: DomainSet, recipe: ProxyRecipe) -> dict[str, Any]:
    """All that is known: weights by label, paths and content of every domain, the recipe."""
    return {
        "name": run,
        "weights": {leaf.label: weight for leaf, weight in _weighted(mixture, domains)},
        "tokens": recipe.tokens,
        "seed": recipe.seed,
        "recipe": recipe.identity(),
        "domains": [
            {
                "label": leaf.label,
                "content": leaf.fingerprint,
                "weight": weight,
                "files": [
                    {"path": file.url.removeprefix("file://"), "reader": file.reader, "dtype": file.dtype}
                    for file in leaf.files
                ],
            }
            for leaf, weight in _weighted(mixture, domains)
        ],
    }
