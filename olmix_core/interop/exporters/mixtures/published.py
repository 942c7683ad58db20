"""Launch configurations of the published tool (allenai/olmix), in YAML."""

from typing import TYPE_CHECKING, TypeAlias

import yaml

from olmix_core.interop.exporters.mixtures.base import MIXTURE_EXPORTERS, MixtureExporter, SwarmExport
from olmix_core.serialization import JsonObject

if TYPE_CHECKING:
    from olmix_core.data.domains import Leaf

Node: TypeAlias = "dict[str, Node] | tuple[Leaf, float]"  # children by name, or a leaf with its weight

_LEVELS = ("topics", "quality")  # names of the lists below a source


def launch_configuration(swarm: SwarmExport, number: int) -> JsonObject:
    """Describe a mixture as a launch configuration: sources, topics and quality buckets with nested weights.

    Args:
        swarm: The swarm.
        number: Position of the mixture.

    Returns:
        Name, data and mix, after the fields of the template. A weight is a share of the level above.
    """
    tree: dict[str, Node] = {}
    for leaf, weight in swarm.weighted_leaves(number):
        *above, last = leaf.label.split(":")
        node = tree
        for part in above:
            child = node.setdefault(part, {})
            assert isinstance(child, dict)  # no label is the beginning of another
            node = child
        node[last] = (leaf, weight)
    return {
        **swarm.template,
        "name": swarm.run_name(number),
        "data": {"sources": [_source(name, node, 0) for name, node in tree.items()]},
        "mix": _nested_weights(tree, swarm.repetition),
    }


def _weight(node: Node) -> float:
    return node[1] if isinstance(node, tuple) else sum(_weight(child) for child in node.values())


def _source(name: str, node: Node, depth: int) -> JsonObject:
    if isinstance(node, tuple):
        return {"name": name, "paths": [file.url for file in node[0].files]}
    return {"name": name, _LEVELS[depth]: [_source(child, below, depth + 1) for child, below in node.items()]}


def _nested_weights(node: dict[str, Node], repetition: float) -> JsonObject:
    total = _weight(node)
    return {
        name: {"weight": _weight(below) / total, "repetition_factor": repetition}
        if isinstance(below, tuple)
        else {"weight": _weight(below) / total, **_nested_weights(below, repetition)}
        for name, below in node.items()
    }


def _render(swarm: SwarmExport, number: int) -> str:
    configuration = launch_configuration(swarm, number)
    return yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True, width=10_000)


MIXTURE_EXPORTERS.register(MixtureExporter("olmix", ".yaml", "the published tool's launch configuration", _render))
