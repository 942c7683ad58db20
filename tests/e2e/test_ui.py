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

SCREENS, SETTLED = 15, 1000  # to scroll through a run's page, and milliseconds for each
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

    # The page draws only what is in sight: artifacts of the flow run first, those of its tasks below.
    missing = {f"{step}-test" for step in (*SHOWN, "evidence", "progress")}
    page.goto(f"{ui}/runs/flow-run/{run}")
    page.get_by_text("Artifacts", exact=True).last.click()
    page.get_by_text("progress-test", exact=True).last.wait_for()
    page.mouse.move(700, 1200)
    for _ in range(SCREENS):
        page.wait_for_timeout(SETTLED)
        missing = {key for key in missing if not page.get_by_text(key, exact=True).count()}
        if not missing:
            break
        page.mouse.wheel(0, 600)
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
