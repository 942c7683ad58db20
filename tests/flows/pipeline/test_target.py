"""A mix proposed at the size of the target run, with larger proxies as anchors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from flows.cli.mix_view import mix_view
from flows.reports.plan import Plan, make_plan
from olmix_core.config.load import load_config
from olmix_core.errors import ConfigError, OlmixError
from olmix_core.mixes.loading import load
from olmix_core.mixes.tables import read_table
from olmix_core.mixes.versions import read_latest
from olmix_core.storage.layout import TABLE_FILE, version_path
from olmix_core.storage.store import Store
from tests.support.json_output import printed, validate

Run = Callable[[Path], tuple[dict[str, Any], dict[str, int]]]
Edit = Callable[..., Path]
TASKS = 2
TARGET = {"parameters": 2e6, "tokens": 3e5}
ANCHORS = [{"layers": 2, "width": 32, "heads": 2, "tokens": 2048, "runs": 3}]


@pytest.fixture
def edit(finished: Callable[..., Edit]) -> Edit:
    return finished()


def plan_of(path: Path) -> Plan:
    return make_plan(load_config(path), str(path))


def width(part: dict[str, Any]) -> float:
    """Width of the interval of the gain over natural, in BPB."""
    gain = part["gain"]["over_natural"]
    return float(gain["high"] - gain["low"])


def with_target(config: dict[str, Any]) -> None:
    config.setdefault("proposal", {})["target"] = TARGET


def with_anchors(config: dict[str, Any]) -> None:
    with_target(config)
    config["anchors"] = ANCHORS


def test_a_target_trains_nothing_and_is_stated_with_its_size(run: Run, edit: Edit) -> None:
    before, _ = run(edit())
    record, executed = run(edit(with_target))
    assert executed == {"transfer": 1, "propose": 1, "publish": 1}
    assert "target" not in before
    target = record["target"]
    assert target["size"] == TARGET
    assert target["anchors"] == 0
    assert target["largest"] == target["proxies"]
    assert record["target_tokens"] == TARGET["tokens"]
    shares = [
        (part["gain"]["over_natural"]["high"] - part["gain"]["over_natural"]["low"])
        / part["predicted"]["natural"]["bpb"]
        for part in (target, record)
    ]
    assert shares[0] > shares[1]  # nothing was measured there
    points = target["over_size"]
    assert points[-1]["natural"] == target["predicted"]["natural"]
    assert [point["parameters"] for point in points] == sorted(point["parameters"] for point in points)


def test_larger_proxies_are_trained_once_and_inform_the_target(run: Run, edit: Edit, tmp_path: Path) -> None:
    without, _ = run(edit(with_target))
    plan = plan_of(edit(with_anchors))
    assert plan.cost.proxies == 3
    assert plan.cost.tokens == 3 * 2048
    record, executed = run(edit(with_anchors))
    assert executed == {
        "train": 3, "evaluate": 3 * TASKS, "evidence": 1, "transfer": 1, "propose": 1, "publish": 1,
    }  # fmt: skip
    assert record["target"]["anchors"] == 3
    assert record["target"]["largest"]["parameters"] > record["target"]["proxies"]["parameters"]
    assert record["predicted"]["natural"] == without["predicted"]["natural"]
    assert record["target"]["gain"] != without["target"]["gain"]
    assert not plan_of(edit(with_anchors)).pending
    store = Store(str(tmp_path / "store"))
    latest = read_latest(store, record["name"])
    assert latest is not None
    mixture = read_table(store.read_bytes(version_path(latest.name, latest.version, TABLE_FILE)))
    console = Console(width=160, record=True)
    console.print(mix_view(latest, mixture, "folder"))
    text = console.export_text()
    assert "at the size of the proxies" in text
    assert "at 2M parameters and 300k tokens, extrapolated" in text


def test_a_published_mix_predicts_and_proposes_at_its_target(run: Run, edit: Edit, tmp_path: Path) -> None:
    record, _ = run(edit(with_target))
    mix = load(str(tmp_path / "store"), record["name"])
    there = mix.predict(at_target=True)
    assert there.objective.to_json() == pytest.approx(record["target"]["predicted"]["proposed"])
    assert there.gain["natural"].to_json() == pytest.approx(record["target"]["gain"]["over_natural"])
    assert mix.predict().objective.to_json() == pytest.approx(record["predicted"]["proposed"])
    assert mix.propose() == pytest.approx(record["weights"], abs=1e-6)
    told = printed("predict", edit(with_target))
    assert told["target"]["objective"] == pytest.approx(there.objective.to_json())
    validate("predict", told)
    validate("show", printed("show", edit(with_target)))


def test_a_mix_without_a_target_predicts_at_the_size_of_the_proxies_only(run: Run, edit: Edit, tmp_path: Path) -> None:
    record, _ = run(edit())
    with pytest.raises(OlmixError, match=r"expected one that has proposal\.target"):
        load(str(tmp_path / "store"), record["name"]).predict(at_target=True)


def test_the_plan_of_a_first_run_counts_the_larger_proxies(run: Run, project: Callable[..., Path]) -> None:
    path = project(file="first.yaml", store="first", proposal={"target": TARGET}, anchors=ANCHORS)
    plan = plan_of(path)
    record, _ = run(path)
    done = {step: counts["executed"] for step, counts in record["run"].items() if step != "publish"}
    assert {step: plan.steps[step].executed for step in done} == done
    assert plan.cost.proxies == done["train"]


def test_a_larger_proxy_is_no_evidence_for_the_law_itself(run: Run, edit: Edit) -> None:
    before, _ = run(edit())
    after, _ = run(edit(with_anchors))
    assert after["keys"]["fit"] == before["keys"]["fit"]


def test_anchors_on_record_are_used_by_another_mix(run: Run, edit: Edit) -> None:
    run(edit(with_anchors))
    record, executed = run(edit(with_target))
    assert "train" not in executed
    assert record["target"]["anchors"] == 3


def anchors_alone(config: dict[str, Any]) -> None:
    config["anchors"] = ANCHORS


def two_lengths(config: dict[str, Any]) -> None:
    with_target(config)
    config["proposal"]["target_tokens"] = 2e5


def no_law(config: dict[str, Any]) -> None:
    with_target(config)
    config["surrogate"] = {"family": "gaussian_process"}


def anchors_of(change: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    def edit(config: dict[str, Any]) -> None:
        with_anchors(config)
        config["anchors"] = [{**ANCHORS[0], **change}]

    return edit


def no_larger(config: dict[str, Any]) -> None:
    with_anchors(config)
    config["anchors"] = [dict(config["proxy"])]


too_long, long_sequences = anchors_of({"tokens": 10**9}), anchors_of({"sequence_length": 100_000, "tokens": 400_000})


def unknown_trainer(config: dict[str, Any]) -> None:
    with_target(config)
    config["proxy"] = {"trainer": "ours"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (anchors_alone, "found anchors without a target"),
        (no_larger, r"anchors\[0\]: found .* 1 times the FLOPs of a proxy .*; expected at least 2 times"),
        (too_long, r"anchors\[0\]\.tokens: found 1B tokens; expected at most"),
        (long_sequences, r"anchors\[0\]\.sequence_length: found 100000, with .* tokens of .* to train on"),
        (unknown_trainer, "found proxy with a trainer and no size; expected layers, width and tokens"),
        (two_lengths, "found target_tokens 200000 beside target.tokens 300000"),
        (no_law, "proposal.target: found .* with surrogate.family 'gaussian_process'; expected one of the laws"),
    ],
)
def test_a_target_that_cannot_be_meant_is_refused_before_anything_runs(
    edit: Edit, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(edit(change))
