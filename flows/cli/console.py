"""Where commands print to."""

import json

from rich.console import Console

console = Console(highlight=False)


def print_json(value: object) -> None:
    """Print JSON on standard output.

    Args:
        value: A value made of dicts, lists, strings, numbers and None.
    """
    print(json.dumps(value, indent=1))
