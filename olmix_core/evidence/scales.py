"""The scale of rows of evidence: parameters and tokens, as their recipe says."""

from collections.abc import Mapping

from pydantic import ValidationError

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.serialization import Scalar
from olmix_core.surrogate.scaling.scale import Scale


def scale_of(recipe: Mapping[str, Scalar], tokens: int | None = None) -> Scale | None:
    """Read the scale of proxies off their recipe.

    Args:
        recipe: The recipe, as rows of the ledger hold it (`ProxyRecipe.identity`, or what an import declared).
        tokens: Tokens that a proxy trained on; None for those of the recipe.

    Returns:
        The scale; None where the recipe does not say.
    """
    if "declared" in recipe:
        parameters, trained = recipe.get("parameters"), tokens or recipe.get("tokens")
        if not isinstance(parameters, int | float) or not isinstance(trained, int | float):
            return None
        return Scale(float(parameters), float(trained))
    try:
        known = ProxyRecipe.model_validate(dict(recipe))
    except ValidationError:  # fields of a newer version
        return None
    trained = tokens or known.tokens
    return None if trained is None else Scale(float(known.parameters(vocab_size=0)), float(trained))
