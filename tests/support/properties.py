"""How many examples a property is tried on."""

from typing import Any

from hypothesis import settings

USUAL = 100  # examples of a property that names no number, in Hypothesis itself


def examples(count: int, **others: Any) -> settings:
    """Settings for a property whose examples are slow: `count` where others have 100, and fewer or more alike.

    Args:
        count: Examples at Hypothesis's own default.
        **others: Further settings.
    """
    return settings(max_examples=max(5, count * settings().max_examples // USUAL), **others)


def tries(dev: int, ci: int) -> int:
    """How often something is tried: `ci` times under the profile of that name, else `dev` times."""
    return ci if settings.get_current_profile_name() == "ci" else dev
