"""Tables, pictures and summaries as Markdown, for the artifacts in the Prefect UI."""

import base64
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from olmix_core.report.style import to_png

MAX_ROWS = 600  # of a table

Cell = str | int | float


def picture(figure: Figure, title: str) -> str:
    """Embed a figure.

    Args:
        figure: The figure.
        title: Alternative text.

    Returns:
        An image whose source is a PNG data URI, the only kind that the Prefect UI shows in Markdown.
    """
    return f"![{title}](data:image/png;base64,{base64.b64encode(to_png(figure)).decode()})"


def table(rows: Sequence[Mapping[str, Cell]]) -> list[str]:
    """Format rows as a table, numbers aligned to the right.

    Args:
        rows: {column: cell} each, with the same columns.

    Returns:
        Lines of Markdown; none without rows. Rows past MAX_ROWS are counted in a last line.
    """
    if not rows:
        return []
    columns = list(rows[0])
    right = [all(_is_number(row[name]) for row in rows) for name in columns]
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in right) + "|",
        *("| " + " | ".join(_escape(row[name]) for name in columns) + " |" for row in rows[:MAX_ROWS]),
    ]
    return [*lines, "", f"and {len(rows) - MAX_ROWS} more"] if len(rows) > MAX_ROWS else lines


def _is_number(value: Cell) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).replace(",", "").replace("-", "", 1).isdigit()
    return True


def _escape(value: Cell) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
