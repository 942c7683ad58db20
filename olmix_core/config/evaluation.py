"""The section `evaluation` of the configuration: tasks, and lists of tasks in files of their own."""

from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from olmix_core.config.base import Label, Section

KINDS = ("file", "text", "heldout", "metric", "list")


class Task(Section):
    """Something a proxy is measured on, in bits per byte; or a list of such things."""

    name: Label | None = Field(None, description="Label of the task; default: the name of the file, domain or metric.")
    file: str | None = Field(None, description="JSON lines of documents, each a context and a continuation.")
    text: list[str] | None = Field(None, description="Files, folders or globs of plain text; all text is scored.")
    heldout: str | None = Field(None, description="A leaf, or a node above leaves, whose held-out text is scored.")
    metric: Label | None = Field(None, description="Name of a metric that your own trainer reports.")
    list: str | None = Field(None, description="A YAML file with a list of tasks.")
    family: Label | None = Field(
        None, description="Family of the task, for a mean over families; default: a separate family."
    )
    sample: PositiveInt | None = Field(None, description="Number of documents of the file to score; default: all.")
    sample_seed: NonNegativeInt = Field(0, description="Seed of the sample.")
    weight: PositiveFloat = Field(1.0, description="Weight of the task in the mean that is minimised.")

    @field_validator("text", mode="before")
    @classmethod
    def _one_path_is_a_list(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_kind(self) -> "Task":
        kinds = [kind for kind in KINDS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise ValueError(
                f"found {' and '.join(kinds) or 'none of them'}; expected exactly one of {', '.join(KINDS)}"
            )
        if self.sample is not None and kinds[0] not in ("file", "list"):
            raise ValueError(f"found sample with {kinds[0]}; expected it with file or list only")
        if self.list is not None and (self.name or self.family):
            raise ValueError("found a name or family of a list; expected those of its tasks, in the list's file")
        return self

    @property
    def label(self) -> str:
        """Label of the task, by default the name of its file, domain or metric."""
        named = self.name or self.heldout or self.metric
        return named or PurePosixPath(self.file or (self.text or [""])[0]).stem

    def placed(self, place: Callable[[str], str]) -> "Task":
        """Resolve the paths of the task.

        Args:
            place: Resolves a path.

        Returns:
            The task with resolved paths.
        """
        return self.model_copy(
            update={
                "file": place(self.file) if self.file else None,
                "text": [place(path) for path in self.text] if self.text else None,
                "list": place(self.list) if self.list else None,
            }
        )


class TaskList(Section):
    """A file that lists tasks."""

    tasks: list[Task] = Field(min_length=1, description="The tasks; none is a list itself.")

    @model_validator(mode="after")
    def _no_list_of_lists(self) -> "TaskList":
        if any(task.list is not None for task in self.tasks):
            raise ValueError("found a list in a list of tasks; expected tasks")
        return self


class Evaluation(Section):
    """The tasks whose mean BPB the mixture minimises."""

    tasks: list[Task] = Field(min_length=1, description="The tasks; the mixture minimises their mean BPB.")
    average: Literal["tasks", "families"] = Field(
        "tasks",
        description="tasks: the mean over tasks. families: the mean over families of the mean over their tasks.",
    )
    family_weights: dict[str, PositiveFloat] = Field(
        {}, description="Weights of families in the mean over families; default: 1."
    )

    @model_validator(mode="after")
    def _labels_differ(self) -> "Evaluation":
        labels = [task.label for task in self.tasks if task.list is None]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"found two tasks called {label!r}; expected different names")
        if self.family_weights and self.average != "families":
            raise ValueError("found family_weights with average: tasks; expected average: families")
        families = [task.family or task.label for task in self.tasks]
        for family in self.family_weights if len(labels) == len(self.tasks) else ():  # lists are read later
            if family not in families:
                names = ", ".join(dict.fromkeys(families))
                raise ValueError(f"found a weight for the family {family!r}; expected one of {names}")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """{label: weight of the task in the mean}; the tasks of a family share its weight by their own weights."""
        if self.average == "tasks":
            return {task.label: task.weight for task in self.tasks}
        totals: dict[str, float] = {}
        for task in self.tasks:
            family = task.family or task.label
            totals[family] = totals.get(family, 0.0) + task.weight
        return {
            task.label: self.family_weights.get(family, 1.0) * task.weight / totals[family]
            for task in self.tasks
            for family in [task.family or task.label]
        }
