"""Proxies of other sizes on record, as anchors of a law."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.evidence import ledger
from olmix_core.evidence.anchors import anchors_on_record, read_anchors
from olmix_core.evidence.compatibility import Requirements
from olmix_core.evidence.rows import EvidenceRow, recipe_key
from olmix_core.storage.store import Store
from olmix_core.surrogate.scaling.scale import Scale

OWN = ProxyRecipe().identity()
LARGER = ProxyRecipe(layers=4, width=128).identity()
REQUIREMENTS = Requirements(recipe_key(OWN), "tok", 2, ["arc", "code"], ["web", "wiki"])
ANCHOR = EvidenceRow("p", {"web": 0.75, "wiki": 0.25}, {"arc": 1.0}, LARGER, "tok", "s", evaluation=2, tokens=500)
BASE = Scale(ProxyRecipe().parameters(0), ProxyRecipe().tokens or 0)
ATOMS = ("web", "wiki")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def chosen(store: Store, *rows: EvidenceRow) -> tuple[str, ...]:
    ledger.append(store, rows)
    return anchors_on_record(store, REQUIREMENTS, ATOMS, {}, BASE)


def test_proxies_of_another_recipe_are_anchors_and_those_of_the_swarm_are_not(store: Store) -> None:
    assert chosen(store, ANCHOR, replace(ANCHOR, proxy="own", recipe=OWN)) == (ANCHOR.id,)


@pytest.mark.parametrize(
    "change",
    [
        {"tokenizer": "other"},
        {"evaluation": 1},
        {"bpb": {"other": 1.0}},
        {"mixture": {"web": 0.5, "unknown": 0.5}},
        {"recipe": {"declared": "of no size"}},
        {"recipe": ProxyRecipe(learning_rate=1e-3).identity()},
    ],
)
def test_a_row_that_tells_nothing_of_the_law_is_no_anchor(store: Store, change: dict[str, Any]) -> None:
    assert chosen(store, replace(ANCHOR, **change)) == ()


def test_anchors_are_read_with_their_sizes_and_what_was_not_measured_is_missing(store: Store) -> None:
    declared: dict[str, str | float] = {"declared": "theirs", "parameters": 1e9, "tokens": 2e10}
    other = replace(ANCHOR, proxy="q", recipe=declared, mixture={"wiki": 1.0}, bpb={"code": 0.5}, tokens=None)
    rows = chosen(store, ANCHOR, other)
    anchors = read_anchors(store, ledger.pin(store, rows), ATOMS, {}, ("arc", "code"))
    assert anchors.X.tolist() == [[0.75, 0.25], [0.0, 1.0]]
    np.testing.assert_array_equal(anchors.Y, [[1.0, np.nan], [np.nan, 0.5]])
    assert [scale.tokens for scale in anchors.scales] == [500, 2e10]
    assert anchors.scales[0].parameters == ProxyRecipe(layers=4, width=128).parameters(0)
    assert anchors.scales[1].parameters == 1e9


def test_leaves_that_were_split_are_known_by_their_parts(store: Store) -> None:
    ledger.append(store, [replace(ANCHOR, mixture={"whole": 1.0})])
    requirements = replace(REQUIREMENTS, contents=["whole", *ATOMS])
    splits = {"whole": {"web": 0.25, "wiki": 0.75}}
    [row] = anchors_on_record(store, requirements, ATOMS, splits, BASE)
    anchors = read_anchors(store, ledger.pin(store, [row]), ATOMS, splits, ("arc",))
    assert anchors.X.tolist() == [[0.25, 0.75]]
