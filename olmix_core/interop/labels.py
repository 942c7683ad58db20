"""Labels in CSV headers and YAML mappings: white space around them is dropped, and near-identical ones are found."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

import pandas as pd
from pydantic import AfterValidator, BeforeValidator

_INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"  # zero-width characters, which str.strip keeps
_NAMED = 5


def stripped(label: str) -> str:
    """Drop white space and zero-width characters around a label.

    Args:
        label: The label.

    Returns:
        The label without them.
    """
    before = None
    while label != before:
        before, label = label, label.strip().strip(_INVISIBLE)
    return label


def look_alikes(labels: Iterable[str], others: Iterable[str]) -> list[tuple[str, str]]:
    """Find pairs of labels that differ by white space or case only.

    Args:
        labels: Some labels.
        others: Labels to compare them with.

    Returns:
        (label, other) of each pair of different labels, sorted.
    """
    by_form: dict[str, list[str]] = {}
    for other in others:
        by_form.setdefault(_form(other), []).append(other)
    pairs = {(label, other) for label in labels for other in by_form.get(_form(label), ()) if other != label}
    return sorted(pairs)


def _form(label: str) -> str:
    return "".join(stripped(label).split()).casefold()


def did_you_mean(label: str, others: Iterable[str]) -> str:
    """Hint at a label that differs by white space or case only.

    Args:
        label: A label that was not found.
        others: The labels there are.

    Returns:
        Text to append to a message; empty without such a label.
    """
    pairs = look_alikes([label], others)
    return f" (there is {pairs[0][1]!r}, which differs by white space or case only)" if pairs else ""


def listed(names: Sequence[str] | pd.Index) -> str:
    """Join the first few names for a message.

    Args:
        names: The names.

    Returns:
        The names, and how many more there are.
    """
    more = len(names) - _NAMED
    return ", ".join(map(str, names[:_NAMED])) + (f" and {more} more" if more > 0 else "")


def _strip_keys(value: Any) -> Any:
    """A mapping with its keys stripped; anything else unchanged, for pydantic to check."""
    if not isinstance(value, Mapping):
        return value
    keys = [stripped(key) if isinstance(key, str) else key for key in value]
    twice = sorted({repr(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise ValueError(f"found {twice[0]} twice, apart from white space; expected each label once")
    return dict(zip(keys, value.values(), strict=True))


StripKeys = BeforeValidator(_strip_keys)  # of mappings whose keys are labels
ColumnLabel = Annotated[str, AfterValidator(stripped)]
