"""Mixtures as JSON, with everything that is known of their domains. `execution.command` is given the same."""

import json

from olmix_core.interop.exporters.mixtures.base import MIXTURE_EXPORTERS, MixtureExporter, SwarmExport


def _render(swarm: SwarmExport, number: int) -> str:
    from olmix_core.proxies.mixture_description import describe_mixture

    description = describe_mixture(swarm.run_name(number), swarm.mixtures[number], swarm.domains, swarm.recipe)
    return json.dumps(description.to_json(), indent=1) + "\n"


MIXTURE_EXPORTERS.register(MixtureExporter("json", ".json", "a full description of the mixture", _render))
