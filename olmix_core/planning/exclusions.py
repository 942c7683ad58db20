"""What remains to train on of leaves that hold text that proxies are evaluated on."""

from collections.abc import Mapping

from olmix_core.data.corpus import LeafStatistics
from olmix_core.data.overlap import Overlap
from olmix_core.errors import DataError
from olmix_core.planning.preflight import ResolvedInputs


def check_exclusions(inputs: ResolvedInputs, statistics: Mapping[str, LeafStatistics], overlap: Overlap) -> None:
    """Check that enough of every leaf remains.

    Args:
        inputs: The inputs of the run.
        statistics: {leaf: its statistics}.
        overlap: What is not trained on.

    Raises:
        DataError: A leaf has fewer tokens than a sequence.
    """
    labels, length = inputs.labels, inputs.recipe.sequence_length
    for leaf, found in overlap.leaves.items():
        left = statistics[leaf].available - found.tokens
        if found.exclusion is not None and round(inputs.recipe.share * left) <= length:
            sources = ", ".join(sorted(labels.get(source, source[:12]) for source in found.found))
            raise DataError(
                f"domain {labels[leaf]!r}: found {found.tokens:,} of {statistics[leaf].available:,} tokens that are not"
                f" trained on, since they hold text that proxies are evaluated on ({sources}); expected more than one"
                f" sequence of {length} besides: remove the domain or the task, or add text"
            )
