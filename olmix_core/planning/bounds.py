"""What a configuration bounds by name, as sets of leaves; and what the mixture is pulled towards, as weights of leaves.

Names are labels: a leaf, a node above leaves (a source, a topic), or a group of such. From here on only content counts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from olmix_core.config.config import Config
from olmix_core.data.domains import DomainSet
from olmix_core.errors import ConfigError
from olmix_core.evidence.atoms import Split, in_atoms
from olmix_core.proposal.request import Bound

_NATURAL_PART = 0.01  # of a reference to the last mix: a leaf that had no weight must be able to come back


@dataclass(frozen=True)
class NamedBounds:
    """Bounds, their names, and the reference {leaf: weight} where the configuration spells one out."""

    bounds: tuple[Bound, ...]
    names: tuple[str, ...]
    reference: dict[str, float] | None


def read_wanted(config: Config, config_file: str, domains: DomainSet) -> NamedBounds:
    """Find the leaves behind every name. Raises ConfigError where there are none, or where a reference has gaps."""
    asked = config.proposal
    for group in asked.groups:
        if domains.under(group):
            raise ConfigError(config_file, f"proposal.groups.{group}", "the name of a domain", "another name")
    found = []
    for name, (low, high) in asked.bounds.items():
        field = f"proposal.bounds.{name}"
        if name in asked.groups:
            members = asked.groups[name]
            leaves = {leaf for member in members for leaf in _under(member, config_file, field, domains)}
        else:
            leaves = set(_under(name, config_file, field, domains, groups=asked.groups))
        found.append((Bound(tuple(sorted(leaves)), low, high), name))
    # In the order of content, so that neither names nor their order are part of identity.
    found.sort(key=lambda pair: (pair[0].leaves, pair[0].low, pair[0].high))
    return NamedBounds(
        bounds=tuple(bound for bound, _ in found),
        names=tuple(name for _, name in found),
        reference=_spelt_out(config, config_file, domains),
    )


def _under(
    name: str, config_file: str, field: str, domains: DomainSet, groups: Mapping[str, Sequence[str]] | None = None
) -> tuple[str, ...]:
    leaves = domains.under(name)
    if not leaves:
        known = ", ".join([*sorted(domains.labels.values()), *(groups or {})])
        raise ConfigError(config_file, field, repr(name), f"a domain, a node above domains, or a group: {known}")
    return tuple(leaf.fingerprint for leaf in leaves)


def _spelt_out(config: Config, config_file: str, domains: DomainSet) -> dict[str, float] | None:
    given = config.proposal.reference
    if isinstance(given, str):
        return None
    labels = {label: leaf for leaf, label in domains.labels.items()}
    if given.keys() != labels.keys():
        odd = sorted(given.keys() ^ labels.keys())[0]
        found = "nothing" if odd in labels else "a domain that is not there"
        raise ConfigError(config_file, f"proposal.reference.{odd}", found, "a weight for each of " + ", ".join(labels))
    total = sum(given.values())
    return {labels[label]: weight / total for label, weight in sorted(given.items())}


def previous_as_reference(
    weights: Mapping[str, float], revised: Mapping[str, str], splits: Split, natural: Mapping[str, float]
) -> dict[str, float]:
    """The last mix in the leaves of today: {leaf: weight}.

    weights {leaf of then: weight}; revised {new leaf: the old one}. A part of an old leaf has its share of it, a merged
    leaf the sum of its parts; a leaf without a past has its natural share, and so a little of every leaf's.
    """
    then = in_atoms(weights, splits)
    known = {
        leaf: sum(then.get(atom, 0.0) for atom in in_atoms({revised.get(leaf, leaf): 1.0}, splits)) for leaf in natural
    }
    past = {leaf for leaf in natural if not in_atoms({revised.get(leaf, leaf): 1.0}, splits).keys().isdisjoint(then)}
    fresh = sum(share for leaf, share in natural.items() if leaf not in past)
    total = sum(known[leaf] for leaf in past)
    if total <= 0:
        return dict(natural)
    mixed = {leaf: known[leaf] / total * (1 - fresh) if leaf in past else natural[leaf] for leaf in natural}
    return {leaf: (1 - _NATURAL_PART) * mixed[leaf] + _NATURAL_PART * natural[leaf] for leaf in natural}
