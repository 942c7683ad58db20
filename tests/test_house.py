"""Limits on the code itself: sizes, docstrings, untyped seams, circles of imports, and a test for every module."""

import ast
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import typer

from flows.cli.app import app

ROOT = Path(__file__).parent.parent
PACKAGES = ("olmix_core", "tasks", "flows")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
MODULE_LINES, FUNCTION_LINES = 300, 60

Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_of(path: Path) -> str:
    """Dotted name of a module; that of a package for its __init__."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in FILES}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path: Path) -> Iterator[tuple[str, Function]]:
    """(name, function) of a module and of its classes, `Class.method` for methods."""
    for node in tree_of(path).body:
        if isinstance(node, Function):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function):
                    yield f"{node.name}.{inner.name}", inner


def is_public(name: str) -> bool:
    return not any(part.startswith("_") for part in name.split("."))


def arguments(function: Function) -> list[ast.arg]:
    given = function.args
    return [arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs) if arg.arg not in ("self", "cls")]


def callbacks(group: typer.Typer) -> set[str]:
    """Functions behind the commands of a group: their docstrings are what --help prints."""
    commands = {
        f"{one.callback.__module__}:{one.callback.__name__}" for one in group.registered_commands if one.callback
    }
    for inner in group.registered_groups:
        assert inner.typer_instance is not None
        commands |= callbacks(inner.typer_instance)
    return commands


COMMANDS = callbacks(app)


# Sizes


def test_no_module_is_longer_than_its_limit() -> None:
    lines = {module: path.read_text(encoding="utf-8").count("\n") for module, path in MODULES.items()}
    assert {module: count for module, count in lines.items() if count > MODULE_LINES} == {}


def test_no_function_is_longer_than_its_limit() -> None:
    lines = {
        f"{module}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for module, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, Function)
    }
    assert {name: count for name, count in lines.items() if count > FUNCTION_LINES} == {}


# Docstrings


def undocumented(module: str, name: str, function: Function) -> Iterator[str]:
    """What the docstring of a public function lacks."""
    decorators = [ast.unparse(decorator) for decorator in function.decorator_list]
    if any("overload" in decorator or "override" in decorator for decorator in decorators):
        return
    text = ast.get_docstring(function)
    if text is None:
        yield f"{module}:{name}: docstring"
    elif f"{module}:{name}" not in COMMANDS and not any("property" in decorator for decorator in decorators):
        if arguments(function) and "Args:" not in text:
            yield f"{module}:{name}: Args"
        returned = ast.unparse(function.returns) if function.returns else "None"
        if returned not in ("None", "Never", "NoReturn") and not re.search(r"(Returns|Yields):", text):
            yield f"{module}:{name}: Returns"


def test_every_public_function_has_a_docstring_with_sections() -> None:
    lacking = [
        lack
        for module, path in MODULES.items()
        for name, function in functions(path)
        if is_public(name)
        for lack in undocumented(module, name, function)
    ]
    assert lacking == []


# Untyped seams

# Public functions and fields in which a JSON object of any form passes, each with its reason. `to_json` and `from_json`
# are what gives JSON a type, and are not counted.
UNTYPED: dict[str, str] = {}

UNTYPED_TYPES = re.compile(r"\b((dict|Mapping|MutableMapping)\[str, (Any|object)\]|JsonObject|JsonMapping)")


def untyped(path: Path) -> Iterator[str]:
    """Public functions and fields of a module whose types have an untyped JSON object in them."""
    for name, function in functions(path):
        annotations = [arg.annotation for arg in arguments(function)] + [function.returns]
        seams = any(annotation and UNTYPED_TYPES.search(ast.unparse(annotation)) for annotation in annotations)
        if seams and is_public(name) and function.name not in ("to_json", "from_json"):
            yield name
    for node in tree_of(path).body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and UNTYPED_TYPES.search(ast.unparse(field.annotation)):
                    yield f"{node.name}.{ast.unparse(field.target)}"


def test_untyped_seams_are_few_and_each_has_its_reason() -> None:
    seams = {f"{module}:{name}" for module, path in MODULES.items() for name in untyped(path)}
    assert seams == set(UNTYPED)


# Imports


def imports(module: str) -> set[str]:
    """Modules of the product that a module imports, also inside functions and for type checking only."""
    imported: set[str] = set()
    for node in ast.walk(tree_of(MODULES[module])):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            imported |= names & MODULES.keys() or {node.module}
    return imported & MODULES.keys() - {module}


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that import each other: strongly connected components of more than one (Tarjan, 1972)."""
    order: dict[str, int] = {}
    lowest: dict[str, int] = {}
    path: list[str] = []
    groups: list[list[str]] = []

    def visit(module: str) -> None:
        order[module] = lowest[module] = len(order)
        path.append(module)
        for other in sorted(graph[module]):
            if other not in order:
                visit(other)
            if other in path:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == order[module]:
            group = path[path.index(module) :]
            del path[path.index(module) :]
            if len(group) > 1:
                groups.append(sorted(group))

    for module in graph:
        if module not in order:
            visit(module)
    return groups


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": set()}) == [["a", "b", "c"]]


def test_no_modules_import_each_other() -> None:
    assert circles({module: imports(module) for module in MODULES}) == []


def test_no_private_name_is_imported() -> None:
    private = [
        f"{module}: {node.module}.{alias.name}"
        for module, path in MODULES.items()
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES
        for alias in node.names
        if alias.name.startswith("_")
    ]
    assert private == []


@pytest.mark.parametrize("package", [module for module, path in MODULES.items() if path.name == "__init__.py"])
def test_what_a_package_exports_is_there(package: str) -> None:
    imported = importlib.import_module(package)
    for name in getattr(imported, "__all__", ()):
        assert getattr(imported, name) is not None


# Tests

# Modules without a test file of their own, and where they are tested.
TESTED_ELSEWHERE: dict[str, str] = {}


def test_every_module_has_its_tests() -> None:
    without = {
        module
        for module, path in MODULES.items()
        if path.name != "__init__.py"
        and not (ROOT / "tests" / path.relative_to(ROOT).with_name(f"test_{path.name}")).exists()
    }
    assert without == set(TESTED_ELSEWHERE)
    for module, file in TESTED_ELSEWHERE.items():
        assert (ROOT / file).exists(), f"{module}: {file}"
