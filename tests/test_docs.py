"""The documentation says what the code does: fields, commands, files, columns, links and make targets."""

import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from pydantic import BaseModel

from flows.cli.app import app
from olmix_core.config import config
from olmix_core.evidence import rows as evidence
from olmix_core.mixes import runs
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.record_parts import PlanRecord
from olmix_core.mixes.tables import SAMPLE_COLUMN, TABLE_COLUMNS
from olmix_core.proposal import tradeoffs as trade_offs
from olmix_core.proxies.results import Training
from olmix_core.storage import layout
from olmix_core.surrogate import FitSettings, cross_validate
from olmix_core.surrogate.cross_validation import Folds
from olmix_core.surrogate.surrogate_json import LawJSON
from olmix_core.surrogate.test_problems import log_linear

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


# Markdown


def section(text: str, heading: str) -> str:
    """The text below a heading, up to the next one of its level or above."""
    pattern = rf"^(#+) {re.escape(heading)}$\n(.*?)(?=^#{{1,LEVEL}} |\Z)"
    opening = re.search(rf"^(#+) {re.escape(heading)}$", text, re.M)
    assert opening, f"found no heading {heading!r}"
    found = re.search(pattern.replace("LEVEL", str(len(opening[1]))), text, re.M | re.S)
    assert found
    return found[2]


def fences(text: str) -> list[str]:
    return re.findall(r"^```[^\n]*\n(.*?)^```$", text, re.M | re.S)


def without_fences(text: str) -> str:
    return re.sub(r"^```[^\n]*\n.*?^```$", "", text, flags=re.M | re.S)


def code(text: str) -> Iterator[str]:
    """Every line of a fenced or indented block, and every span of code."""
    for block in fences(text):
        yield from block.splitlines()
    for line in without_fences(text).splitlines():
        if line.startswith("    "):
            yield line.strip()
        yield from re.findall(r"`([^`]+)`", line)


def rows(text: str) -> dict[str, list[str]]:
    """{field: the other cells} of the tables whose first cells are code."""
    found: dict[str, list[str]] = {}
    for line in without_fences(text).splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            for name in re.findall(r"`([^`]+)`", cells[0]):
                assert name not in found, f"{name} is described twice"
                found[name] = cells[1:]
    return found


# Configuration


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """The models that a type is made of."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def is_list(annotation: Any) -> bool:
    return typing.get_origin(annotation) is list or any(is_list(part) for part in typing.get_args(annotation))


def fields(
    model: type[BaseModel], prefix: str = "", above: tuple[type[BaseModel], ...] = ()
) -> Iterator[tuple[str, Any]]:
    """(dotted name, field) of every field below `model`; a model inside itself is walked once."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        yield path, field
        inside = f"{path}[]." if is_list(field.annotation) else f"{path}."
        for part in models_in(field.annotation):
            if part not in (*above, model):
                yield from fields(part, inside, (*above, model))


FIELDS = list(fields(config.Config))
NAMES = {name for name, _ in FIELDS}


def test_every_field_of_the_configuration_is_described_and_no_other() -> None:
    assert {"store", "domains[].topics", "tokenizer.eos", "evaluation.tasks[].weight"} <= NAMES
    assert set(rows(page("config.md"))) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_default_of_a_field_is_the_one_described(name: str) -> None:
    _, default, *meaning = rows(page("config.md"))[name]
    assert meaning != [""], "found no meaning"
    values = [field.get_default(call_default_factory=True) for path, field in FIELDS if path == name]
    required = [field.is_required() for path, field in FIELDS if path == name]
    if isinstance(values[0], BaseModel):
        return
    if all(required):
        expected = "required"
    elif values[0] is None:
        expected = "none"
    else:
        expected = f"`{values[0]}`"
    assert default == expected


# Command line


def commands(group: Any, above: str = "") -> dict[str, Any]:
    """{name: command} of a group and the groups in it."""
    found: dict[str, Any] = {}
    for name, command in group.commands.items():
        inside = getattr(command, "commands", None)
        found |= {f"{above}{name}": command} if inside is None else commands(command, f"{above}{name} ")
    return found


COMMANDS = commands(typer.main.get_command(app))


def test_every_command_is_described_and_no_other() -> None:
    described = re.findall(r"^## olmix (.+)$", page("cli.md"), re.M)
    assert sorted(described) == sorted(COMMANDS)


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_and_argument_is_described_and_no_other(name: str) -> None:
    text = section(page("cli.md"), f"olmix {name}")
    spans = set(re.findall(r"`([^`]+)`", text))
    options: set[str] = set()
    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            options |= {*parameter.opts, *parameter.secondary_opts}
        else:
            metavar = (parameter.metavar or parameter.name).strip("[]")
            assert {metavar, metavar.upper()} & spans, f"{metavar} is not described"
    options.discard("--help")
    assert {span for cell in rows(text) for span in [cell] if span.startswith("-")} == options


# Store


def test_what_a_run_leaves_is_what_the_record_writes() -> None:
    listed = [line.split()[0] for line in fences(section(page("store.md"), "A run leaves"))[0].splitlines()]
    mixes = {path.rsplit("/", 1)[-1] for path in listed if path.startswith("mixes/")}
    assert mixes == {
        layout.RECORD_FILE,
        layout.TABLE_FILE,
        layout.SURROGATE_FILE,
        layout.DIAGNOSTICS_FILE,
        layout.TRADE_OFFS_FILE,
        layout.TARGET_FILE,
        layout.PLAN_FILE,
        layout.RUNS_FILE,
        layout.REPORT_FILE,
        "latest.json",
    }


def heading_rows(heading: str) -> set[str]:
    return set(rows(section(page("store.md"), heading)))


def file_fields(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def test_every_column_and_field_of_the_record_is_described_and_no_other() -> None:
    assert heading_rows("mix.csv") == {*TABLE_COLUMNS, SAMPLE_COLUMN}
    assert heading_rows("mix.json") == file_fields(MixRecord)
    assert heading_rows("plan.json") == file_fields(PlanRecord)
    assert heading_rows("trade_offs.csv") == set(trade_offs.COLUMNS)
    assert heading_rows("surrogate.json") == set(typing.get_type_hints(LawJSON))
    assert heading_rows("evidence") == set(evidence.SCHEMA.names)
    assert heading_rows("runs.parquet") == set(runs.SCHEMA.names)


def test_every_column_of_the_diagnostics_is_described_and_no_other() -> None:
    swarm = log_linear(leaves=2, tasks=1).evidence(8, seed=0)
    diagnostics = cross_validate(swarm, FitSettings(family="log_linear"), folds=Folds(2, seed=0))
    assert heading_rows("diagnostics.csv") == {"task", *diagnostics.table().columns}


def test_every_field_of_a_trained_proxy_is_described_and_no_other() -> None:
    kept = {"key", "mixture", "recipe", "torch", "metrics"}
    assert heading_rows("proxies") == kept | set(Training.__dataclass_fields__)


# Links, targets and words


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", without_fences(text), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_every_relative_link_points_to_something(path: Path) -> None:
    text = re.sub(r"`[^`\n]+`", "", without_fences(path.read_text(encoding="utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        assert found.exists(), f"{path.name}: {target} is not there"
        if anchor:
            assert anchor in anchors(found.read_text(encoding="utf-8")), f"{path.name}: {target}: no such heading"


def test_every_page_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)\)", page("index.md")))
    assert linked == {path.name for path in DOCS.glob("*.md")} - {"index.md"}


def targets_used(text: str) -> set[str]:
    """The targets of every `make ...` in code; options and variables are left out."""
    calls = [line.split("#")[0].split()[1:] for line in code(text) if re.match(r"make( |$)", line)]
    return {word for call in calls for word in call if not re.search(r"[=$]", word) and not word.startswith("-")}


def test_every_make_target_that_is_named_is_in_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w%-]+):(?!=)", makefile, re.M))
    assert "quickstart" in targets
    used = {target for path in PAGES for target in targets_used(path.read_text(encoding="utf-8"))}
    assert {"quickstart", "test"} <= used
    for target in used - targets - {"bench-NAME"}:  # how benchmarks are called in general
        assert target.startswith("bench-"), f"make {target} is not in the Makefile"
        assert "bench-%" in targets
        script = ROOT / "benchmarks" / f"bench_{target.removeprefix('bench-').replace('-', '_')}.py"
        assert script.exists(), f"make {target} would run {script.name}, which is not there"


def test_the_readme_shows_real_output() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- quickstart-output -->\n```\n(.+?)```\n<!-- /quickstart-output -->", text, re.S)
    assert shown
    assert "predicted mean BPB" in shown[1]
