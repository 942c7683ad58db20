"""Checks of the recipes of anchors, before anything is trained."""

from collections.abc import Mapping

from olmix_core.config.config import Config
from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.corpus import LeafStatistics
from olmix_core.errors import ConfigError
from olmix_core.evidence.anchors import LEAST_FACTOR
from olmix_core.evidence.scales import scale_of
from olmix_core.formatting import amount


def count_anchors(
    config: Config, config_file: str, vocab_size: int, recipe: ProxyRecipe
) -> tuple[tuple[ProxyRecipe, int], ...]:
    """Replace relative settings of the recipes of anchors by numbers, and check that anchors are larger than proxies.

    Args:
        config: The configuration.
        config_file: Its file, for messages.
        vocab_size: Entries of the vocabulary.
        recipe: The recipe of the proxies, with its number of tokens.

    Returns:
        Each recipe with its number of tokens, and how many anchors there are of it.

    Raises:
        ConfigError: An anchor has less than `LEAST_FACTOR` times the FLOPs of a proxy, or another trainer.
    """
    anchors = []
    proxies = scale_of(recipe.identity())
    for position, entry in enumerate(config.anchors):
        counted = entry.proxy.counted(vocab_size, config.proposal.run_tokens)
        size = scale_of(counted.identity())
        assert size is not None  # of a recipe of this version
        assert proxies is not None
        if size.flops < LEAST_FACTOR * proxies.flops:
            raise ConfigError(
                config_file,
                f"anchors[{position}]",
                f"{size}, {size.flops / proxies.flops:.2g} times the FLOPs of a proxy ({proxies})",
                f"at least {LEAST_FACTOR:g} times, without embeddings: a larger model, or more tokens",
            )
        if (entry.trainer is None) != (config.proxy.trainer is None):
            raise ConfigError(
                config_file,
                f"anchors[{position}].trainer",
                f"{entry.trainer!r} beside proxy.trainer {config.proxy.trainer!r}",
                "a trainer of your own for both, or for neither",
            )
        anchors.append((counted, entry.runs))
    return tuple(anchors)


def check_anchor_data(
    config: Config,
    config_file: str,
    anchors: tuple[tuple[ProxyRecipe, int], ...],
    statistics: Mapping[str, LeafStatistics],
    labels: Mapping[str, str],
) -> None:
    """Check that anchors find enough text.

    Args:
        config: The configuration.
        config_file: Its file, for messages.
        anchors: The recipes, with their number of tokens.
        statistics: {leaf: its statistics}.
        labels: {leaf: its label}.

    Raises:
        ConfigError: An anchor would repeat the data too often, or a leaf is shorter than a sequence of it.
    """
    limit = int(sum(leaf.available for leaf in statistics.values()) * config.proposal.repetition)
    shortest = min(statistics, key=lambda leaf: statistics[leaf].available)
    for position, (recipe, _) in enumerate(anchors):
        assert recipe.tokens is not None
        if recipe.tokens > limit:
            raise ConfigError(
                config_file,
                f"anchors[{position}].tokens",
                f"{amount(recipe.tokens)} tokens",
                f"at most {amount(limit)}, which repeats all of the data {config.proposal.repetition:g} times",
            )
        used = round(recipe.share * statistics[shortest].available)
        if used <= recipe.sequence_length:
            raise ConfigError(
                config_file,
                f"anchors[{position}].sequence_length",
                f"{recipe.sequence_length}, with {used} tokens of {labels[shortest]} to train on",
                "sequences shorter than every domain",
            )
