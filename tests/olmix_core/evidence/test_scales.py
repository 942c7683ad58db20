"""The scale of rows of evidence."""

import pytest

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.evidence.scales import scale_of
from olmix_core.surrogate.scaling.scale import Scale


@pytest.mark.parametrize("preset", ["tiny", "15m", "1b"])
def test_the_recipe_of_proxies_trained_here_says_their_scale_without_embeddings(preset: str) -> None:
    recipe = ProxyRecipe.model_validate({"recipe": preset}).counted(vocab_size=2048)
    scale = scale_of(recipe.identity())
    assert scale == Scale(recipe.parameters(0), recipe.tokens or 0)
    assert scale.parameters == recipe.parameters(2048) - 2048 * recipe.width


def test_the_tokens_of_a_row_go_before_those_of_its_recipe() -> None:
    scale = scale_of(ProxyRecipe().identity(), tokens=1000)
    assert scale is not None
    assert scale.tokens == 1000


def test_a_declared_recipe_says_its_scale_where_the_import_did() -> None:
    assert scale_of({"declared": "theirs"}) is None
    assert scale_of({"declared": "theirs", "parameters": 1e9}) is None
    assert scale_of({"declared": "theirs", "parameters": 1e9, "tokens": 25e9}) == Scale(1e9, 25e9)


def test_a_recipe_of_a_newer_version_has_no_scale_here() -> None:
    assert scale_of({**ProxyRecipe().identity(), "experts": 8}) is None
