"""YAML files written by people: duplicate keys and other slips are errors and never resolved by guessing."""

import re
from pathlib import Path
from typing import Any

import yaml

from olmix_core.errors import ConfigError
from olmix_core.serialization import JsonObject


def read_mapping(path: Path, expected: str) -> JsonObject:
    """Read a file that holds a mapping.

    Args:
        path: The file.
        expected: Description of the mapping, for messages.

    Returns:
        {field: value}.

    Raises:
        ConfigError: The file cannot be read, is not YAML, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(str(path), "(file)", reason.lower(), "a YAML file that can be read") from error
    try:
        data = yaml.load(text, Loader=UniqueKeys)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        place = f"line {where.line + 1}" if where else "(file)"
        raise ConfigError(str(path), place, getattr(error, "problem", None) or "no YAML", "valid YAML") from error
    except (ValueError, RecursionError) as error:  # a date that is none, lists without end
        raise ConfigError(str(path), "(file)", str(error), "valid YAML") from error
    if not isinstance(data, dict):
        raise ConfigError(str(path), "(file)", shown(data), expected)
    return data


def shown(value: Any) -> str:
    """Quote a value in a message.

    Args:
        value: The value.

    Returns:
        At most 60 characters.
    """
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


class UniqueKeys(yaml.SafeLoader):
    """A loader that refuses duplicate keys, of which YAML takes the last, and keys that are not text."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Construct a mapping.

        Args:
            node: The node of the mapping.
            deep: Whether nested values are constructed at once.

        Returns:
            {key: value}.

        Raises:
            yaml.MarkedYAMLError: A key is given twice or is not text.
        """
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.MarkedYAMLError(
                    problem=f"{shown(key)} as the name of a field, which is no text unless it is in quotes",
                    problem_mark=key_node.start_mark,
                )
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} twice in one mapping",
                    problem_mark=key_node.start_mark,
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


# In YAML 1.1, which PyYAML reads, 1e6 is a text; in YAML 1.2 it is a number.
UniqueKeys.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)
