"""Step `publish`: writes the record of the mix and its artifacts. It is run every time: its effects are its point."""

from collections.abc import Mapping
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.loading import load
from olmix_core.mixes.publish import publish_mix
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.tables import mix_table
from olmix_core.report import page
from olmix_core.report.charts import charts
from olmix_core.report.markdown import picture, table
from olmix_core.storage.layout import REPORT_FILE, version_path
from olmix_core.storage.store import Store
from tasks.runtime import progress
from tasks.runtime.artifacts import publish_markdown
from tasks.runtime.registry import Stage

PUBLISH = Stage(name="publish", title="write the record", after="propose")
PICTURES = ("mixture", "tasks", "lineage")  # charts of the artifact


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish(mix: MixDraft, store: str, accounting: Mapping[str, Mapping[str, int]]) -> MixRecord:
    """Publish the mix; the same mix again keeps its version."""
    progress.current().started("publish")
    opened = Store(store)
    published = publish_mix(opened, mix, accounting)
    report = version_path(mix.name, published.version, REPORT_FILE)
    found = load(opened, mix.name, published.version)
    if not opened.exists(report):
        opened.write_bytes(report, page.report_html(found))
    words = summary(published, mix_table(mix, None).to_dict("records"), accounting)
    shown = [picture(chart.figure(), chart.title) for name in PICTURES if (chart := charts(found).get(name))]
    where = f"Everything behind it: `{report}` in the store `{opened.url}`."
    publish_markdown(
        f"mix-{mix.name}",
        "\n\n".join([words, where, *shown]) + "\n",
        f"Mixture {mix.name} {published.version}",
    )
    return published


def summary(
    published: MixRecord,
    rows: list[dict[Any, Any]],
    accounting: Mapping[str, Mapping[str, int]],
) -> str:
    """The mixture and what is known of it, as markdown."""
    predicted, gain = published.predicted, published.gain["over_natural"]
    lines = [
        f"# {published.name} {published.version}",
        "",
        f"Predicted mean BPB: natural **{predicted['natural'].bpb:.4f}**, proposed"
        f" **{predicted['proposed'].bpb:.4f}**; gain {gain.bpb:.4f}"
        f" ({gain.bpb / predicted['natural'].bpb:.1%}; 90 % interval"
        f" {gain.low:.4f} to {gain.high:.4f}): **{gain.verdict}**.",
        "",
        *table(
            [
                {
                    "domain": row["domain"],
                    "natural": f"{row['natural']:.4f}",
                    "weight": f"{row['weight']:.4f}",
                    "ratio": f"{row['ratio']:.2f}",
                    "epochs": f"{row['epochs']:.2f}",
                    "at cap": "yes" if row["at_cap"] else "",
                }
                for row in rows
            ]
        ),
        "",
        *table([{"step": step, **counts} for step, counts in accounting.items()]),
    ]
    return "\n".join(lines) + "\n"
