"""Bounds and the reference mixture: names in the configuration become sets of leaves and weights of leaves.

A name is the label of a leaf, of a node above leaves (a source, a topic), or of a group of these. The results are
written in fingerprints.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from olmix_core.config.config import Config
from olmix_core.data.domains import DomainSet
from olmix_core.errors import ConfigError
from olmix_core.evidence.atoms import Split, in_atoms
from olmix_core.mixture import Mixture
from olmix_core.proposal.request import Bound

_NATURAL_SHARE = 0.01  # of a reference to the last mix, so that a leaf without weight can come back


@dataclass(frozen=True)
class NamedBounds:
    """Bounds on sets of leaves, and the reference mixture.

    Attributes:
        bounds: The bounds, in the order of their content.
        names: Name of each bound.
        reference: {leaf: weight}; None unless the configuration lists weights.
    """

    bounds: tuple[Bound, ...]
    names: tuple[str, ...]
    reference: Mixture | None


def read_bounds(config: Config, config_file: str, domains: DomainSet) -> NamedBounds:
    """Find the leaves behind every name.

    Args:
        config: The configuration.
        config_file: Its file, for messages.
        domains: The leaves.

    Returns:
        Bounds and reference.

    Raises:
        ConfigError: A name stands for no leaf, or a reference does not cover the leaves.
    """
    proposal = config.proposal
    for group in proposal.groups:
        if domains.under(group):
            raise ConfigError(config_file, f"proposal.groups.{group}", "the name of a domain", "another name")
    named: list[tuple[Bound, str]] = []
    for name, (low, high) in proposal.bounds.items():
        field = f"proposal.bounds.{name}"
        if name in proposal.groups:
            members = proposal.groups[name]
            leaves = {leaf for member in members for leaf in _under(member, config_file, field, domains)}
        else:
            leaves = set(_under(name, config_file, field, domains, groups=proposal.groups))
        named.append((Bound(tuple(sorted(leaves)), low, high), name))
    # In the order of content, so that neither names nor their order are part of identity.
    named.sort(key=lambda pair: (pair[0].leaves, pair[0].low, pair[0].high))
    return NamedBounds(
        bounds=tuple(bound for bound, _ in named),
        names=tuple(name for _, name in named),
        reference=_listed_reference(config, config_file, domains),
    )


def _under(
    name: str, config_file: str, field: str, domains: DomainSet, groups: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, ...]:
    leaves = domains.under(name)
    if not leaves:
        names = ", ".join([*sorted(domains.labels.values()), *(groups or {})])
        raise ConfigError(config_file, field, repr(name), f"a domain, a node above domains, or a group: {names}")
    return tuple(leaf.fingerprint for leaf in leaves)


def _listed_reference(config: Config, config_file: str, domains: DomainSet) -> Mixture | None:
    reference = config.proposal.reference
    if isinstance(reference, str):
        return None
    labels = {label: leaf for leaf, label in domains.labels.items()}
    if reference.keys() != labels.keys():
        odd = sorted(reference.keys() ^ labels.keys())[0]
        state = "nothing" if odd in labels else "a domain that is not there"
        raise ConfigError(config_file, f"proposal.reference.{odd}", state, "a weight for each of " + ", ".join(labels))
    total = sum(reference.values())
    return {labels[label]: weight / total for label, weight in sorted(reference.items())}


def previous_as_reference(
    weights: Mapping[str, float], revised: Mapping[str, str], splits: Split, natural: Mapping[str, float]
) -> Mixture:
    """Write the last mix in the leaves of today.

    A part of an old leaf has its share of the old weight, a merged leaf the sum of its parts. A leaf without a past has
    its natural share. A small share of the natural mixture is added to all.

    Args:
        weights: {old leaf: weight} of the last mix.
        revised: {new leaf: the old leaf that it revises}.
        splits: How leaves are written in atoms.
        natural: {leaf: weight} of the natural mixture.

    Returns:
        {leaf: weight}.
    """
    old = in_atoms(weights, splits)
    atoms = {leaf: in_atoms({revised.get(leaf, leaf): 1.0}, splits).keys() for leaf in natural}
    carried = {leaf: sum(old.get(atom, 0.0) for atom in atoms[leaf]) for leaf in natural}
    has_past = [leaf for leaf in natural if not atoms[leaf].isdisjoint(old)]
    new_share = sum(share for leaf, share in natural.items() if leaf not in has_past)
    total = sum(carried[leaf] for leaf in has_past)
    if total <= 0:
        return dict(natural)
    mixed = {leaf: carried[leaf] / total * (1 - new_share) if leaf in has_past else natural[leaf] for leaf in natural}
    return {leaf: (1 - _NATURAL_SHARE) * mixed[leaf] + _NATURAL_SHARE * natural[leaf] for leaf in natural}
