"""The registry of evaluation suites, and what a suite states about itself."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from olmix_core.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Evaluation tasks that others publish.

    Attributes:
        name: The name in `olmix tasks import NAME`.
        description: Which tasks it has, for people.
        main_list: The list of tasks to name in a configuration, a file that `import_tasks` writes.
        download: Download the source of the tasks once, and return its file; raises DataError.
        import_tasks: Write the tasks in a source to a folder, with lists of them; returns {task: documents}; raises
            DataError.
    """

    name: str
    description: str
    main_list: str
    download: Callable[[], Path]
    import_tasks: Callable[[Path, Path], dict[str, int]]


_SUITES: dict[str, Suite] = {}


def register(new: Suite) -> None:
    """Add a suite.

    Args:
        new: The suite.

    Raises:
        ValueError: Its name is taken.
    """
    if new.name in _SUITES:
        raise ValueError(f"suite {new.name!r} is registered already; expected another name")
    _SUITES[new.name] = new


def suites() -> tuple[Suite, ...]:
    """List the suites.

    Returns:
        All suites, by name.
    """
    return tuple(_SUITES[name] for name in sorted(_SUITES))


def get_suite(name: str) -> Suite:
    """Look up a suite.

    Args:
        name: Its name.

    Returns:
        The suite.

    Raises:
        DataError: There is no such suite.
    """
    if name not in _SUITES:
        names = ", ".join(f"{each.name} ({each.description})" for each in suites())
        raise DataError(f"SUITE: found {name!r}; expected one of: {names}")
    return _SUITES[name]
