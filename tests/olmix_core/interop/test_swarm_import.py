"""Swarms run elsewhere: in by a map, and out again as files that say the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from olmix_core.config.load import load_config
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.errors import ConfigError, DataError, OlmixError
from olmix_core.evidence import ledger, ledger_files
from olmix_core.evidence.merge import merge
from olmix_core.evidence.rows import declared, from_table, recipe_key
from olmix_core.evidence.scales import scale_of
from olmix_core.evidence.summary import Filters, overview, select
from olmix_core.interop.export import export_evidence
from olmix_core.interop.exporters import EVIDENCE_EXPORTERS
from olmix_core.interop.swarm_import import Imported, import_swarm, similar_labels
from olmix_core.planning.preflight import resolve_inputs
from olmix_core.storage.integrity import checksum
from olmix_core.storage.store import Store
from olmix_core.surrogate.scaling.scale import Scale

Project = Callable[..., Path]
RUNS = [f"r{number}" for number in range(6)]
RATIOS = pd.DataFrame({"run": RUNS, "web": [0.5, 0.25, 1, 0, 0.1, 0.2], "wiki": [0.5, 0.75, 0, 1, 0.9, 0.8]})
METRICS = pd.DataFrame({"run": RUNS[::-1], "arc": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], "code": [0.5, 0.6, 0.7, 0.8, 0.9, 1]})
MAP: dict[str, Any] = {
    "name": "elsewhere",
    "recipe": {"declared": "30M"},
    "tokenizer": {"declared": "dolma"},
    "domains": "declared",
    "tasks": "declared",
}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Imported]:
    """Import the swarm with some changes of the map."""

    def make(ratios: pd.DataFrame = RATIOS, metrics: pd.DataFrame = METRICS, /, **changes: Any) -> Imported:
        ratios.to_csv(tmp_path / "ratios.csv", index=False)
        metrics.to_csv(tmp_path / "metrics.csv", index=False)
        (tmp_path / "map.yaml").write_text(yaml.safe_dump({**MAP, **changes}))
        return import_swarm(tmp_path / "ratios.csv", tmp_path / "metrics.csv", tmp_path / "map.yaml")

    return make


def test_columns_declared_by_their_label(read: Callable[..., Imported]) -> None:
    found = read()
    by_run = {json.dumps(dict(row.mixture), sort_keys=True): row for row in found.rows}
    first = by_run[json.dumps({declared("web"): 0.5, declared("wiki"): 0.5}, sort_keys=True)]
    assert first.bpb == {declared("arc"): 1.5, declared("code"): 1.0}
    assert (first.swarm, first.source, first.imported) == ("elsewhere", "ratios.csv", True)
    assert (first.recipe, first.tokenizer, first.tokens) == ({"declared": "30M"}, declared("dolma"), None)
    assert first.labels[declared("web")] == "web"
    assert (found.domains, found.tasks, found.declared) == (2, 2, 4)
    assert len({row.proxy for row in found.rows}) == len(RUNS)


def test_a_declared_recipe_may_state_its_size(read: Callable[..., Imported]) -> None:
    recipe = {"declared": "1B", "parameters": 1e9, "tokens": 2.5e10}
    assert {scale_of(row.recipe, row.tokens) for row in read(recipe=recipe).rows} == {Scale(1e9, 2.5e10)}
    assert {scale_of(row.recipe, row.tokens) for row in read().rows} == {None}


def test_the_files_of_a_column_may_be_links_beside_others_that_are_skipped(
    read: Callable[..., Imported], tmp_path: Path
) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "linked").mkdir()
    (tmp_path / "plain").mkdir()
    for name in ("a", "b"):
        for path in (tmp_path / "blobs" / name, tmp_path / "plain" / f"{name}.txt"):
            path.write_text(f"text {name}")
        (tmp_path / "linked" / f"{name}.txt").symlink_to(f"../blobs/{name}")
    (tmp_path / "linked" / "c.pages").write_text("no known format")

    def content(**entry: Any) -> set[str]:
        rows = read(domains={"web": entry, "wiki": "declared"}).rows
        return {leaf for row in rows for leaf in row.mixture} - {declared("wiki")}

    assert content(paths="linked", skip=["*.pages"]) == content(paths="linked/*.txt") == content(paths="plain")
    with pytest.raises(
        ConfigError, match=r"domains\.web\.paths: found 1 file \(1 \*\.pages: c\.pages\) of unknown format"
    ):
        content(paths="linked")
    (tmp_path / "blobs" / "a").unlink()
    with pytest.raises(ConfigError, match=r"domains\.web\.paths: found the link .*a\.txt to \.\./blobs/a, where"):
        content(paths="linked/*.txt")


def test_content_and_tasks_have_the_fingerprints_of_a_configuration(
    read: Callable[..., Imported], project: Project, tmp_path: Path
) -> None:
    config = load_config(project(evaluation={"tasks": [{"file": "task.jsonl"}]}))
    inputs = resolve_inputs(config, "mix.yaml")
    by_label = {leaf.label: leaf for leaf in inputs.domains.leaves}
    lines = ["hash,size,reader"]
    lines += [f"{value},{size},{reader}" for value, size, reader in by_label["guide"].contents]
    (tmp_path / "guide.csv").write_text("\n".join(lines) + "\n")
    proxy = ProxyRecipe(layers=1, seed=3)
    found = read(
        recipe={"proxy": {"layers": 1, "seed": 3}},
        domains={"web": {"paths": "manual.jsonl"}, "wiki": {"manifest": "guide.csv"}},
        tasks={"arc": {"file": "task.jsonl"}},
    )
    contents = {content for row in found.rows for content in row.mixture}
    assert contents == {by_label["manual"].fingerprint, by_label["guide"].fingerprint}
    assert {task for row in found.rows for task in row.bpb} == {inputs.tasks[0].fingerprint}
    assert {recipe_key(row.recipe) for row in found.rows} == {recipe_key(proxy.identity())}
    assert {(row.seed, row.tokens) for row in found.rows} == {(3, proxy.tokens)}
    assert found.notes[0] == "columns of metrics.csv that the map does not name: code"


def test_a_column_of_frozen_ratios_becomes_its_leaves(read: Callable[..., Imported]) -> None:
    found = read(domains={"web": {"mixture": {"news": 3, "wiki": 1}}, "wiki": "declared", "news": "declared"})
    mixtures = [dict(row.mixture) for row in found.rows]
    assert {declared("news"): 0.375, declared("wiki"): 0.625} in mixtures
    assert {declared("wiki"): 1.0} in mixtures


def test_the_same_run_under_another_name_is_the_same_proxy(read: Callable[..., Imported]) -> None:
    assert {row.proxy for row in read().rows} == {row.proxy for row in read(name="again").rows}


def gap(metrics: pd.DataFrame) -> pd.DataFrame:
    return metrics.assign(code=[np.nan, *metrics["code"][1:]])


def test_missing_values_are_left_out(read: Callable[..., Imported]) -> None:
    counts = sorted(len(row.bpb) for row in read(RATIOS, gap(METRICS)).rows)
    assert counts == [1, 2, 2, 2, 2, 2]


def test_white_space_around_labels_makes_no_other_proxies(read: Callable[..., Imported]) -> None:
    spaced = read(
        RATIOS.rename(columns=" {} ".format),
        METRICS.rename(columns=" {}".format),
        domains={" web": "declared", "wiki ": "declared"},
        tasks={"arc ": "declared", " code": "declared"},
    )
    assert {row.proxy for row in spaced.rows} == {row.proxy for row in read().rows}
    assert {row.id for row in spaced.rows} == {row.id for row in read().rows}


def test_labels_that_nearly_are_on_record_are_told(read: Callable[..., Imported]) -> None:
    recorded = {declared("Web"): "Web", declared(" wiki"): " wiki", declared("arc"): "arc", declared("other"): "other"}
    assert similar_labels(read(), recorded) == [
        "'web' is not 'Web', which is on record: they differ by white space or case only",
        "'wiki' is not ' wiki', which is on record: they differ by white space or case only",
    ]


def test_metrics_in_other_units(read: Callable[..., Imported]) -> None:
    metrics = METRICS.assign(ppl=4.0, acc=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    units = {"ppl": {"as": "perplexity", "bytes_per_token": 4}, " acc": {"as": "higher_is_better"}}
    rows = {row.bpb[declared("arc")]: row for row in read(RATIOS, metrics, metrics=units).rows}
    error_rate = declared("acc (1 - value / 1)")
    assert rows[1.2].bpb == {
        declared("arc"): 1.2,
        declared("code"): 0.7,
        declared("ppl"): 0.5,
        error_rate: pytest.approx(0.7, abs=1e-12),
    }
    assert rows[1.2].labels[error_rate] == "acc"
    named = dict.fromkeys(("arc", "code", "ppl"), "declared") | {"acc": {"fingerprint": "a" * 64}}
    message = r"tasks.acc: found values in another scale \(1 - value / 1\); expected the word declared"
    with pytest.raises(ConfigError, match=message):
        read(RATIOS, metrics, metrics=units, tasks=named)


def test_columns_of_a_tracker_are_refused(read: Callable[..., Imported]) -> None:
    message = (
        "metrics._runtime: found the name of a tracker's column .*name under tasks only the columns that are meant"
    )
    with pytest.raises(ConfigError, match=message):
        read(RATIOS, METRICS.assign(_runtime=12.5))
    kept = read(RATIOS, METRICS.assign(_runtime=12.5), tasks={"arc": "declared", "code": "declared"})
    assert {row.proxy for row in kept.rows} == {row.proxy for row in read().rows}


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"name": None}, ConfigError, "map.yaml: name: found None; expected a valid string"),
        ({"recipe": {}}, ConfigError, "recipe: found none of them; expected exactly one of proxy, declared"),
        (
            {"recipe": {"declared": "1B", "tokens": 1e9}},
            ConfigError,
            "found one of parameters and tokens; expected both",
        ),
        (
            {"recipe": {"proxy": {"tokens": 2048}, "parameters": 1e9, "tokens": 1e9}},
            ConfigError,
            "found parameters or tokens beside proxy; expected them beside declared only",
        ),
        ({"recipe": {"proxy": {"layer": 2}}}, ConfigError, "recipe.proxy.layer: found an unknown field"),
        ({"domains": {"web": "declared"}}, ConfigError, "domains: found nothing for wiki; expected an entry for every"),
        (
            {"domains": {"web": 3, "wiki": "declared"}},
            ConfigError,
            "domains.web: found 3; expected a mapping, or the w",
        ),
        (
            {"domains": {"web": {"paths": "none/*.txt"}, "wiki": "declared"}},
            ConfigError,
            r"domains.web.paths: found no file at .*none/\*.txt; expected at least one file",
        ),
        (
            {"domains": {"web": {"fingerprint": "ab"}, "wiki": "declared"}},
            ConfigError,
            "domains.web.fingerprint: found 'ab'; expected 64 hexadecimal digits",
        ),
        (
            {"domains": {"web": {"fingerprint": "a" * 64}, "wiki": {"fingerprint": "a" * 64}}},
            ConfigError,
            "domains.wiki: found what 'web' is; expected every column to be another thing",
        ),
        (
            {"domains": {"web": {"mixture": {"news": 1}}, "wiki": "declared"}},
            ConfigError,
            "domains.web.mixture: found 'news', which is no content; expected shares of other entries",
        ),
        ({"domains": {"web": {"manifest": "x.csv"}, "wiki": "declared"}}, ConfigError, "web.manifest: found .*no such"),
        ({"tasks": {"mmlu": "declared"}}, OlmixError, "tasks"),
        (
            {"tasks": {"arc": "declared", "x": "declared"}},
            ConfigError,
            "tasks.x: found no such task; expected a column",
        ),
        ({"tokenizer": {"path": "none.json"}}, ConfigError, "tokenizer.path: found .*none.json: no such file"),
    ],
)
def test_invalid_maps(
    read: Callable[..., Imported], changes: dict[str, Any], error: type[OlmixError], message: str
) -> None:
    with pytest.raises(error, match=message):
        read(**changes)


def test_errors_of_the_files_name_fields_of_the_map(read: Callable[..., Imported]) -> None:
    few = METRICS.assign(code=[0.5, 0.6, *[np.nan] * 4])
    with pytest.raises(ConfigError, match=r"map.yaml: tasks: found 2 runs .*'code'; expected at least 5; or leave it"):
        read(RATIOS, few)


def test_a_declared_size_survives_an_export(read: Callable[..., Imported], tmp_path: Path) -> None:
    store, recipe = Store(str(tmp_path / "store")), {"declared": "1B", "parameters": 1e9, "tokens": 2.5e10}
    first = read(recipe=recipe).rows
    ledger.append(store, first)
    export_evidence(merge(ledger.read(store)), tmp_path / "out", EVIDENCE_EXPORTERS["csv"])
    again = import_swarm(*(tmp_path / "out" / name for name in ("ratios.csv", "metrics.csv", "map.yaml"))).rows
    assert {recipe_key(row.recipe) for row in again} == {recipe_key(row.recipe) for row in first}


def test_exported_files_are_imported_as_the_same_evidence(read: Callable[..., Imported], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    ledger.append(store, read(RATIOS, gap(METRICS)).rows)
    before = merge(ledger.read(store))
    assert export_evidence(before, tmp_path / "out", EVIDENCE_EXPORTERS["csv"]) == [
        "ratios.csv",
        "metrics.csv",
        "map.yaml",
    ]
    again = import_swarm(*(tmp_path / "out" / name for name in ("ratios.csv", "metrics.csv", "map.yaml")))

    def said(rows: Any) -> list[Any]:
        return sorted((sorted(row.mixture.items()), sorted(row.bpb.items()), row.tokenizer) for row in rows)

    assert said(again.rows) == said(from_table(before.table))
    assert [row.recipe for row in again.rows] == [{"declared": "30M"}] * len(RUNS)
    ratios = pd.read_csv(tmp_path / "out/ratios.csv")
    assert list(ratios) == ["run", "name", "index", "web", "wiki"]


def test_parquet_and_json_contain_every_column(read: Callable[..., Imported], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    ledger.append(store, read().rows)
    evidence = merge(ledger.read(store))
    export_evidence(evidence, tmp_path / "out", EVIDENCE_EXPORTERS["parquet"])
    other = Store(str(tmp_path / "other"))
    (tmp_path / "other/evidence").mkdir(parents=True)
    exported = tmp_path / "out/evidence.parquet"
    name = f"{'0' * 64}-{checksum(exported.read_bytes())[: ledger_files.CHECKED]}"
    exported.rename(tmp_path / f"other/evidence/{name}.parquet")
    assert from_table(ledger.read(other).sort_by("row")) == from_table(evidence.table.sort_by("row"))
    export_evidence(evidence, tmp_path / "out", EVIDENCE_EXPORTERS["json"])
    records = json.loads((tmp_path / "out/evidence.json").read_text())
    assert [record["row"] for record in records] == [
        row.id for row in sorted(from_table(evidence.table), key=lambda row: row.proxy)
    ]


def test_two_recipes_do_not_fit_one_pair_of_files(read: Callable[..., Imported], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    ledger.append(store, read().rows)
    ledger.append(store, read(recipe={"declared": "1B"}, name="large").rows)
    evidence = merge(ledger.read(store))
    with pytest.raises(DataError, match=r"found 2 values of recipe_key: .*choose with --recipe, or export parquet"):
        export_evidence(evidence, tmp_path / "out", EVIDENCE_EXPORTERS["csv"])
    assert not (tmp_path / "out").exists()
    only = merge(evidence.rows(select(evidence, Filters(swarm="large"))))
    assert len(only) == len(RUNS)
    export_evidence(only, tmp_path / "out", EVIDENCE_EXPORTERS["csv"])


def test_columns_of_the_same_name_are_distinguished(read: Callable[..., Imported], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    first = read(domains={"web": {"fingerprint": "a" * 64}, "wiki": "declared"})
    second = read(domains={"web": {"fingerprint": "b" * 64}, "wiki": "declared"})
    ledger.append(store, [*first.rows, *second.rows])
    export_evidence(merge(ledger.read(store)), tmp_path / "out", EVIDENCE_EXPORTERS["csv"])
    columns = list(pd.read_csv(tmp_path / "out/ratios.csv"))[3:]
    assert sorted(map(str, columns)) == ["web (aaaaaaaaaaaa)", "web (bbbbbbbbbbbb)", "wiki"]


def test_the_overview_lists_swarms(read: Callable[..., Imported], tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    ledger.append(store, read().rows)
    ledger.append(
        store, read(name="mine", recipe={"proxy": {"tokens": 2048, "seed": 1}}, tasks={"arc": "declared"}).rows
    )
    evidence = merge(ledger.read(store))
    rows = overview(evidence)
    assert [(row.swarm, row.proxies, row.domains, row.tasks, row.tokens) for row in rows] == [
        ("elsewhere", 6, 2, 2, None),
        ("mine", 6, 2, 1, 6 * 2048),
    ]
    assert select(evidence, Filters(source="ratios.csv")).all()
    assert not select(evidence, Filters(source="ratios")).any()
    assert select(evidence, Filters(recipe=rows[1].recipe[:6])).sum() == 6
    assert overview(merge(ledger.read(Store(str(tmp_path / "none"))))) == []
