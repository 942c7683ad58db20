"""Names of a package that are imported on first use, since their modules take long to import."""

from collections.abc import Callable, Mapping
from importlib import import_module


def lazy_attributes(package: str, modules: Mapping[str, str]) -> Callable[[str], object]:
    """Make the `__getattr__` of a package (PEP 562).

    Args:
        package: Name of the package.
        modules: {name: module that defines it}, relative to the package.

    Returns:
        A function that imports a name from its module, and raises AttributeError for all other names.
    """

    def get(name: str) -> object:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{modules[name]}"), name)

    return get
