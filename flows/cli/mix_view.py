"""How a mixture looks in a terminal."""

from collections.abc import Mapping

import pandas as pd
from rich.bar import Bar
from rich.console import Group
from rich.table import Table
from rich.text import Text

from olmix_core.evidence.compatibility import describe_exclusions
from olmix_core.formatting import amount
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.tables import SAMPLE_COLUMN
from olmix_core.surrogate.intervals import Interval


def mixture_table(mixture: pd.DataFrame) -> Table:
    """Show a mixture, with a bar for each weight.

    Args:
        mixture: mix.csv, a row per leaf.

    Returns:
        A table; the previous weights are a column where there are any.
    """
    has_previous = bool(mixture["previous"].notna().any())
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("domain", style="bold", overflow="fold")
    for name in ("tokens", "natural", *(["previous"] if has_previous else []), "weight"):
        table.add_column(name, justify="right")
    table.add_column("", no_wrap=True)
    for name in ("x natural", "epochs"):
        table.add_column(name, justify="right")
    highest = mixture["weight"].max()
    for row in mixture.to_dict("records"):
        previous = f"{row['previous']:.4f}" if pd.notna(row["previous"]) else "-"
        table.add_row(
            Text(row["domain"]),
            amount(row["tokens"]) + ("*" if pd.notna(row.get(SAMPLE_COLUMN)) else ""),
            f"{row['natural']:.4f}",
            *([previous] if has_previous else []),
            f"{row['weight']:.4f}",
            Bar(highest, 0, row["weight"], width=16),
            f"{row['ratio']:.2f}",
            f"{row['epochs']:.2f}{' cap' if row['at_cap'] else ''}" if pd.notna(row["epochs"]) else "-",
        )
    return table


def mix_view(record: MixRecord, mixture: pd.DataFrame, folder: str) -> Group:
    """Show a published mix: its mixture, its predicted gain, and where its files are.

    Args:
        record: Its record.
        mixture: Its mix.csv.
        folder: URL of its folder.

    Returns:
        The view.
    """
    return Group(_heading(record), mixture_table(mixture), _prediction(record), _remarks(record, folder))


def _heading(record: MixRecord) -> Text:
    proxies = record.proxies
    earlier = proxies.carried_over - proxies.pooled
    evidence = [f"{proxies.swarm} proxies of {amount(proxies.parameters or 0)} parameters"] if proxies.swarm else []
    evidence += [f"{earlier} proxies of earlier versions"] if earlier else []
    evidence += [f"{proxies.pooled} of other swarms on record"] if proxies.pooled else []
    text = Text()
    text.append(f"\n{record.name} {record.version}", style="bold")
    text.append(f"  learnt from {' and '.join(evidence)}; for a run of {amount(record.target_tokens)} tokens\n")
    return text


def _prediction(record: MixRecord) -> Text:
    text = _predictions("at the size of the proxies", record.predicted, record.gain)
    if record.target is not None:
        target = record.target
        text.append("\n")
        text.append(_predictions(target.words, target.predicted, target.gain))
        slopes = sorted(task.slope for task in target.tasks)
        text.append(
            f"\n  slopes of the tasks (BPB here per BPB at the size of the proxies): {slopes[0]:.2f} to"
            f" {slopes[-1]:.2f}; {target.basis}\n"
        )
    return text


def _predictions(where: str, predicted: Mapping[str, Interval], gains: Mapping[str, Interval]) -> Text:
    text = Text()
    text.append(f"\npredicted mean BPB {where} (lower is better), 90 % interval", style="bold")
    for name in ("natural", "previous", "proposed"):
        if name in predicted:
            bpb = predicted[name]
            text.append(f"\n  {name:<9} {bpb.bpb:.4f}  ({bpb.low:.4f} to {bpb.high:.4f})")
    for name, gain in gains.items():
        reference = predicted[name.removeprefix("over_")].bpb
        text.append(
            f"\n  gain {name.replace('_', ' ')}: {gain.bpb:.4f}"
            f" ({gain.low:.4f} to {gain.high:.4f}), {gain.bpb / reference:.1%}{gain.caution}"
        )
    return text


def _remarks(record: MixRecord, folder: str) -> Text:
    """Flagged tasks, proxies that were left out, notes, and the folder."""
    text, left_out = Text(), record.proxies.left_out
    for task, reason in record.flags.items():
        text.append(f"  task {task}: {reason}\n", style="yellow")
    if left_out:
        text.append(f"  proxies on record that were left out: {describe_exclusions(left_out)}\n", style="yellow")
    for note in record.notes:
        text.append(f"  note: {note}\n", style="yellow")
    text.append("\nfiles  ", style="bold")
    text.append(folder)
    return text
