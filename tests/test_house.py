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

# Public functions and fields in which a JSON object of any form passes, by reason. `to_json` and `from_json`, which
# give JSON a type, are not counted.
# What turns JSON into types and back, as `to_json` and `from_json` do.
CODEC = """
    olmix_core.serialization:encode_fields olmix_core.serialization:decode_fields
    olmix_core.config.yaml:read_mapping
    olmix_core.storage.integrity:seal olmix_core.storage.integrity:unseal olmix_core.storage.results:parse_result
    olmix_core.storage.store:Store.read_json olmix_core.storage.store:Store.write_json
    olmix_core.mixes.record:parse_record olmix_core.surrogate.fit:load olmix_core.surrogate.fit:load_law
    olmix_core.surrogate.scaling.target_json:read_target olmix_core.mixes.labels:label_target
    olmix_core.workers.jobs:Job.to_message olmix_core.workers.jobs:read_job tasks.runtime.step:Step.read
    tasks.runtime.results:known_result tasks.runtime.results:read_result"""
UNTYPED = {
    "JSON of any payload, which is hashed, compared and shown": """
        olmix_core.identity:fields olmix_core.identity:step_key tasks.runtime.log:step_log
        tasks.runtime.payload:StoredPayload.payload""",
    "Prefect sends arguments, results and values of flows as JSON": """
        tasks.runtime.cache_policy:PayloadKey.compute_key tasks.runtime.step:Step.body tasks.runtime.step:Step.task
        tasks.steps.evaluate:evaluate tasks.steps.train:train
        flows.execution.deployment_job:DeploymentJob.calls""",
    "the configuration before it is validated": """
        olmix_core.config.load:load_config""",
    "formats of other programs: work pools, launch configurations, listings": """
        olmix_core.config.execution:Execution.job_variables olmix_core.storage.listing:content_hash
        olmix_core.interop.exporters.mixtures.base:SwarmExport.template
        olmix_core.interop.exporters.mixtures.olmo_core:source_mixture
        olmix_core.interop.exporters.mixtures.published:launch_configuration
        olmix_core.storage.s3:S3.first olmix_core.storage.s3:S3.pages""",
}

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
    untyped_seams = sorted(name for names in UNTYPED.values() for name in names.split())
    print(f"{len(untyped_seams)} untyped seams beside {len(CODEC.split())} functions of the codec")
    assert sorted(seams) == sorted([*untyped_seams, *CODEC.split()])
    assert len(untyped_seams) < 20


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

# Folders whose modules are entries of a registry or parts of one thing, which one file tests alike.
TESTED_AS_A_FOLDER = {
    "olmix_core/data/formats": "tests/olmix_core/data/formats/test_registry.py",
    "olmix_core/interop/exporters": "tests/olmix_core/interop/exporters/test_exporters.py",
    "olmix_core/surrogate/families": "tests/olmix_core/surrogate/families/test_regressors.py",
    "olmix_core/config": "tests/olmix_core/config/test_config.py",
    "olmix_core/report": "tests/olmix_core/report/test_page.py",
    "flows/execution/runners": "tests/flows/execution/runners/test_runners.py",
    "flows/pipeline": "tests/flows/test_mix.py",
    "tasks/steps": "tests/flows/test_mix.py",
}
# Other modules without a test file of their own, by the file that tests them.
TESTED_ELSEWHERE = {
    "tests/olmix_core/surrogate/regression/test_shared_prior.py": "olmix_core.surrogate.regression: responses"
    " shared_estimation",
    "tests/flows/test_json_output.py": "flows.cli: app mix_view plan show versions views why",
    "tests/flows/test_malformed.py": "flows.cli: init locate options; olmix_core: errors",
    "tests/flows/cli/test_run.py": "flows.cli: console live",
    "tests/flows/test_own_trainer.py": "flows.cli: swarm; flows: swarm; olmix_core.proxies: mixture_description",
    "tests/flows/test_mix.py": "flows.execution: executor; tasks.runtime: cache_policy results",
    "tests/flows/test_form.py": "flows: update",
    "tests/flows/reports/test_plan.py": "flows.reports: plan_notes",
    "tests/flows/test_overlap.py": "olmix_core.planning: exclusions",
    "tests/flows/pipeline/test_target.py": "olmix_core.planning: anchor_recipes",
    "tests/flows/reports/test_markdown.py": "flows.reports: difference_markdown plan_markdown",
    "tests/flows/test_notebook.py": "olmix_core.surrogate: prediction",
    "tests/e2e/test_ui.py": "flows: compare watch proxy; flows.execution: mix_lock prefect_settings",
    "tests/e2e/test_olmes.py": "flows.cli: tasks; olmix_core.data: mmlu",
    "tests/e2e/test_s3_store.py": "olmix_core.storage: filesystem s3",
    "tests/olmix_core/data/test_documents.py": "olmix_core.data: columns compression encoding input_file records",
    "tests/olmix_core/data/test_corpus.py": "olmix_core.data: passages tokenisation",
    "tests/olmix_core/storage/test_listing.py": "olmix_core.storage: local_listing",
    "tests/olmix_core/data/overlap/test_find.py": "olmix_core.data.overlap: protected scan",
    "tests/olmix_core/data/overlap/test_remarks.py": "olmix_core.data.overlap: result",
    "tests/olmix_core/data/test_starter.py": "olmix_core.data: no_data",
    "tests/olmix_core/data/test_tasks.py": "olmix_core.data: gold",
    "tests/olmix_core/evidence/test_ledger.py": "olmix_core.evidence: ledger_files",
    "tests/olmix_core/interop/test_fit_inputs.py": "olmix_core.interop: csv_pair section",
    "tests/olmix_core/interop/test_swarm_import.py": "olmix_core.interop: import_fingerprints import_map",
    "tests/flows/cli/test_predict.py": "olmix_core.interop: mixture_file",
    "tests/flows/test_report.py": "olmix_core.mixes: draft labels publish predicted_mixtures record_builder",
    "tests/flows/cli/test_store.py": "olmix_core.mixes: gc",
    "tests/olmix_core/mixes/test_record.py": "olmix_core.mixes: record_parts",
    "tests/flows/test_reuse.py": "olmix_core.planning: base",
    "tests/olmix_core/proposal/test_interior_point.py": "olmix_core.proposal: conic",
    "tests/olmix_core/proposal/test_solve.py": "olmix_core.proposal: constraints convex local objective random_search",
    "tests/olmix_core/storage/test_store.py": "olmix_core.storage: folder new_file",
    "tests/olmix_core/surrogate/test_fit.py": "olmix_core.surrogate: base law_assembly law_fit refits settings;"
    " olmix_core.surrogate: surrogate_json task_weights;"
    " olmix_core.surrogate.regression: estimation factors laws levenberg_marquardt leverage ridge_path uncertainty",
    "tests/olmix_core/surrogate/regression/test_prior_selection.py": "olmix_core.surrogate.regression: prior",
    "tests/olmix_core/workers/test_pool.py": "olmix_core.workers: handlers process",
    "tests/tasks/runtime/test_step.py": "tasks.runtime: log",
    "tests/tasks/runtime/test_artifacts.py": "tasks.runtime: progress progress_artifact",
}


def listed_modules() -> Iterator[str]:
    for groups in TESTED_ELSEWHERE.values():
        for group in groups.split(";"):
            package, names = group.strip().split(": ")
            yield from (f"{package}.{name}" for name in names.split())


def has_tests(path: Path) -> bool:
    """Whether a module has a test file of its name, or is in a folder that one file tests."""
    inside = path.relative_to(ROOT)
    own = ROOT / "tests" / inside.with_name(f"test_{path.name}")
    return own.exists() or any(inside.is_relative_to(folder) for folder in TESTED_AS_A_FOLDER)


def test_every_module_has_its_tests() -> None:
    without = [module for module, path in MODULES.items() if path.name != "__init__.py" and not has_tests(path)]
    assert sorted(without) == sorted(listed_modules())
    for file in (*TESTED_AS_A_FOLDER.values(), *TESTED_ELSEWHERE):
        assert (ROOT / file).exists(), file
