"""What every step leaves in the Prefect UI: an artifact that says what it did, in its own words.

One per step and run, keyed <step>-<mix> (dimensions-<mix> for the plan), so that those of later runs make a timeline.
Pictures are PNG data URIs, the only kind that the UI shows in markdown; an artifact is kept below 1 MB, since it lives
in Prefect's database.
"""

import base64
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from prefect.artifacts import create_markdown_artifact

from olmix_core.data.corpus import LeafStatistics
from olmix_core.formatting import amount, duration
from olmix_core.mixes.runs import from_parquet
from olmix_core.mixes.tables import read_labelled
from olmix_core.report import law, mixture, swarm
from olmix_core.report.style import look, to_png
from olmix_core.storage.layout import DIAGNOSTICS_FILE, RUNS_FILE, evidence_set_path, fit_path, proxy_folder
from olmix_core.storage.results import file_of
from olmix_core.storage.store import Store

LIMIT = 900_000  # characters
MOST_ROWS = 600  # of a table
_FOREIGN_LINK = re.compile(r"\[(?=[^\[\]\n]*\]\((?!https?://|data:image/png;))")
_KEYS = {"plan": "dimensions"}  # plan-<mix> is what is shown before anything is spent
_MOST_PANELS = 12

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """A result of a step: its payload, where things are, the result, and how it came about (executed or cached)."""

    payload: Mapping[str, Any]
    where: Mapping[str, Any]
    result: Mapping[str, Any]
    state: str
    url: str | None = None  # of its page in the UI


@dataclass(frozen=True)
class Artifacts:
    """Leaves the artifacts of one mix. `labels` are those of leaves and tasks, by fingerprint."""

    name: str
    store: str
    labels: Mapping[str, str]

    def leave(self, step: str, done: Sequence[Done]) -> None:
        """Say what `step` did."""
        lines = [f"# {step}", "", _counted(done), "", *_SAY[step](self, done)]
        publish_markdown(f"{_KEYS.get(step, step)}-{self.name}", "\n".join(lines) + "\n", f"{step} of {self.name}")

    def label(self, fingerprint: str) -> str:
        return self.labels.get(fingerprint, fingerprint[:12])


def publish_markdown(key: str, markdown: str, description: str) -> None:
    """Leave markdown under `key`, without its pictures where it would be too large with them.

    What looks like HTML in it is text, and so is a link to anything but what we link to: names of domains and tasks
    may hold either.
    """
    markdown = _FOREIGN_LINK.sub(r"\[", markdown.replace("&", "&amp;").replace("<", "&lt;"))
    if len(markdown) > LIMIT:
        kept = [line for line in markdown.splitlines() if not line.startswith("![")]
        markdown = "\n".join([*kept, "", "The pictures are too large to be shown here."])[:LIMIT]
    create_markdown_artifact(key=key, markdown=markdown, description=description)


def picture(figure: Figure, words: str) -> str:
    """A figure as markdown."""
    return f"![{words}](data:image/png;base64,{base64.b64encode(to_png(figure)).decode()})"


def table(rows: Sequence[Row]) -> list[str]:
    """Rows as a markdown table; numbers to the right."""
    if not rows:
        return []
    columns = list(rows[0])
    right = [all(isinstance(row[name], int | float) or _is_number(row[name]) for row in rows) for name in columns]
    lines = [
        "| " + " | ".join(columns) + " |",
        "|" + "|".join("---:" if number else "---" for number in right) + "|",
        *("| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows[:MOST_ROWS]),
    ]
    return [*lines, "", f"and {len(rows) - MOST_ROWS} more"] if len(rows) > MOST_ROWS else lines


def _is_number(value: Any) -> bool:
    return isinstance(value, str) and value.replace(".", "", 1).replace(",", "").replace("-", "", 1).isdigit()


def _cell(value: Any) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def _counted(done: Sequence[Done]) -> str:
    counts = Counter(one.state for one in done)
    return ", ".join(f"{count} {state}" for state, count in sorted(counts.items(), reverse=True))


def _tokenizer(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    return [f"{one.payload['kind']}, vocabulary of {one.result['vocab_size']}, `{one.result['fingerprint'][:12]}`"]


def _statistics(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    found = [LeafStatistics(**one.result["statistics"]) for one in done]
    total = sum(leaf.available for leaf in found)
    rows = [
        {
            "domain": one.where["label"],
            "state": one.state,
            "documents": f"{leaf.documents:,}",
            "bytes": f"{leaf.bytes:,}",
            "tokens": f"{leaf.tokens:,}",
            "held out": f"{leaf.heldout_tokens:,}",
            "natural share": f"{leaf.available / total:.4f}",
        }
        for one, leaf in zip(done, found, strict=True)
    ]
    return [f"{amount(total)} tokens to train on in {len(done)} domains.", "", *table(rows)]


def _plan(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    found = one.result
    kept, released = set(found["kept"]), set(found["released"])
    rows = []
    for number, column in enumerate(found["columns"]):
        for leaf, share in sorted(column.items(), key=lambda item: -item[1]):
            what = "ratio kept" if leaf in kept else "released" if leaf in released else "free"
            rows.append({"dimension": number, "domain": artifacts.label(leaf), "share": f"{share:.4f}", "": what})
    said = f"{found['runs']} proxies over {len(found['columns'])} free dimensions."
    if found["coupling"] is not None:
        said += f" Coupling {found['coupling']['before']:.4g}, after release {found['coupling']['after']:.4g}."
    return [said, "", *table(rows)]


def _swarm(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    natural = one.payload["natural"]
    leaves = sorted(natural, key=lambda leaf: -natural[leaf])
    weights = np.array([[drawn.get(leaf, 0.0) for leaf in leaves] for drawn in one.result["mixtures"]])
    labels = [artifacts.label(leaf) for leaf in leaves]
    with look():
        figure = swarm.ranges(weights, labels, {"natural": np.array([natural[leaf] for leaf in leaves])})
    least = labels[int(np.argmin((weights > 0).sum(axis=0)))]
    said = f"{len(weights)} mixtures; {least} has weight in the fewest of them, {(weights > 0).sum(axis=0).min()}."
    return [said, "", picture(figure, "Spread of each leaf's weight over the mixtures")]


def _choose(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    gain = one.result["remaining_gain"]
    lines = [f"Before {one.where['label']} about {gain:.4f} BPB are still to be gained."]
    if not one.result["mixtures"]:
        return [*lines, f"That is below the tolerance of {one.payload['tolerance']:g}: the swarm ends here."]
    rows = []
    for number, drawn in enumerate(one.result["mixtures"]):
        heaviest = sorted(drawn.items(), key=lambda item: -item[1])[:5]
        domains = ", ".join(f"{artifacts.label(leaf)} {weight:.0%}" for leaf, weight in heaviest)
        rows.append({"mixture": number, "heaviest domains": domains})
    return [*lines, "The mixtures that would tell most of the best one:", "", *table(rows)]


def _train(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    if not done:
        return ["Nothing is left to explore: no proxy."]
    rows = []
    for one in done:
        heaviest = sorted(one.payload["mixture"].items(), key=lambda item: -item[1])[:3]
        proxy, loss = one.where["label"], one.result.get("loss")
        diverged = "diverged" in one.result
        rows.append(
            {
                "proxy": proxy if one.url is None else f"[{proxy}]({one.url})",
                "state": "diverged" if diverged else one.state,
                "heaviest domains": ", ".join(f"{artifacts.label(leaf)} {weight:.0%}" for leaf, weight in heaviest),
                "tokens": "" if diverged else f"{one.result['tokens']:,}",
                "seconds": "" if diverged else f"{one.result['seconds']:.1f}",
                "last loss": "" if loss is None else f"{loss:.4f}",
                "folder": f"`{proxy_folder(one.result['proxy'])}`",
            }
        )
    trained = [one.result for one in done if "diverged" not in one.result]
    if not trained:
        return ["Every proxy diverged.", "", *table(rows)]
    tokens, seconds = (sum(result[name] for result in trained) for name in ("tokens", "seconds"))
    said = f"{len(trained)} proxies of {trained[0]['parameters']:,} parameters: {amount(tokens)} tokens"
    return [f"{said}, {duration(seconds)} of one worker.", "", *table(rows)]


def _evaluate(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    of_task: dict[str, list[float]] = {}
    for one in done:
        of_task.setdefault(artifacts.label(one.payload["task"]), []).append(one.result["bpb"])
    rows = [
        {
            "task": task,
            "proxies": len(bpb),
            "best BPB": f"{min(bpb):.4f}",
            "mean": f"{np.mean(bpb):.4f}",
            "worst": f"{max(bpb):.4f}",
            "scatter": f"{np.std(bpb):.4f}",
        }
        for task, bpb in sorted(of_task.items())
    ]
    return [*table(rows)]


def _evidence(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    where, key = one.where, one.result["evidence"]
    return [
        f"{len(where['added'])} rows measured in this run, {len(where['carried'])} carried over, of them"
        f" {len(where['pooled'])} of other swarms. What the law is fitted to: `{evidence_set_path(key)}`"
    ]


def _fit(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    store, key = Store(artifacts.store), one.result["fit"]
    errors = read_labelled(file_of(store, one.result, fit_path(key, DIAGNOSTICS_FILE)), "task").set_index("task")
    runs = from_parquet(file_of(store, one.result, fit_path(key, RUNS_FILE)))
    tasks = list(errors.drop(index="objective").sort_values("spearman", na_position="first").index)
    measured, predicted = law.arrays(runs, tasks)
    panels = {"mean": (np.full(len(tasks), 1 / len(tasks)), "")}
    for t, task in enumerate(tasks[: _MOST_PANELS - 1]):
        panels[artifacts.label(task)] = (np.eye(len(tasks))[t], "")
    with look():
        figure = law.scatter(measured, predicted, panels)
    rows = [
        {
            "task": artifacts.label(str(task)) if task != "objective" else "mean over tasks",
            "runs": f"{row['runs']:.0f}",
            "rank correlation": f"{row['spearman']:.3f}",
            "R2": f"{row['r2']:.3f}",
            "mean error (BPB)": f"{row['mae']:.4f}",
            "inside 90 % interval": f"{row['coverage90']:.0%}",
        }
        for task, row in errors.loc[["objective", *tasks]].iterrows()
    ]
    remarks = [f"- task {artifacts.label(task)}: {reason}" for task, reason in one.result["flags"].items()]
    remarks += [f"- {note}" for note in one.result["notes"]]
    said = f"{one.result['family'].replace('_', ' ')}, {one.result['runs']} runs. Errors on runs left out of the fit:"
    return [said, "", *table(rows), "", *remarks, "", picture(figure, "Predicted against measured BPB")]


def _propose(artifacts: Artifacts, done: Sequence[Done]) -> list[str]:
    [one] = done
    found, payload = one.result, one.payload
    leaves = sorted(found["weights"], key=lambda leaf: -found["weights"][leaf])
    frame = pd.DataFrame(
        {
            "domain": [artifacts.label(leaf) for leaf in leaves],
            "weight": [found["weights"][leaf] for leaf in leaves],
            "natural": [payload["natural"][leaf] for leaf in leaves],
            "cap": [found["caps"][leaf] for leaf in leaves],
            "at_cap": [found["at_cap"][leaf] for leaf in leaves],
            "tokens": [payload["tokens"][leaf] for leaf in leaves],
        }
    )
    epochs = found["target_tokens"] / frame["tokens"].to_numpy(np.float64)
    mixtures = {"natural": frame["natural"].to_numpy(), "proposed": frame["weight"].to_numpy()}
    with look():
        figure = mixture.bars(frame, mixtures, epochs)
    rows = [
        {
            "domain": row["domain"],
            "natural": f"{row['natural']:.4f}",
            "weight": f"{row['weight']:.4f}",
            "epochs": f"{row['weight'] * per:.2f}",
            "": "at cap" if row["at_cap"] else "",
        }
        for row, per in zip(frame.to_dict("records"), epochs, strict=True)
    ]
    wishes = f"KL weight {payload['kl']:g}, at most {payload['repetition']:g} epochs"
    said = (
        f"{wishes} in {amount(found['target_tokens'])} tokens. Solver: {found['status']}; no feasible mixture is"
        f" better by more than {found['gap']:.1g} BPB."
    )
    return [said, "", *table(rows), "", picture(figure, "Natural and proposed weights")]


_SAY: dict[str, Callable[[Artifacts, Sequence[Done]], list[str]]] = {
    "tokenizer": _tokenizer,
    "statistics": _statistics,
    "plan": _plan,
    "swarm": _swarm,
    "choose": _choose,
    "train": _train,
    "evaluate": _evaluate,
    "evidence": _evidence,
    "fit": _fit,
    "propose": _propose,
}
