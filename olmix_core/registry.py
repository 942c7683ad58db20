"""Registries: the entries of one kind, such as input formats, each added by a module of one folder.

A package that can be extended holds a `Registry`. Each module of its folder registers an entry, and the package's
`__init__` calls `import_modules`, so that a new entry is a new file and nothing else.
"""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Generic, Protocol, TypeVar


class Named(Protocol):
    """An entry: anything with a name."""

    @property
    def name(self) -> str:
        """The name in configurations and on the command line."""
        ...


E = TypeVar("E", bound=Named)


class Registry(Mapping[str, E], Generic[E]):
    """Entries by name, in alphabetical order.

    Attributes:
        kind: What an entry is, for error messages.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, E] = {}

    def register(self, entry: E) -> None:
        """Add an entry.

        Args:
            entry: The entry.

        Raises:
            ValueError: Its name is taken.
        """
        if entry.name in self._entries:
            raise ValueError(f"{self.kind} {entry.name!r} is registered already; expected another name")
        self._entries[entry.name] = entry

    def __getitem__(self, name: str) -> E:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)


def import_modules(package: str, path: list[str]) -> list[ModuleType]:
    """Import all modules of a package.

    Args:
        package: Name of the package.
        path: Its `__path__`.

    Returns:
        The modules, in alphabetical order.
    """
    return [import_module(f"{package}.{name}") for name in sorted(info.name for info in iter_modules(path))]
