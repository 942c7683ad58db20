"""Names of domains, nodes and groups become sets of leaves; a last mix becomes a reference."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from olmix_core.config.load import load_config
from olmix_core.data.domains import read_domains
from olmix_core.errors import ConfigError
from olmix_core.planning.bounds import previous_as_reference, read_bounds
from olmix_core.storage.content_index import ContentIndex

TREE = [
    {"name": "web", "topics": [{"name": "manual", "paths": "manual.jsonl"}, {"name": "guide", "paths": "guide.jsonl"}]},
    {"name": "code", "paths": "code.jsonl"},
]


def wanted(project: Callable[..., Path], **proposal: Any) -> tuple[Any, dict[str, str]]:
    path = project(domains=TREE, evaluation={"tasks": [{"heldout": "code"}]}, proposal=proposal)
    config, index = load_config(path), ContentIndex()
    try:
        domains = read_domains(config, str(path), index)
        return read_bounds(config, str(path), domains), {label: leaf for leaf, label in domains.labels.items()}
    finally:
        index.close()


def test_leaves_nodes_and_groups(project: Callable[..., Path]) -> None:
    bounds = {"code": [0.1, 0.5], "web": [0.2, 0.9], "prose": [0.0, 0.4], "both": [0.3, 1.0]}
    groups = {"prose": ["web:guide"], "both": ["web", "code"]}
    found, leaf = wanted(project, bounds=bounds, groups=groups)
    by_name = dict(zip(found.names, found.bounds, strict=True))
    assert set(by_name["web"].leaves) == {leaf["web:manual"], leaf["web:guide"]}
    assert set(by_name["both"].leaves) == set(leaf.values())
    assert by_name["prose"].leaves == (leaf["web:guide"],)
    assert (by_name["code"].low, by_name["code"].high) == (0.1, 0.5)
    assert [bound.leaves for bound in found.bounds] == sorted(bound.leaves for bound in found.bounds)


@pytest.mark.parametrize(
    ("proposal", "words"),
    [
        ({"bounds": {"wiki": [0, 1]}}, ("proposal.bounds.wiki", "'wiki'", "web:guide")),
        ({"bounds": {"g": [0, 1]}, "groups": {"g": ["wiki"]}}, ("proposal.bounds.g", "'wiki'")),
        ({"groups": {"web": ["code"]}}, ("proposal.groups.web", "another name")),
        ({"bounds": {"code": [0.5, 0.1]}}, ("0.5, 0.1", "low <= high")),
        ({"reference": {"code": 1.0}}, ("proposal.reference.web:guide", "nothing", "a weight for each")),
        ({"reference": {"code": 1.0, "web:guide": 1, "web:manual": 1, "x": 1}}, ("reference.x", "not there")),
    ],
)
def test_names_that_are_not_there(project: Callable[..., Path], proposal: Any, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        wanted(project, **proposal)
    for word in words:
        assert word in str(caught.value)


def test_a_reference_spelt_out_is_scaled(project: Callable[..., Path]) -> None:
    found, leaf = wanted(project, reference={"code": 2, "web:guide": 1, "web:manual": 1})
    assert found.reference == {leaf["code"]: 0.5, leaf["web:guide"]: 0.25, leaf["web:manual"]: 0.25}


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4), st.floats(0.01, 0.5))
def test_the_last_mix_as_a_reference(old: list[float], new_share: float) -> None:
    """a stays, b is revised to b2, c is split into c1 and c2, d is gone, e is new."""
    old[0] += 0.1
    weights = {name: value / sum(old) for name, value in zip("abcd", old, strict=True)}
    splits = {"c": {"c1": 0.25, "c2": 0.75}}
    rest = (1 - new_share) / 4
    natural = {"a": rest, "b2": rest, "c1": rest, "c2": rest, "e": new_share}
    found = previous_as_reference(weights, {"b2": "b"}, splits, natural)
    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) > 0
    assert found["e"] == pytest.approx(new_share)
    past = {leaf: (found[leaf] - 0.01 * natural[leaf]) / 0.99 for leaf in ("a", "b2", "c1", "c2")}
    assert past["c2"] == pytest.approx(3 * past["c1"], abs=1e-9)
    assert past["a"] * weights["b"] == pytest.approx(past["b2"] * weights["a"], abs=1e-9)
