"""Mixtures for other trainers: weights, paths and names survive each format."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.domains import DomainSet, Leaf
from olmix_core.data.input_file import InputFile
from olmix_core.errors import DataError
from olmix_core.interop.export import export_mixtures
from olmix_core.interop.exporters import MIXTURE_EXPORTERS, SwarmExport
from olmix_core.interop.exporters.mixtures.megatron import blend
from olmix_core.interop.exporters.mixtures.olmo_core import source_mixture
from olmix_core.interop.exporters.mixtures.published import launch_configuration

LABELS = ("web:sports:high", "web:sports:low", "web:science", "code", "wiki")


def leaf(label: str, *urls: str, index: bool = False) -> Leaf:
    files = tuple(InputFile(url, "tokens npy", index=f"{url[:-4]}.idx" if index else None) for url in urls)
    return Leaf(label, f"content of {label}", files, 1, (), label, 1.0)


DOMAINS = DomainSet(tuple(leaf(label, f"s3://data/{label.replace(':', '/')}.npy") for label in LABELS))
MIXTURE = {f"content of {label}": w for label, w in zip(LABELS, (0.1, 0.2, 0.3, 0.4, 0.0), strict=True)}
RECIPE = ProxyRecipe()


def swarm_of(*mixtures: Mapping[str, float], domains: DomainSet = DOMAINS, **template: Any) -> SwarmExport:
    return SwarmExport("first", mixtures, domains, RECIPE, 4.0, template)


def effective(mix: dict[str, Any], data: Sequence[dict[str, Any]]) -> dict[str, float]:
    """{path: weight} as a reader of a launch configuration multiplies it out, written independently."""
    weights = {}
    for node in data:
        entry = mix[node["name"]]
        if "paths" in node:
            weights[node["paths"][0]] = entry["weight"]
        else:
            inside = {k: v for k, v in entry.items() if k not in ("weight", "repetition_factor")}
            below = effective(inside, node.get("topics") or node["quality"])
            weights |= {path: weight * entry["weight"] for path, weight in below.items()}
    return weights


@given(st.lists(st.integers(0, 50), min_size=5, max_size=5).filter(any))
def test_nested_weights_multiply_to_the_mixture(parts: list[int]) -> None:
    mixture = {f"content of {label}": part / sum(parts) for label, part in zip(LABELS, parts, strict=True) if part}
    launch = launch_configuration(swarm_of(mixture), 0)
    assert launch["name"] == "first-000"
    weights = effective(launch["mix"], launch["data"]["sources"])
    expected = {f"s3://data/{label.replace(':', '/')}.npy": mixture.get(f"content of {label}", 0) for label in LABELS}
    assert weights == pytest.approx({path: weight for path, weight in expected.items() if weight})


def test_launch_configuration_nests_weights() -> None:
    launch = launch_configuration(swarm_of(MIXTURE), 0)
    assert launch["mix"]["code"] == {"weight": pytest.approx(0.4), "repetition_factor": 4.0}
    assert launch["mix"]["web"]["weight"] == pytest.approx(0.6)
    assert launch["mix"]["web"]["sports"]["weight"] == pytest.approx(0.5)
    assert launch["mix"]["web"]["sports"]["low"] == {"weight": pytest.approx(2 / 3), "repetition_factor": 4.0}
    [web] = [source for source in launch["data"]["sources"] if source["name"] == "web"]
    assert [topic["name"] for topic in web["topics"]] == ["science", "sports"]
    assert [bucket["name"] for bucket in web["topics"][1]["quality"]] == ["high", "low"]
    assert "wiki" not in launch["mix"]


def test_olmo_core_gets_ratios_and_paths() -> None:
    mixture = source_mixture(swarm_of(MIXTURE), 0)
    sources = mixture["source_list"]["sources"]
    assert {source["source_name"]: source["target_ratio"] for source in sources} == {
        label: MIXTURE[f"content of {label}"] for label in LABELS[:4]
    }
    assert (mixture["requested_tokens"], mixture["seed"]) == (262_144, 0)
    assert sources[0]["paths"] == ["s3://data/code.npy"]


def test_megatron_shares_a_weight_by_size(tmp_path: Path) -> None:
    for name, size in (("a", 300), ("b", 100), ("c", 7)):
        (tmp_path / f"{name}.bin").write_bytes(b"x" * size)
    both = leaf("both", f"file://{tmp_path}/a.bin", f"file://{tmp_path}/b.bin", index=True)
    domains = DomainSet((both, leaf("c", f"file://{tmp_path}/c.bin", index=True)))
    words = blend(swarm_of({"content of both": 0.4, "content of c": 0.6}, domains=domains), 0).split()
    assert [float(word) for word in words[::2]] == pytest.approx([0.3, 0.1, 0.6])
    assert words[1::2] == [f"{tmp_path}/{name}" for name in "abc"]
    with pytest.raises(DataError, match="domain 'code': found files that are not Megatron's"):
        blend(swarm_of(MIXTURE), 0)


@pytest.mark.parametrize("kind", sorted(MIXTURE_EXPORTERS.keys() - {"megatron"}))
def test_one_file_per_mixture_and_a_table_of_all(kind: str, tmp_path: Path) -> None:
    natural = dict.fromkeys(MIXTURE, 0.2)
    template: dict[str, Any] = {"name": "another", "infra": {"cluster": "mine"}, "mix": {"x": 1}}
    files = export_mixtures(tmp_path, MIXTURE_EXPORTERS[kind], swarm_of(MIXTURE, natural, **template))
    assert [path.stem for path in files] == ["first-000", "first-001"]
    text = files[0].read_text()
    content = json.loads(text) if kind == "json" else yaml.safe_load(text)
    if kind == "olmix":
        assert (content["name"], content["infra"]) == ("first-000", {"cluster": "mine"})
        assert "x" not in content["mix"]
    if kind == "json":
        assert content["weights"] == {label: MIXTURE[f"content of {label}"] for label in sorted(LABELS[:4])}
        assert content["recipe"] == RECIPE.identity()
        assert {domain["content"] for domain in content["domains"]} == {f"content of {label}" for label in LABELS[:4]}
    ratios = pd.read_csv(tmp_path / "ratios.csv")
    assert ratios["run"].tolist() == ["first-000", "first-001"]
    assert list(ratios)[:3] == ["run", "name", "index"]
    np.testing.assert_allclose(ratios[list(LABELS)].sum(axis=1), 1.0)
    assert ratios.loc[0, "web:sports:low"] == 0.2
