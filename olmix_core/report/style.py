"""The style of charts, and their conversion to parts of a page (SVG) or to pictures (PNG).

On a page a chart is inline SVG whose colours are CSS variables, so that it follows the page from light to dark; text
stays text. Elsewhere it is a PNG. Colours are those of Okabe and Ito (2008), which all kinds of colour vision tell
apart, and no chart relies on colour alone.
"""

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import matplotlib as mpl
from markupsafe import escape
from matplotlib import font_manager
from matplotlib.figure import Figure

INK, FAINT, PAPER = "#1b1f24", "#8b939c", "#fdfefe"
NATURAL, PREVIOUS, PROPOSED = "#7d8791", "#e69f01", "#0072b3"
GOOD, BAD = "#009e74", "#d55e01"
PALETTE = (PROPOSED, PREVIOUS, GOOD, "#cc79a8", "#56b4ea", BAD, "#b8a800", NATURAL)

# No other part of a figure has exactly these colours, so that they can be recognised in the SVG.
_VARIABLES = {
    INK: "--ink",
    FAINT: "--faint",
    PAPER: "--paper",
    NATURAL: "--natural",
    PREVIOUS: "--previous",
    PROPOSED: "--proposed",
    GOOD: "--good",
    BAD: "--bad",
}
_SETTINGS: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "olmix",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": FAINT,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "text.parse_math": False,
    "image.cmap": "cividis",
}
# Fonts for letters and symbols that the first font lacks; of each line the first that is installed. Matplotlib cannot
# draw fonts of coloured emoji.
_MORE_FONTS = (
    ("Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "Arial Unicode MS", "Droid Sans Fallback"),
    ("Noto Sans SC", "PingFang SC", "Microsoft YaHei", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei"),
    ("Noto Sans JP", "Hiragino Sans", "Yu Gothic", "IPAexGothic", "IPAGothic", "TakaoGothic"),
    ("Noto Sans CJK KR", "Noto Sans KR", "Apple SD Gothic Neo", "Malgun Gothic", "NanumGothic"),
    ("Noto Emoji", "Symbola", "Segoe UI Emoji", "Segoe UI Symbol"),
    ("Noto Sans Symbols2", "Noto Sans Symbols", "FreeSans", "Unifont"),
)
# Warnings about labels: letters that no font has are boxes, and a label may be too long for its chart.
_UNAVOIDABLE = (
    "Glyph .* missing from",
    ".*[Tt]ight.layout",
    "constrained_layout",
    "Matplotlib currently does not support",
)
_DPI = 110
_SMALLEST, _LARGEST = 0.7, 1.45  # of its natural size, within which a chart follows the page's width


@contextmanager
def report_style() -> Iterator[None]:
    """Make figures in the style of the report within the context.

    Yields:
        Nothing; the style ends with the context.
    """
    with mpl.rc_context({**_SETTINGS, "font.family": ["sans-serif", *fallback_fonts()]}):
        yield


@cache
def fallback_fonts() -> tuple[str, ...]:
    """Find the fonts in which letters are looked up that matplotlib's own font lacks.

    Returns:
        The first installed font of each line of `_MORE_FONTS`.
    """
    installed = {font.name for font in font_manager.fontManager.ttflist}
    first = (next((name for name in names if name in installed), None) for names in _MORE_FONTS)
    return tuple(name for name in first if name is not None)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the warnings of `_UNAVOIDABLE` within the context."""
    with warnings.catch_warnings():
        for message in _UNAVOIDABLE:
            warnings.filterwarnings("ignore", message=message, category=UserWarning)
        yield


def to_svg(figure: Figure, prefix: str, label: str) -> str:
    """Convert a figure to an <svg> element of a page.

    Args:
        figure: The figure.
        prefix: Prefix of all ids in it.
        label: Text alternative.

    Returns:
        The element, its colours as CSS variables.
    """
    buffer = io.StringIO()
    with report_style(), _quiet():
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    # The page's own font, and coordinates to a hundredth of a point.
    svg = re.sub(r"font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r'\b(?:d|x|y)="[^"]*"', lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)
    svg = re.sub(r"url\(#", f"url(#{prefix}-", svg)
    svg = re.sub(r'href="#', f'href="#{prefix}-', svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    # As wide as the page, within reason; where it would become too small to read, it scrolls.
    natural = figure.get_figwidth() * 96
    limits = f"min-width:{_SMALLEST * natural:.0f}px;max-width:{_LARGEST * natural:.0f}px"
    svg = re.sub(r'(<svg\b[^>]*?) width="[\d.]+pt"', rf'\1 style="{limits}"', svg, count=1)
    svg = re.sub(r'(<svg\b[^>]*?) height="[\d.]+pt"', r"\1", svg, count=1)
    named = svg.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)
    return re.sub(r">\s*\n\s*<", "><", named)


def to_png(figure: Figure) -> bytes:
    """Convert a figure to a picture on white.

    Args:
        figure: The figure.

    Returns:
        The content of a PNG file; equal figures are equal files.
    """
    buffer = io.BytesIO()
    with report_style(), _quiet():
        figure.savefig(buffer, format="png", dpi=_DPI, facecolor="white", metadata={"Software": None})
    return buffer.getvalue()


def short(name: object, length: int = 34) -> str:
    """Shorten a label.

    Args:
        name: The label.
        length: Characters at most.

    Returns:
        The label, cut where it is longer.
    """
    text = str(name)
    return text if len(text) <= length else f"{text[: length - 3]}..."
