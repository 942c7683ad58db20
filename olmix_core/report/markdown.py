"""Tables, pictures and summaries as Markdown, for the artifacts in the Prefect UI."""

import base64
from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.target_record import TargetRecord
from olmix_core.report.style import to_png
from olmix_core.surrogate.intervals import Interval

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


def mix_summary(record: MixRecord, mix_table: pd.DataFrame, accounting: Mapping[str, Mapping[str, int]]) -> str:
    """Summarise a published version.

    Args:
        record: Its record.
        mix_table: Its mix.csv.
        accounting: {step: {executed, cached, reused}} of the run.

    Returns:
        Predictions, the mixture and the accounting.
    """
    predicted, gain = record.predicted, record.gain["over_natural"]
    rows = [
        {
            "domain": row["domain"],
            "natural": f"{row['natural']:.4f}",
            "weight": f"{row['weight']:.4f}",
            "ratio": f"{row['ratio']:.2f}",
            "epochs": f"{row['epochs']:.2f}",
            "at cap": "yes" if row["at_cap"] else "",
        }
        for row in mix_table.to_dict("records")
    ]
    steps: list[dict[str, Cell]] = [{"step": step, **counts} for step, counts in accounting.items()]
    lines = [
        f"# {record.name} {record.version}",
        "",
        _predictions("at the size of the proxies", predicted, gain),
        "",
        *([_at_target(record.target), ""] if record.target else []),
        *table(rows),
        "",
        *table(steps),
    ]
    return "\n".join(lines) + "\n"


def _predictions(where: str, predicted: Mapping[str, Interval], gain: Interval) -> str:
    natural, proposed = predicted["natural"].bpb, predicted["proposed"].bpb
    return (
        f"Predicted mean BPB {where}: natural **{natural:.4f}**, proposed **{proposed:.4f}**; gain {gain.bpb:.4f}"
        f" ({gain.bpb / natural:.1%}; 90 % interval {gain.low:.4f} to {gain.high:.4f}): **{gain.verdict}**."
    )


def _at_target(target: TargetRecord) -> str:
    return _predictions(target.words, target.predicted, target.gain["over_natural"])


def _is_number(value: Cell) -> bool:
    if isinstance(value, str):
        return value.replace(".", "", 1).replace(",", "").replace("-", "", 1).isdigit()
    return True


def _escape(value: Cell) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")
