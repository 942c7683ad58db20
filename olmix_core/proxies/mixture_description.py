"""Descriptions of mixtures for trainers: what `execution.command` gets, and `olmix swarm export` writes as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.domains import DomainSet
from olmix_core.serialization import JsonRecord, Scalar


@dataclass(frozen=True)
class FileDescription:
    """A file of a domain.

    Attributes:
        path: Path or URL.
        reader: How it is read, as in docs/domains.md.
        dtype: Type of the token ids in files of tokens that do not say it themselves.
    """

    path: str
    reader: str
    dtype: str | None


@dataclass(frozen=True)
class DomainDescription:
    """A domain that has weight.

    Attributes:
        label: Its label.
        content: Fingerprint of its content.
        weight: Its weight.
        files: Its files.
    """

    label: str
    content: str
    weight: float
    files: tuple[FileDescription, ...]


@dataclass(frozen=True)
class MixtureDescription(JsonRecord):
    """A mixture and all that is known of its domains.

    Attributes:
        name: Name of the run.
        weights: {label: weight}, without zeros.
        tokens: Tokens to train on.
        seed: Seed of the run.
        recipe: Identity of the recipe.
        domains: The domains with weight, by label.
    """

    name: str
    weights: Mapping[str, float]
    tokens: int | None
    seed: int
    recipe: Mapping[str, Scalar]
    domains: tuple[DomainDescription, ...]


def describe_mixture(
    name: str, mixture: Mapping[str, float], domains: DomainSet, recipe: ProxyRecipe
) -> MixtureDescription:
    """Describe a mixture.

    Args:
        name: Name of the run.
        mixture: {fingerprint of a leaf: weight}.
        domains: The leaves.
        recipe: Recipe of the proxies.

    Returns:
        The description; leaves without weight are left out.
    """
    described = tuple(
        DomainDescription(
            label=leaf.label,
            content=leaf.fingerprint,
            weight=mixture[leaf.fingerprint],
            files=tuple(
                FileDescription(file.url.removeprefix("file://"), file.reader, file.dtype) for file in leaf.files
            ),
        )
        for leaf in sorted(domains.leaves, key=lambda leaf: leaf.label)
        if mixture.get(leaf.fingerprint, 0.0) > 0
    )
    return MixtureDescription(
        name=name,
        weights={domain.label: domain.weight for domain in described},
        tokens=recipe.tokens,
        seed=recipe.seed,
        recipe=recipe.identity(),
        domains=described,
    )
