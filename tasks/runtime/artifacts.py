"""Artifacts in the Prefect UI: one per step and run, which says what the step did.

They are keyed <step>-<mix>, so that those of later runs form a timeline. An artifact is kept below 1 MB, since it is
stored in Prefect's database.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from prefect.artifacts import create_markdown_artifact

from olmix_core.storage.store import Store

LIMIT = 900_000  # characters
_FOREIGN_LINK = re.compile(r"\[(?=[^\[\]\n]*\]\((?!https?://|data:image/png;))")

P = TypeVar("P")
R = TypeVar("R")

Where = Mapping[str, Any]  # arguments of a step beside its payload: passed on by name, never part of a key


@dataclass(frozen=True)
class Done(Generic[P, R]):
    """A result of a step.

    Attributes:
        payload: What it depends on.
        where: Where things are.
        result: The result.
        state: "executed" or "cached".
        url: Page of its task run in the UI.
    """

    payload: P
    where: Where
    result: R
    state: str
    url: str | None = None


@dataclass(frozen=True)
class Artifacts:
    """Publishes the artifacts of one mix.

    Attributes:
        name: Name of the mix.
        store: The store of the run.
        labels: Labels of leaves and tasks, by fingerprint.
    """

    name: str
    store: Store
    labels: Mapping[str, str]

    def leave(
        self,
        step: str,
        done: Sequence[Done[P, R]],
        describe: Callable[[Sequence[Done[P, R]], "Artifacts"], list[str]],
        key: str,
    ) -> None:
        """Publish what a step did.

        Args:
            step: Name of the step.
            done: Its results.
            describe: Gives the lines of Markdown that say what they are.
            key: Beginning of the key of the artifact.
        """
        counts = Counter(result.state for result in done)
        counted = ", ".join(f"{count} {state}" for state, count in sorted(counts.items(), reverse=True))
        lines = [f"# {step}", "", counted, "", *describe(done, self)]
        publish_markdown(f"{key}-{self.name}", "\n".join(lines) + "\n", f"{step} of {self.name}")

    def label(self, fingerprint: str) -> str:
        """Look up the label of a leaf or task.

        Args:
            fingerprint: Its fingerprint.

        Returns:
            Its label; the beginning of the fingerprint where it has none.
        """
        return self.labels.get(fingerprint, fingerprint[:12])


def publish_markdown(key: str, markdown: str, description: str) -> None:
    """Publish an artifact, without its pictures if it would be too large with them.

    Names of domains and tasks may hold HTML and links: HTML is shown as text, and so is a link to anything but
    a web page or an embedded picture.

    Args:
        key: Key of the artifact.
        markdown: Its content.
        description: Its description in lists.
    """
    markdown = _FOREIGN_LINK.sub(r"\[", markdown.replace("&", "&amp;").replace("<", "&lt;"))
    if len(markdown) > LIMIT:
        kept = [line for line in markdown.splitlines() if not line.startswith("![")]
        markdown = "\n".join([*kept, "", "The pictures are too large to be shown here."])[:LIMIT]
    create_markdown_artifact(key=key, markdown=markdown, description=description)
