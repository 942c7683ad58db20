"""The Prefect UI of a running server, in a real browser: a run's artifacts with their pictures, and their timeline."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

VISITS, SETTLED = 5, 3000  # of the run's page, and milliseconds until it has listed what it will
OLMIX = str(Path(sys.executable).with_name("olmix"))
# Of each artifact, how many pictures and tables the UI shows.
SHOWN = {
    "statistics": (0, 1),
    "plan": (0, 2),
    "dimensions": (0, 1),
    "swarm": (1, 0),
    "train": (0, 1),
    "evaluate": (0, 1),
    "fit": (1, 1),
    "propose": (1, 1),
    "mix": (2, 2),
}


def test_the_ui_shows_every_artifact_with_its_pictures(
    project: Callable[..., Path],
    server: Any,
    start_browser: Callable[[], "Browser"],
) -> None:
    config = project()
    for _ in range(2):
        subprocess.run([OLMIX, "run", config], env=server.environment, check=True, timeout=240)
    artifacts = {artifact["key"]: artifact for artifact in server.ask("artifacts/filter")}
    run = server.ask("flow_runs/filter")[0]["id"]
    ui = server.ui
    page = start_browser().new_page(viewport={"width": 1400, "height": 1400})

    # The page asks for the artifacts once: what the server was slow to list is there after the next visit.
    missing = {f"{step}-test" for step in (*SHOWN, "evidence", "progress")}
    for _ in range(VISITS):
        page.goto(f"{ui}/runs/flow-run/{run}")
        page.get_by_text("Artifacts", exact=True).last.click()
        page.get_by_text("mix-test", exact=True).last.wait_for()
        page.wait_for_timeout(SETTLED)
        missing = {key for key in missing if not page.get_by_text(key, exact=True).last.is_visible()}
        if not missing:
            break
    assert not missing

    for step, (pictures, tables) in SHOWN.items():
        page.goto(f"{ui}/artifacts/artifact/{artifacts[f'{step}-test']['id']}")
        page.get_by_text(f"{step}-test").first.wait_for()
        if pictures:
            page.wait_for_function(
                "n => [...document.images].filter(one => one.naturalWidth > 300).length === n", arg=pictures
            )
        if tables:
            page.locator("table").nth(tables - 1).wait_for()

    page.goto(f"{ui}/artifacts/key/fit-test")
    timeline = page.locator("a[href*='/artifacts/artifact/']")
    timeline.nth(1).wait_for()
    assert timeline.count() == 2
