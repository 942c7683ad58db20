"""Recipes: presets that follow their rules, and an identity that is the recipe written out."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from olmix_core.config.recipe import PRESETS, ProxyRecipe, caution
from olmix_core.identity import digest
from olmix_core.proxies.model import Transformer

NAMES = sorted(PRESETS)
DOLMA2 = 100_278


def recipe(name: str, **changes: Any) -> ProxyRecipe:
    return ProxyRecipe.model_validate({"recipe": name, **changes})


# Identity


def test_identity_of_the_default_recipe_is_stable() -> None:
    assert digest(ProxyRecipe().identity()) == "d6af49f9b1afdc29028957e0bc84257240721368af7260aabe0d975aa2c68003"


@pytest.mark.parametrize("name", NAMES)
def test_preset_equals_the_same_recipe_written_out(name: str) -> None:
    preset = recipe(name)
    spelled = preset.model_dump(exclude_none=True, exclude={"recipe"}) | {"mlp_width": preset.mlp}
    for other in NAMES:
        assert recipe(other, **spelled).counted(2048).identity() == preset.counted(2048).identity()


@given(st.sampled_from(NAMES), st.integers(0, 9), st.floats(1e-5, 1e-1), st.integers(1, 8))
def test_given_fields_override_the_preset(name: str, seed: int, rate: float, layers: int) -> None:
    given_fields = {"seed": seed, "learning_rate": rate, "layers": layers}
    found, preset = recipe(name, **given_fields), recipe(name)
    for field in ProxyRecipe.model_fields:
        assert getattr(found, field) == given_fields.get(field, getattr(preset, field))


def test_every_field_except_the_preset_is_part_of_the_identity() -> None:
    others: dict[str, Any] = {
        "layers": 3, "width": 128, "heads": 4, "mlp_width": 160, "sequence_length": 64, "batch_size": 8,
        "tokens": 65_536, "chinchilla": 1.0, "learning_rate": 1e-3, "warmup": 0.1, "final_learning_rate": 0.1,
        "weight_decay": 0.0, "precision": "bfloat16", "document_mask": True, "leaf_share": 0.5, "seed": 1,
        "trainer": "mine 2",
    }  # fmt: skip
    # A second attempt has a key of its own, so that asking for one changes no other.
    assert set(others) == set(ProxyRecipe.model_fields) - {"recipe", "retry_diverged"}
    assert recipe("tiny", retry_diverged=True).identity() == ProxyRecipe().identity()
    identities = [
        ProxyRecipe().identity(),
        *(recipe("tiny", **{k: v}).counted(512).identity() for k, v in others.items()),
    ]
    assert len({json.dumps(one, sort_keys=True) for one in identities}) == len(others) + 1


def test_identity_round_trips() -> None:
    for name in NAMES:
        identity = recipe(name).counted(512).identity()
        assert ProxyRecipe.model_validate(identity).identity() == identity


# Rules


@pytest.mark.parametrize("name", ["15m", "30m", "60m", "190m", "1b"])
def test_presets_follow_the_stated_rules(name: str) -> None:
    size = float(name[:-1]) * {"m": 1e6, "b": 1e9}[name[-1]]
    found = recipe(name)
    assert found.learning_rate == pytest.approx(0.0047 * (size / 108e6) ** (-1 / 3), rel=0.02)
    batch = found.batch_size * found.sequence_length
    assert abs(math.log2(batch) - math.log2(2048 * 160 * (size / 108e6) ** (2 / 3))) <= 0.5
    assert found.parameters(DOLMA2) == pytest.approx(size, rel=0.3)
    assert found.counted(DOLMA2).tokens == pytest.approx(100 * found.parameters(DOLMA2), rel=0.01)


@pytest.mark.parametrize("changes", [{}, {"mlp_width": 48}, {"layers": 1, "width": 32}])
@pytest.mark.parametrize("vocabulary", [257, 2048])
def test_parameters_match_the_model(changes: dict[str, int], vocabulary: int) -> None:
    found = recipe("tiny", **changes)
    assert found.parameters(vocabulary) == sum(p.numel() for p in Transformer(found, vocabulary).parameters())


def test_chinchilla_is_20_tokens_per_parameter_in_whole_batches() -> None:
    counted = recipe("tiny", chinchilla=0.5).counted(2048)
    assert counted.tokens is not None
    assert counted.tokens % 512 == 0
    assert abs(counted.tokens - 10 * counted.parameters(2048)) <= 256
    assert recipe("tiny", chinchilla=1e-9).counted(2048).tokens == 512


def test_tokens_replace_the_multiple_of_the_preset() -> None:
    assert (recipe("30m", tokens=10**9).tokens, recipe("30m", tokens=10**9).chinchilla) == (10**9, None)
    assert (recipe("tiny", chinchilla=2).tokens, recipe("tiny", chinchilla=2).chinchilla) == (None, 2)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tokens": 1024, "chinchilla": 1}, "found both; expected exactly one of tokens and chinchilla"),
        ({"tokens": None}, "found neither; expected exactly one of tokens and chinchilla"),
        ({"recipe": "31m"}, "should be 'tiny', '15m', '30m', '60m', '190m' or '1b'"),
        ({"recipe": ["30m"]}, "should be 'tiny'"),
        ({"recipe": "30m", "heads": 3}, "found width 256 with 3 heads"),
    ],
)
def test_invalid_recipe_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        ProxyRecipe.model_validate(fields)


def test_matched_leaf_share_gives_the_epochs_of_the_target() -> None:
    found = recipe("tiny", leaf_share="match")
    assert found.counted(2048, 2_621_440).share == pytest.approx(0.1)
    assert found.counted(2048, 1000).share == 1.0
    assert found.counted(2048, 1000).identity() == ProxyRecipe().identity()


def test_small_proxies_come_with_a_caution() -> None:
    assert caution(15_000_000) is None
    words = caution(232_000)
    assert words is not None
    assert re.search(r"232,000 .* 0\.89 .* 15M .* 0\.73 with 1M", words)


def test_documented_presets_are_the_presets() -> None:
    page = (Path(__file__).parents[3] / "docs" / "proxy.md").read_text()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("|")]
    table = rows[next(i for i, row in enumerate(rows) if row[0] == "`proxy`") :]
    names = table[0][1:]
    assert sorted(names) == NAMES
    cells = {row[0]: dict(zip(names, row[1:], strict=True)) for row in table[2:] if len(row) == len(table[0])}
    for name in names:
        found = recipe(name)
        for field in ProxyRecipe.model_fields:
            if field in ("recipe", "document_mask", "leaf_share", "trainer", "retry_diverged", "seed"):  # alike in all
                continue
            value = found.mlp if field == "mlp_width" else getattr(found, field)
            said = cells[field][name]
            assert said == ("" if value is None else f"{value:g}" if isinstance(value, float) else str(value)), field
        for vocabulary in (2048, DOLMA2):
            said = cells[f"parameters, vocabulary of {vocabulary:,}"][name]
            size = float(said[:-1]) * {"M": 1e6, "B": 1e9}[said[-1]]
            assert found.parameters(vocabulary) == pytest.approx(size, rel=0.02)
