"""Evidence carried over by content: what an old run says about the leaves of today.

A run stays true for ever: it speaks of content. Only where a leaf was split does its old name need a translation: the
weight of the parent went to its parts by token share, since that is what the run trained on. And a leaf that was put
together from old ones is, the other way round, those old ones by token share. So every leaf is written in *atoms*, the
finest leaves known; removed and revised leaves stay atoms of their own.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from olmix_core.mixture import Vector

# {leaf: {finer leaf: share}}: partitions of old leaves, and mergers written as their parts.
Split = Mapping[str, Mapping[str, float]]


def in_atoms(mixture: Mapping[str, float], splits: Split) -> dict[str, float]:
    """The mixture over atoms, splits of splits included."""
    found: dict[str, float] = {}
    for leaf, weight in mixture.items():
        if leaf in splits:
            for atom, share in in_atoms(splits[leaf], splits).items():
                found[atom] = found.get(atom, 0.0) + weight * share
        else:
            found[leaf] = found.get(leaf, 0.0) + weight
    return found


def atom_matrix(leaves: Sequence[str], atoms: Sequence[str], splits: Split) -> Vector:
    """[atoms, leaves] the leaves of today over atoms; columns sum to 1."""
    row = {atom: index for index, atom in enumerate(atoms)}
    matrix = np.zeros((len(atoms), len(leaves)))
    for column, leaf in enumerate(leaves):
        for atom, share in in_atoms({leaf: 1.0}, splits).items():
            matrix[row[atom], column] = share
    return matrix


def may_have_trained_on(leaf: str, mixture: Mapping[str, float], origins: Mapping[str, Sequence[str]]) -> bool:
    """Whether a proxy trained on `mixture` may have seen text that is held out of `leaf` now.

    What is held out of a leaf no proxy of that very leaf sees. But a leaf that was made of other ones (its `origins`,
    those of origins included) holds out another slice than they did.
    """
    if leaf in mixture:
        return False
    ancestors, found = list(origins.get(leaf, ())), set()
    while ancestors:
        ancestor = ancestors.pop()
        if ancestor not in found:
            found.add(ancestor)
            ancestors.extend(origins.get(ancestor, ()))
    return not found.isdisjoint(mixture)


def extended(
    splits: Split,
    partitioned: Mapping[str, Sequence[str]],
    merged: Mapping[str, Sequence[str]],
    tokens: Mapping[str, int],
) -> dict[str, dict[str, float]]:
    """`splits` with those of one more change of the domain set.

    `tokens` {leaf: available tokens} of the new leaves and of the old ones. A merger whose content was an old leaf
    before it was split is known already.
    """
    found = {leaf: dict(parts) for leaf, parts in splits.items()}
    for whole, parts in {**partitioned, **merged}.items():
        if whole not in found:
            total = sum(tokens[part] for part in parts)
            found[whole] = {part: tokens[part] / total for part in sorted(parts)}
    return found
