"""Find the exporters that the modules of a package define."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType


def exporter_modules(package: str, path: list[str]) -> Iterator[ModuleType]:
    """Import the modules of a package that define an exporter.

    Args:
        package: Name of the package.
        path: Its `__path__`.

    Yields:
        Every module with an attribute EXPORTER, by name.
    """
    for info in sorted(iter_modules(path), key=lambda info: info.name):
        module = import_module(f"{package}.{info.name}")
        if hasattr(module, "EXPORTER"):
            yield module
