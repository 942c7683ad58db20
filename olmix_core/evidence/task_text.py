"""Text of tasks that proxies trained on: their BPB on it is no evidence.

The proxies of a run train on no text of its tasks. Those of earlier versions and of other mixes may have: when they
were trained, the task was unknown, or the leaf that its text is held out of, or nobody looked for such text.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from olmix_core.evidence.atoms import ancestors


@dataclass(frozen=True)
class Passages:
    """Passages of a leaf that hold text of a task.

    Attributes:
        leaf: Fingerprint of the leaf.
        name: Name of their list.
    """

    leaf: str
    name: str


@dataclass(frozen=True)
class TaskText:
    """Where text of tasks stands in leaves, and which passages of them proxies left out.

    Attributes:
        holders: {task: passages that hold text of it}, of tasks whose text stands in leaves.
        numbers: Gives the numbers of the passages of a list.
        exclusions: Gives {leaf: name of the list of passages that a proxy did not train on}; None for a proxy that was
            trained elsewhere.
    """

    holders: Mapping[str, Sequence[Passages]]
    numbers: Callable[[str], Collection[int]]
    exclusions: Callable[[str], Mapping[str, str] | None]

    def spoils(self, proxy: str, mixture: Collection[str], tasks: Collection[str]) -> bool:
        """Tell whether a proxy trained on text of some tasks.

        Args:
            proxy: Key of the proxy.
            mixture: Leaves that it trained on.
            tasks: The tasks.

        Returns:
            Whether it trained on text of any of them; False for a proxy that was trained elsewhere.
        """
        everything = (held for task in tasks for held in self.holders.get(task, ()))
        here = [held for held in everything if held.leaf in mixture]
        exclusions = self.exclusions(proxy) if here else None
        return exclusions is not None and not all(self._is_covered(held, exclusions) for held in here)

    def may_spoil(self, proxy: str, mixture: Collection[str], task: str, origins: Mapping[str, Sequence[str]]) -> bool:
        """Tell whether a proxy may have trained on text of a task that was unknown to it.

        Args:
            proxy: Key of the proxy.
            mixture: Leaves that it trained on.
            task: The task.
            origins: {leaf: leaves that its content comes from}. Text of the task in a leaf may have stood in these.

        Returns:
            Whether it may have.
        """
        before = {leaf for held in self.holders.get(task, ()) for leaf in ancestors(held.leaf, origins)}
        return not before.isdisjoint(mixture) or self.spoils(proxy, mixture, [task])

    def _is_covered(self, held: Passages, exclusions: Mapping[str, str]) -> bool:
        name = exclusions.get(held.leaf)
        if name is None or name == held.name:
            return name is not None
        return set(self.numbers(name)).issuperset(self.numbers(held.name))


NO_TASK_TEXT = TaskText({}, lambda _: (), lambda _: None)
