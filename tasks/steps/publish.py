"""Step `publish`: writes the record of the mix and its artifacts. It is run every time: its effects are its point."""

from collections.abc import Mapping

from prefect import task
from prefect.cache_policies import NO_CACHE

from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.loading import load
from olmix_core.mixes.publish import publish_mix
from olmix_core.mixes.record import MixRecord
from olmix_core.mixes.tables import mix_table
from olmix_core.report import page
from olmix_core.report.charts import charts
from olmix_core.report.markdown import mix_summary, picture
from olmix_core.storage.layout import REPORT_FILE, version_path
from olmix_core.storage.store import Store
from tasks.runtime import progress
from tasks.runtime.artifacts import publish_markdown
from tasks.runtime.registry import Stage

PUBLISH = Stage(name="publish", title="write the record", after="propose", weight=0.0)
PICTURES = ("mixture", "tasks", "target", "lineage")  # charts of the artifact


@task(name="publish", task_run_name="publish", cache_policy=NO_CACHE, persist_result=False)
def publish(draft: MixDraft, store: Store, accounting: Mapping[str, Mapping[str, int]]) -> MixRecord:
    """Publish a mix with its report, and leave its artifact; the same mix again keeps its version.

    Args:
        draft: The mix.
        store: The store.
        accounting: {step: {executed, cached, reused}} of the run.

    Returns:
        The record of the published version.

    Raises:
        StoreError: The store cannot be written.
    """
    progress.current().started(PUBLISH.name)
    record = publish_mix(store, draft, accounting)
    report = version_path(draft.name, record.version, REPORT_FILE)
    mix = load(store, draft.name, record.version)
    if not store.exists(report):
        store.write_bytes(report, page.report_html(mix))
    summary = mix_summary(record, mix_table(draft, None), accounting)
    pictures = [picture(chart.figure(), chart.title) for name in PICTURES if (chart := charts(mix).get(name))]
    where = f"Everything behind it: `{report}` in the store `{store.url}`."
    publish_markdown(
        f"mix-{draft.name}", "\n\n".join([summary, where, *pictures]) + "\n", f"Mixture {draft.name} {record.version}"
    )
    return record
