"""The registry of evaluation suites, and what a suite states about itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from olmix_core.errors import DataError
from olmix_core.registry import Registry


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Evaluation tasks that others publish.

    Attributes:
        name: The name in `olmix tasks import NAME`.
        description: Which tasks it has, for people.
        main_list: The list of tasks to name in a configuration, a file that `import_tasks` writes.
        download: Download the source of the tasks once, and return its file; raises DataError.
        import_tasks: (source, folder) to {task: documents}. Writes `<task>.jsonl`, a document {context, continuation} a
            line, and lists of tasks: YAML files of [{file, family, sample}], one of them `main_list`. Raises DataError.
    """

    name: str
    description: str
    main_list: str
    download: Callable[[], Path]
    import_tasks: Callable[[Path, Path], dict[str, int]]


SUITES: Registry[Suite] = Registry("suite")


def get_suite(name: str) -> Suite:
    """Look up a suite.

    Args:
        name: Its name.

    Returns:
        The suite.

    Raises:
        DataError: There is no such suite.
    """
    if name not in SUITES:
        names = ", ".join(f"{suite.name} ({suite.description})" for suite in SUITES.values())
        raise DataError(f"SUITE: found {name!r}; expected one of: {names}")
    return SUITES[name]
