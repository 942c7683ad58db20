"""Source mixtures of OLMo-core, in YAML: the fields of its SourceMixtureDatasetConfig."""

import yaml

from olmix_core.interop.exporters.mixtures.base import MIXTURE_EXPORTERS, MixtureExporter, SwarmExport
from olmix_core.serialization import JsonObject


def source_mixture(swarm: SwarmExport, number: int) -> JsonObject:
    """Describe a mixture as a SourceMixtureDatasetConfig: paths with a target ratio.

    Args:
        swarm: The swarm.
        number: Position of the mixture.

    Returns:
        Fields of the configuration.
    """
    sources = [
        {
            "source_name": leaf.label,
            "target_ratio": weight,
            "max_repetition_ratio": swarm.repetition,
            "paths": [file.url for file in leaf.files],
        }
        for leaf, weight in swarm.weighted_leaves(number)
    ]
    return {
        "source_list": {"sources": sources},
        "requested_tokens": swarm.recipe.tokens,
        "seed": swarm.recipe.seed,
    }


def _render(swarm: SwarmExport, number: int) -> str:
    return yaml.safe_dump(source_mixture(swarm, number), sort_keys=False, allow_unicode=True, width=10_000)


MIXTURE_EXPORTERS.register(
    MixtureExporter("olmo-core", ".yaml", "fields of OLMo-core's SourceMixtureDatasetConfig", _render)
)
