"""The whole round on a server with a worker, as `make up` starts them: a mix from the form, then data that changes.

The round is gone through with Prefect's SQLite, in a browser; cancelled and killed runs are tried on PostgreSQL.
"""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from olmix_core.mixes.versions import latest_version, read_mix
from olmix_core.storage.store import Store

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

MINUTES = 60.0
EVENT = "olmix.domain-set.changed"
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
FIELD = (
    "//span[normalize-space()='{}']/ancestor::div[contains(@class, 'schema-form-property')"
    " and contains(@class, 'p-label')][1]//*[self::input or self::textarea]"
)
LONG = {"layers": 2, "width": 64, "heads": 2, "sequence_length": 64, "batch_size": 4, "tokens": 131_072}


def wait(condition: Callable[[], Any], seconds: float = 10 * MINUTES) -> Any:
    """What `condition` gives as soon as it is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(1)
    return found


def runs_of(local: Any, deployment: str) -> list[dict[str, Any]]:
    found = local.ask("flow_runs/filter", deployments={"name": {"any_": [deployment]}}, sort="START_TIME_ASC")
    return [run for run in found if run["state"]["type"] != "SCHEDULED"]


def ended(local: Any, deployment: str, count: int = 1) -> list[dict[str, Any]]:
    """The runs of a deployment, once `count` of them have ended well."""

    def over() -> list[dict[str, Any]]:
        return [run for run in runs_of(local, deployment) if run["state"]["type"] in ENDED]

    wait(lambda: len(over()) >= count)
    assert {run["state"]["type"] for run in over()} == {"COMPLETED"}
    return over()


def deployment_id(local: Any, name: str) -> str:
    [found] = local.ask("deployments/filter", deployments={"name": {"any_": [name]}})
    return str(found["id"])


def fill_in_the_form(page: "Page", local: Any, config: Path) -> None:
    """What a new user does: the list of deployments, `mix`, its form, submit."""
    page.set_default_timeout(2 * MINUTES * 1000)
    page.goto(f"{local.ui}/deployments")
    page.get_by_text("mix", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    page.get_by_text("Weight of the KL penalty").wait_for()
    for field, value in {"config_file": str(config), "kl (Optional)": "0.1", "runs (Optional)": "6"}.items():
        page.locator(FIELD.format(field)).fill(value)
    page.locator(FIELD.format("kl (Optional)")).scroll_into_view_if_needed()
    _shot(page, "form")
    # A busy SQLite refuses now and then, which the page tells; then a user clicks again.
    for _ in range(8):
        page.get_by_role("button", name="Submit").click()
        page.wait_for_timeout(15_000)
        if local.ask("flow_runs/filter", deployments={"name": {"any_": ["mix"]}}):
            return
    pytest.fail("no run was made of the form")


def _shot(page: "Page", name: str) -> None:
    """Keep a picture for those who want to look: OLMIX_SCREENSHOTS names a folder."""
    if folder := os.environ.get("OLMIX_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def watched_every_20_seconds(local: Any, config: Path) -> None:
    schedule = {"schedule": {"interval": 20}, "active": True, "parameters": {"config_file": str(config)}}
    local.post(f"deployments/{deployment_id(local, 'watch')}/schedules", [schedule])


def looks(local: Any, config: Path) -> list[dict[str, Any]]:
    """The runs of `watch` that looked at this configuration and have ended."""
    return [
        run
        for run in runs_of(local, "watch")
        if run["parameters"]["config_file"] == str(config) and run["state"]["type"] == "COMPLETED"
    ]


def events(local: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = local.ask("events/filter", filter={"event": {"name": [EVENT]}})["events"]
    return found


@pytest.mark.parametrize("local", ["sqlite"], indirect=True)
def test_data_that_changes_is_dealt_with_once(
    project: Callable[..., Path],
    local: Any,
    start_browser: Callable[[], "Browser"],
    tmp_path: Path,
) -> None:
    config = project(name="round", swarm={"runs": 8, "min_strength": 1.0})
    page = start_browser().new_page(viewport={"width": 1280, "height": 1000})
    fill_in_the_form(page, local, config)
    ended(local, "mix")
    store = Store(str(tmp_path / "store"))
    first = read_mix(store, "round")
    assert first.run["train"].executed == 6  # of the form, not the 8 of the file
    assert first.settings.proposal.kl == 0.1

    # Nothing changed: a look says so, and tells nobody.
    watched_every_20_seconds(local, config)
    wait(lambda: looks(local, config))
    assert events(local) == []

    with (tmp_path / "guide.jsonl").open("a") as file:
        file.write(json.dumps({"text": "A document that was not there before. " * 50}) + "\n")
    ended(local, "update-on-change")
    second = read_mix(store, "round")
    assert (second.version, second.base) == ("v0002", "v0001")
    assert second.change == {"code": "unchanged", "manual": "unchanged", "guide": "revised"}
    assert second.run["statistics"].to_json() == {"executed": 1, "cached": 2, "reused": 0}
    assert second.run["train"].executed == second.plan.runs == 8
    assert second.settings.proposal.kl == 0.05  # the file's: changes of a form are for one run

    # Looks during the update and after it did not tell it again.
    before = len(looks(local, config))
    wait(lambda: len(looks(local, config)) > before + 1)
    [event] = events(local)
    assert event["resource"]["prefect.resource.id"] == "olmix.mix.round"
    assert event["payload"]["since"] == "v0001"
    assert event["payload"]["changes"] == [{"domain": "guide", "change": "revised", "origins": ["guide"]}]
    assert len(runs_of(local, "update-on-change")) == 1
    assert latest_version(store, "round") == "v0002"
    assert store.list("watched") == []

    local.prefect("deployment", "run", "compare/compare", "--param", f'config_file="{config}"')
    ended(local, "compare")
    [artifact] = local.ask("artifacts/filter", artifacts={"key": {"any_": ["compare-round"]}})
    assert "# round@v0001 and round@v0002" in artifact["data"]
    assert "| guide |" in artifact["data"]
    assert "| proposal.kl | 0.1 | 0.05 |" in artifact["data"]
    page.goto(f"{local.ui}/runs")
    page.get_by_text(f"update {config}").first.wait_for()
    _shot(page, "runs")
    page.goto(f"{local.ui}/artifacts/artifact/{artifact['id']}")
    page.locator("table").nth(2).wait_for()
    _shot(page, "compare")


def descendants(local: Any, command: str) -> list[psutil.Process]:
    """The processes that the worker started, directly or not, by a word of their command line."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("OLMIX_LOCAL_SERVER") == f"worker:{local.folder}"
            if ours and any(command in word for word in process.cmdline()):
                found.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return found


def state_of(local: Any, run: dict[str, Any]) -> str:
    [found] = local.ask("flow_runs/filter", flow_runs={"id": {"any_": [run["id"]]}})
    return str(found["state"]["type"])


@pytest.mark.parametrize("local", ["postgresql"], indirect=True)
def test_a_run_that_is_cancelled_or_killed_leaves_no_process_and_loses_no_proxy(
    project: Callable[..., Path], local: Any, tmp_path: Path
) -> None:
    config = project(name="long", proxy=LONG)

    def finished() -> dict[str, int]:
        return {path.parent.name: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("proxies/*/run.json")}

    def begin(trained: int) -> dict[str, Any]:
        """A run that is in the middle of training."""
        local.prefect("deployment", "run", "update/mix", "--param", f'config_file="{config}"')
        wait(lambda: len(finished()) >= trained)
        [run] = [run for run in runs_of(local, "mix") if run["state"]["type"] == "RUNNING"]
        assert descendants(local, "olmix_core.workers.process")
        return run

    run = begin(trained=1)
    local.prefect("flow-run", "cancel", run["id"])
    wait(lambda: not descendants(local, "olmix_core.workers.process"), seconds=60)
    wait(lambda: state_of(local, run) == "CANCELLED", seconds=120)
    kept = finished()
    assert 1 <= len(kept) < 6

    run = begin(trained=len(kept) + 1)
    assert finished().items() >= kept.items()  # none was trained again
    # Worker and flow run die at once: nobody is left who could say so, but for the heartbeats that stop.
    for process in descendants(local, ""):
        if "olmix_core.workers.process" not in process.cmdline():
            process.send_signal(signal.SIGKILL)
    wait(lambda: not descendants(local, "olmix_core.workers.process"), seconds=60)
    assert state_of(local, run) == "RUNNING"
    wait(lambda: state_of(local, run) == "CRASHED", seconds=300)
    kept = finished()
    assert len(kept) < 6

    # The same command mends it: the server is there, the worker is not.
    local = local.start()
    local.prefect("deployment", "run", "update/mix", "--param", f'config_file="{config}"')
    wait(lambda: (tmp_path / "store/mixes/long/latest.json").exists())
    assert len(finished()) == 6
    assert finished().items() >= kept.items()
