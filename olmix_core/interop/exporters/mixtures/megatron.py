"""Blends of Megatron-LM: alternating weights and prefixes, for its option --data-path."""

from olmix_core.errors import DataError
from olmix_core.interop.exporters.mixtures.base import MIXTURE_EXPORTERS, MixtureExporter, SwarmExport


def blend(swarm: SwarmExport, number: int) -> str:
    """Describe a mixture as a blend: weight and prefix of every file. Files share the weight of a leaf by size.

    Args:
        swarm: The swarm.
        number: Position of the mixture.

    Returns:
        The blend, one line.

    Raises:
        DataError: If a leaf has files that are not Megatron's.
    """
    from olmix_core.storage.filesystem import filesystem

    parts = []
    for leaf, weight in swarm.weighted_leaves(number):
        if any(file.index is None for file in leaf.files):
            raise DataError(
                f"domain {leaf.label!r}: found files that are not Megatron's; expected .bin with .idx beside"
            )
        sizes = {}
        for file in leaf.files:
            fs, path = filesystem(file.url)
            sizes[file.url] = int(fs.size(path))
        for url, size in sizes.items():
            prefix = url.removeprefix("file://").removesuffix(".bin")
            parts.append(f"{weight * size / sum(sizes.values()):.12g} {prefix}")
    return " ".join(parts) + "\n"


MIXTURE_EXPORTERS.register(
    MixtureExporter("megatron", ".txt", "weights and prefixes for Megatron's --data-path", blend)
)
