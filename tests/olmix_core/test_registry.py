from dataclasses import dataclass

import pytest

from olmix_core import storage
from olmix_core.registry import Registry, import_modules


@dataclass(frozen=True)
class Colour:
    name: str


def test_entries_are_in_alphabetical_order_whatever_the_order_of_registration() -> None:
    colours: Registry[Colour] = Registry("colour")
    colours.register(Colour("red"))
    colours.register(Colour("blue"))
    assert list(colours.items()) == [("blue", Colour("blue")), ("red", Colour("red"))]
    assert "green" not in colours


def test_a_name_is_registered_once() -> None:
    colours: Registry[Colour] = Registry("colour")
    colours.register(Colour("red"))
    with pytest.raises(ValueError, match="colour 'red' is registered already; expected another name"):
        colours.register(Colour("red"))
    assert len(colours) == 1


def test_all_modules_of_a_package_are_imported_in_alphabetical_order() -> None:
    modules = [module.__name__ for module in import_modules(storage.__name__, storage.__path__)]
    assert modules == sorted(modules)
    assert {"olmix_core.storage.layout", "olmix_core.storage.store"} <= set(modules)
