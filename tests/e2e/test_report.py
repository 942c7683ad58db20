"""report.html in a real browser, from disk: whole, quiet, with the numbers of the command line, open to everybody."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page
from typer.testing import CliRunner

from flows.cli.predict import predict

# The fit of 64 domains takes half a minute of a free core, and more of a busy one.
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SWARMS = Path(__file__).resolve().parents[3] / "shared" / "swarms"
WIDTHS = (360, 768, 1280)


@pytest.fixture(scope="module")
def fitted64(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the fit of the released swarm of 64 domains and 52 tasks."""
    if not SWARMS.exists():
        pytest.skip("needs the released swarms in ../shared/swarms")
    from olmix_core.interop.fit import fit_published

    folder = tmp_path_factory.mktemp("all64")
    facts = json.loads((SWARMS / "facts.json").read_text())
    config = {
        "swarm": {name: str(SWARMS / "all64" / f"{name}.csv") for name in ("ratios", "metrics")},
        "priors": {"token_counts": facts["all64"]["token_counts"]},
        "filtering": {"drop_metrics": facts["dropped_metrics"]},
        "regression": {"type": "diminishing_returns"},
        "constraints": {"enabled": True, "target_tokens": facts["target_tokens"], "repetition_factor": 4.0},
    }
    (folder / "all64.yaml").write_text(yaml.safe_dump(config))
    fit_published(folder / "all64.yaml", folder / "out")
    return folder / "out"


@pytest.fixture
def published(finished: Callable[..., Callable[..., Path]], tmp_path: Path) -> Path:
    """The folder of a small mix that a run published."""
    finished()
    return tmp_path / "store/mixes/test/v0001"


@pytest.fixture(params=["published", "fitted64"])
def folder(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def opened(folder: Path, start_browser: Callable[[], Browser]) -> Iterator[Page]:
    """The page from disk; whatever it says on the console or asks of anybody fails the test."""
    context = start_browser().new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "report.html").as_uri())
    yield page
    assert said == []
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [(folder / "report.html").as_uri()]
    context.close()


def test_every_figure_is_drawn(opened: Page) -> None:
    figures = opened.locator("figure")
    assert figures.count() >= 8
    for figure in figures.all():
        name = figure.get_attribute("id")
        box = figure.locator("svg").bounding_box()
        assert box is not None
        assert box["width"] > 300, name
        assert box["height"] > 80, name
        marks = figure.locator("svg :is(path, use, image, text)").evaluate_all(
            "all => all.filter(one => { const box = one.getBoundingClientRect(); return box.width + box.height > 0 })"
            ".length"
        )
        assert marks > 5, name
        assert len(figure.locator("svg").get_attribute("aria-label") or "") > 40, name


def values(page: Page) -> dict[str, tuple[float, float]]:
    """{what: (BPB, standard deviation)} of all numbers of the what-if section, with all digits."""
    found = page.evaluate(
        """() => {
          const value = (one) => [Number(one.dataset.value), Number(one.dataset.std)];
          const found = { objective: value(document.getElementById("whatif-objective")) };
          for (const one of document.querySelectorAll("[id^=whatif-against-]")) found[one.id] = value(one);
          for (const kind of ["families", "tasks"])
            for (const row of document.querySelectorAll(`#whatif-${kind} tbody tr`))
              found[`${kind} ${row.cells[0].textContent}`] = value(row.querySelector("[data-bpb]"));
          return found;
        }"""
    )
    return {name: (float(bpb), float(std)) for name, (bpb, std) in found.items()}


def set_slider(page: Page, leaf: int, weight: float) -> None:
    slider = page.locator("#whatif-leaves [data-slider]").nth(leaf)
    slider.evaluate(
        "(one, value) => { one.value = Math.sqrt(value); one.dispatchEvent(new Event('input', { bubbles: true })) }",
        weight,
    )


def exported(page: Page, kind: str, to: Path) -> Path:
    with page.expect_download() as download:
        page.locator(f"#whatif-{kind}").click()
    path = to / f"what-if.{kind}"
    download.value.save_as(path)
    return path


def test_sliders_say_what_the_command_line_says(opened: Page, folder: Path, tmp_path: Path) -> None:
    before = values(opened)
    set_slider(opened, 0, 0.31)
    opened.locator("#whatif-leaves [data-hold]").nth(0).check()
    set_slider(opened, 1, 0.12)
    opened.locator("#whatif-leaves [data-number]").nth(2).fill("20")
    opened.locator("#whatif-leaves [data-number]").nth(2).press("Tab")
    here = values(opened)
    # The law of such small proxies is nearly flat.
    assert abs(here["objective"][0] - before["objective"][0]) > 1e-5

    app = typer.Typer()
    app.command()(predict)
    said: dict[str, Any] = {}
    for kind in ("csv", "json"):
        file = exported(opened, kind, tmp_path)
        result = CliRunner().invoke(app, [str(folder), "--mix", str(file), "--json"])
        assert result.exit_code == 0, result.output
        said = json.loads(result.stdout)

        def same(name: str, interval: dict[str, float], sign: int = 1) -> None:
            bpb, std = here[name]
            assert sign * bpb == pytest.approx(interval["bpb"], abs=1e-6), name
            half = (interval["high"] - interval["low"]) / 2
            assert 1.6448536269514722 * std == pytest.approx(half, abs=1e-6), name

        same("objective", said["objective"])
        same("whatif-against-natural", said["gain"]["over_natural"], -1)
        for family, interval in said["families"].items():
            same(f"families {family}", interval)
        for task, interval in said["tasks"].items():
            same(f"tasks {task}", interval)
    weights = pd.read_csv(tmp_path / "what-if.csv").set_index("domain")["weight"]
    assert weights.sum() == pytest.approx(1)
    assert weights.iloc[2] == pytest.approx(0.2)
    flagged = opened.locator("#whatif-leaves tr.over th").all_text_contents()
    assert sorted(flagged) == sorted(one["domain"] for one in said["broken_caps"])
    opened.locator("[data-preset=proposed]").click()
    assert values(opened)["objective"] == pytest.approx(before["objective"], abs=1e-12)


def test_task_weights_move_the_mean_to_the_family_that_gets_them_all(opened: Page) -> None:
    slider = opened.locator("#whatif-families [data-slider]").first
    slider.evaluate("one => { one.value = 1; one.dispatchEvent(new Event('input', { bubbles: true })) }")
    found = values(opened)
    family = next(name for name in found if name.startswith("families"))
    assert found["objective"] == pytest.approx(found[family], abs=1e-5)
    opened.locator("#whatif-weights-reset").click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_accessible_by_the_rules_of_wcag(opened: Page, scheme: Any) -> None:
    opened.emulate_media(color_scheme=scheme)
    opened.locator("details").evaluate_all("all => all.forEach(one => { one.open = true })")
    found = Axe().run(opened)
    told = [
        f"{one['id']}: {one['help']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in found.response["violations"]
    ]
    assert told == []


def test_it_fits_every_width_and_prints(opened: Page, folder: Path) -> None:
    for width in WIDTHS:
        opened.set_viewport_size({"width": width, "height": 900})
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    assert len(opened.pdf()) > 20_000
    assert (folder / "report.html").stat().st_size < 5_000_000


def test_tables_sort(opened: Page) -> None:
    table = opened.locator("#mixture table.sortable")
    table.locator("thead button", has_text="epochs").click()
    epochs = [
        float(cell.get_attribute("data-sort") or "nan") for cell in table.locator("tbody tr td:nth-child(6)").all()
    ]
    assert epochs == sorted(epochs, reverse=True)
    table.locator("thead button", has_text="domain").click()
    table.locator("thead button", has_text="domain").click()
    names = table.locator("tbody th").all_text_contents()
    assert names == sorted(names, key=str.lower)


@pytest.mark.parametrize("folder", ["published"], indirect=True)
def test_the_keyboard_reaches_every_control(opened: Page) -> None:
    controls = "a, button, input, summary"
    shown = opened.locator(controls).evaluate_all("all => all.filter(one => one.checkVisibility()).length")
    reached = set()
    for _ in range(shown + 60):  # some regions scroll, and are stops on the way
        opened.keyboard.press("Tab")
        reached.add(
            opened.evaluate("all => [...document.querySelectorAll(all)].indexOf(document.activeElement)", controls)
        )
    assert len(reached - {-1}) == shown
    opened.locator("#whatif-leaves [data-slider]").first.focus()
    before = values(opened)["objective"]
    for _ in range(40):
        opened.keyboard.press("ArrowLeft")
    assert values(opened)["objective"] != before
