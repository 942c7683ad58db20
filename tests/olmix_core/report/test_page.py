"""report.html: whole, self-contained, and safe from what labels say."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from olmix_core.mixes.loading import load_folder
from olmix_core.report.charts import charts
from olmix_core.report.page import report_html


class Page(HTMLParser):
    """What a page refers to, which ids it has, and how its tags nest."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")


@pytest.fixture(scope="module")
def page(fitted: Path) -> str:
    return (fitted / "report.html").read_text(encoding="utf-8")


def test_nothing_is_asked_of_anybody(page: str) -> None:
    found = Page()
    found.feed(page)
    assert all(reference.startswith(("#", "data:")) for reference in found.references)
    assert not re.search(r"@import|url\((?!#|data:)", page)


def test_every_chart_is_there_with_its_words(page: str, fitted: Path) -> None:
    found = charts(load_folder(fitted))
    assert {"mixture", "tasks", "predictions", "effects", "responses", "swarm", "spread", "evidence"} <= set(found)
    for name, chart in found.items():
        figure = re.search(rf'<figure id="figure-{name}">.*?</figure>', page, re.S)
        assert figure, name
        assert chart.title in html.unescape(figure[0])
        assert 'role="img" aria-label="' in figure[0]
        assert len(re.findall(r"<(?:path|use|text|image)\b", figure[0])) > 5, f"{name} is empty"


def test_ids_are_unique(page: str) -> None:
    found = Page()
    found.feed(page)
    twice = {name for name in found.ids if found.ids.count(name) > 1}
    assert not twice


def test_labels_are_text_and_nothing_else(page: str) -> None:
    assert "<script>blogs" not in page
    assert "web:&lt;/script&gt;&lt;script&gt;blogs" in page
    assert "math &amp; [logic]" in page


def test_pages_of_the_same_mix_are_the_same(page: str, fitted: Path) -> None:
    assert report_html(load_folder(fitted)).decode() == page


def test_a_mix_of_one_leaf_and_one_task_has_a_page(fitted: Path) -> None:
    """The smallest there can be: nothing to compare, cluster or project."""
    from dataclasses import replace

    import numpy as np

    from olmix_core.mixes.runs import FittedRun
    from olmix_core.surrogate.data import SwarmData
    from olmix_core.surrogate.fit import cross_validate, fit
    from olmix_core.surrogate.settings import FitSettings

    mix = load_folder(fitted)
    y = np.array([[1.0], [1.1], [1.05], [1.02], [0.99], [1.01]])
    evidence = SwarmData(np.ones((6, 1)), y, tuple("abcdef"), ("all",), ("coding",))
    runs = [
        FittedRun(run, {"all": 1.0}, {"coding": float(y[k, 0])}, {"coding": 1.0}, {"coding": 0.1})
        for k, run in enumerate("abcdef")
    ]
    small = replace(
        mix,
        table=mix.table.head(1).assign(domain="all", weight=1.0, natural=1.0),
        surrogate=fit(evidence, FitSettings(family="log_linear")),
        columns=np.ones((1, 1)),
        runs=runs,
        diagnostics=cross_validate(evidence, FitSettings(family="log_linear")).table(),
        record=mix.record.model_copy(update={"tasks": [task for task in mix.record.tasks if task.name == "coding"]}),
    )
    page = report_html(small).decode()
    assert page.count("<figure") == len(charts(small))
