"""Mixture exporters, and the swarm that they export."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from olmix_core.registry import Registry
from olmix_core.serialization import JsonMapping

if TYPE_CHECKING:
    from olmix_core.config.recipe import ProxyRecipe
    from olmix_core.data.domains import DomainSet, Leaf


@dataclass(frozen=True)
class SwarmExport:
    """The mixtures of a swarm, and the data that trainers need beside them.

    Attributes:
        name: Name of the swarm.
        mixtures: Mixtures {fingerprint of a leaf: weight}; weights sum to 1.
        domains: The leaves.
        recipe: Recipe of the proxies.
        repetition: Epochs of a leaf at most.
        template: Fields of a launch configuration that are kept, for formats that have one.
    """

    name: str
    mixtures: Sequence[Mapping[str, float]]
    domains: "DomainSet"
    recipe: "ProxyRecipe"
    repetition: float
    template: JsonMapping = field(default_factory=dict)  # YAML of another program, passed through

    def run_name(self, number: int) -> str:
        """Name a run.

        Args:
            number: Position of its mixture.

        Returns:
            The name, by which results are read back.
        """
        return f"{self.name}-{number:03d}"

    def weighted_leaves(self, number: int) -> "list[tuple[Leaf, float]]":
        """List the leaves of a mixture.

        Args:
            number: Position of the mixture.

        Returns:
            Leaves with weight, and their weights, by label.
        """
        mixture = self.mixtures[number]
        leaves = sorted(self.domains.leaves, key=lambda leaf: leaf.label)
        return [(leaf, mixture[leaf.fingerprint]) for leaf in leaves if mixture.get(leaf.fingerprint, 0.0) > 0]


@dataclass(frozen=True)
class MixtureExporter:
    """A format in which a mixture is written.

    Attributes:
        name: Value of `--format`.
        suffix: Suffix of the files, with the dot.
        description: The format in a few words, for `--help`.
        render: Text of the file of the mixture at a position. Raises DataError where the format cannot express it.
    """

    name: str
    suffix: str
    description: str
    render: Callable[[SwarmExport, int], str]


MIXTURE_EXPORTERS: Registry[MixtureExporter] = Registry("mixture exporter")
