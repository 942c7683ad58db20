"""CSV files of a swarm as people have them: separators, quotes, marks, white space, columns that are no BPB."""

import csv
import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
from hypothesis import strategies as st

DOMAINS = ["web", "code", "books: new", "математика", "a,b", 'quo"ted']
TASKS = ["gsm", "mbpp", "arc, easy", "任务", "hellaswag_bpb"]
WRONG = [
    "accuracy",
    "ppl",
    "steps",
    "loss",
    "large",
    "negative",
    "text",
    "sum",
    "twice",
    "longer",
    "no id",
    "empty weight",
]


@dataclass(frozen=True)
class DrawnSwarm:
    """The files of a swarm.

    Attributes:
        ratios: Bytes of the mixtures.
        metrics: Bytes of the metrics.
        mixtures: {run: {domain: weight}}.
        bpb: {run: {task: BPB}}, without the cells that are empty.
        wrong: What is wrong, if anything; such files must be refused.
    """

    ratios: bytes
    metrics: bytes
    mixtures: dict[str, dict[str, float]]
    bpb: dict[str, dict[str, float]]
    wrong: str | None


@st.composite
def swarms(draw: st.DrawFn) -> DrawnSwarm:
    """Draw the files of a swarm; something is wrong with one of two."""
    rng = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    runs = [f"run{number}" for number in rng.permutation(draw(st.integers(6, 12)))]
    domains = draw(st.permutations(DOMAINS))[: draw(st.integers(2, len(DOMAINS)))]
    tasks = draw(st.permutations(TASKS))[: draw(st.integers(1, len(TASKS)))]
    mixtures = {run: dict(zip(domains, rng.dirichlet(np.ones(len(domains))).tolist(), strict=True)) for run in runs}
    bpb = {run: dict(zip(tasks, rng.uniform(0.3, 3.0, len(tasks)).tolist(), strict=True)) for run in runs}
    if draw(st.booleans()):
        del bpb[runs[0]][tasks[0]]  # not measured; enough others are
    if not bpb[runs[0]]:
        bpb[runs[0]] = {tasks[0]: 1.0}
    wrong = draw(st.none() | st.sampled_from(WRONG))
    first = _cells(draw, "ratios", mixtures, domains)
    second = _cells(draw, "metrics", bpb, tasks)
    _spoil(draw, wrong, first, second)
    return DrawnSwarm(_written(draw, first), _written(draw, second), mixtures, bpb, wrong)


def _cells(draw: st.DrawFn, kind: str, values: dict[str, dict[str, float]], columns: list[str]) -> list[list[str]]:
    """A header and rows, in any order, with labels beside the values."""
    form = draw(st.sampled_from(["{:.17g}", "{!r}", "{:.20f}", "{:.17e}", "+{:.17g}"]))
    empty = draw(st.sampled_from(["", "", "NaN", "nan", "NA", "null"]))
    labels = draw(st.lists(st.sampled_from(["name", "index", "", "Unnamed: 0"]), unique=True, max_size=2))
    header = draw(st.permutations([draw(st.sampled_from(["run", "run_id"])), *labels, *columns]))
    rows = []
    for run in draw(st.permutations(list(values))):
        cells = {"run": run, "run_id": run, "name": f"{kind} of {run}", "index": "7", "": "3", "Unnamed: 0": "3"}
        cells |= {name: form.format(values[run][name]) if name in values[run] else empty for name in columns}
        rows.append([cells[name] for name in header])
    return [header, *rows]


def _spoil(draw: st.DrawFn, wrong: str | None, ratios: list[list[str]], metrics: list[list[str]]) -> None:
    """Put in what makes the files wrong."""
    if wrong in ("accuracy", "ppl", "steps", "loss", "large", "negative"):
        name = {"accuracy": "arc_acc", "ppl": "wiki/ppl", "steps": "_step", "loss": "val loss"}.get(wrong, "boolq")
        metrics[0].append(name)
        low, high = {"ppl": (21, 60), "steps": (1000, 1000), "large": (30, 90), "negative": (-2, -1)}.get(
            wrong, (0.2, 0.9)
        )
        for number, row in enumerate(metrics[1:]):
            row.append(str(low + (high - low) * number / 12))
    elif wrong in ("text", "sum", "empty weight"):
        table = metrics if wrong == "text" and draw(st.booleans()) else ratios
        column = next(n for n, name in enumerate(table[0]) if name in (*DOMAINS, *TASKS))
        row = draw(st.sampled_from(table[1:]))
        row[column] = {"text": draw(st.sampled_from(["1,5", "x", "0.5.1", "--"])), "sum": "1.9", "empty weight": ""}[
            wrong
        ]
    elif wrong == "twice":
        table = draw(st.sampled_from([ratios, metrics]))
        table.append(list(draw(st.sampled_from(table[1:]))))
    elif wrong == "longer":
        draw(st.sampled_from([ratios, metrics]))[-1] += ["0.5", "0.5"]
    elif wrong == "no id":
        table = draw(st.sampled_from([ratios, metrics]))
        table[0] = ["run name" if name in ("run", "run_id") else name for name in table[0]]


def _written(draw: st.DrawFn, rows: list[list[str]]) -> bytes:
    """A CSV file in one of the ways in which programs write them."""
    pad = draw(st.sampled_from(["", "", " ", "\t"]))
    out = io.StringIO(newline="")
    quoting: Literal[0, 1] = draw(st.sampled_from([0, 1]))  # where needed, everywhere
    end = draw(st.sampled_from(["\n", "\r\n"]))
    writer = csv.writer(out, quoting=quoting, lineterminator=end)
    writer.writerows([[f"{pad}{cell}{pad}" if cell else cell for cell in row] for row in rows])
    text = out.getvalue() + draw(st.sampled_from(["", "", end]))
    return draw(st.sampled_from([b"", b"\xef\xbb\xbf"])) + text.encode()
