"""Charts with labels in any script: drawn with the fonts that are installed, and without warnings."""

import io
import warnings
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pytest
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.font_manager import FontEntry
from matplotlib.image import imread

from olmix_core.report import mixture, style
from olmix_core.report.style import report_style, to_png, to_svg

CJK = ["网页:新闻", "コード:日本語", "한국어"]
EMOJI = ["data 🧬", "数学 😀", "👩‍👩‍👧 ok"]
OTHERS = ["हिन्दी", "العربية", "ไทย", "𓀀"]  # scripts that need shaping, and one that hardly any font has
LONG = ["x" * 300, "字" * 300, "two\nlines"]


def chart(labels: list[str]) -> Figure:
    m = len(labels)
    table = pd.DataFrame(
        {
            "domain": labels,
            "weight": np.arange(1, m + 1) / m,
            "natural": np.full(m, 1 / m),
            "cap": np.full(m, 0.3),
            "at_cap": np.zeros(m, dtype=bool),
            "tokens": np.full(m, 1000),
        }
    )
    mixtures = {"natural": table["natural"].to_numpy(), "proposed": table["weight"].to_numpy()}
    with report_style():
        return mixture.bars(table, mixtures, np.ones(m))


@pytest.fixture
def fonts_again() -> Iterator[None]:
    style.fallback_fonts.cache_clear()
    yield
    style.fallback_fonts.cache_clear()


@pytest.mark.parametrize("labels", [CJK, EMOJI, OTHERS, LONG])
def test_no_label_causes_a_warning(labels: list[str]) -> None:
    figure = chart(labels)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        picture = to_png(figure)
        page = to_svg(figure, "p", "weights")
    assert [str(warning.message) for warning in caught] == []
    assert imread(io.BytesIO(picture), format="png").std() > 0.05
    assert labels[0].split(":")[-1][:3] in page  # text stays text: the browser has the fonts


def test_a_chart_that_is_too_small_for_its_labels_causes_no_warning() -> None:
    with report_style():
        figure = Figure(figsize=(0.5, 0.5), layout="constrained")
        figure.subplots().set_ylabel("a long label " * 5, fontsize=30)
        tight = Figure(figsize=(0.5, 0.5), layout="tight")
        tight.subplots().set_ylabel("a long label " * 5, fontsize=30)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        to_png(figure)
        to_png(tight)
    assert caught == []


def test_installed_fonts_follow_the_first_one(monkeypatch: pytest.MonkeyPatch, fonts_again: None) -> None:
    names = ["DejaVu Sans", "IPAexGothic", "Noto Sans CJK JP", "Noto Color Emoji", "Symbola"]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [FontEntry(name=name) for name in names])
    assert style.fallback_fonts() == ("Noto Sans CJK JP", "IPAexGothic", "Symbola")


def test_without_further_fonts_only_the_first_is_looked_up(monkeypatch: pytest.MonkeyPatch, fonts_again: None) -> None:
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [FontEntry(name="DejaVu Sans")])
    assert style.fallback_fonts() == ()
