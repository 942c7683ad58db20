"""Evidence carried over by content: what an old run says about the leaves of today.

A run stays true for ever: it speaks of content. Only where a leaf was split does its old name need a translation: the
weight of the parent went to its parts by token share, since that is what the run trained on. And a leaf that was put
together from old ones is, the other way round, those old ones by token share. So every leaf is written in *atoms*, the
finest leaves known; removed and revised leaves stay atoms of their own.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from olmix_core.identity import content_fingerprint
from olmix_core.mixture import Array, LeafIndex

# {leaf: {finer leaf: share}}: partitions of old leaves, and mergers written as their parts.
Split = Mapping[str, Mapping[str, float]]
File = tuple[str, int, str]  # (content hash, size in bytes, reader), as in domains


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


def atom_matrix(leaves: Sequence[str], atoms: Sequence[str], splits: Split) -> Array:
    """[atoms, leaves] the leaves of today over atoms; columns sum to 1."""
    return LeafIndex(tuple(atoms)).matrix([in_atoms({leaf: 1.0}, splits) for leaf in leaves])


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
    contents: Mapping[str, Sequence[File]],
) -> tuple[dict[str, dict[str, float]], dict[str, list[File]]]:
    """`splits` with those of one more change of the domain set, and the files of all that they speak of.

    `tokens` {leaf: available tokens} of the new leaves and of the old ones. `contents` {leaf: its files} of these, and
    what the change before gave. A merger whose content was an old leaf before it was split is known already.
    """
    found = {leaf: dict(parts) for leaf, parts in splits.items()}
    files = {leaf: sorted(map(_file, of_leaf)) for leaf, of_leaf in contents.items()}
    for whole, parts in {**partitioned, **merged}.items():
        if whole not in found:
            found[whole] = _shares({part: tokens[part] for part in sorted(parts)})
        elif whole in partitioned:
            _split_otherwise(found, whole, parts, tokens, files)
    spoken_of = {leaf for whole, parts in found.items() for leaf in (whole, *parts)}
    return found, {leaf: files[leaf] for leaf in sorted(spoken_of & files.keys())}


def _split_otherwise(
    found: dict[str, dict[str, float]],
    whole: str,
    parts: Sequence[str],
    tokens: Mapping[str, int],
    contents: dict[str, list[File]],
) -> None:
    """`whole`, made of atoms already, is split along other lines: write atoms and parts in what they have in common.

    Shares are by tokens where what they have in common are leaves, and by bytes where it never was counted.
    """
    old = {atom: share for atom, share in in_atoms({whole: 1.0}, found).items() if atom in contents}
    new = [atom for atom in in_atoms(dict.fromkeys(parts, 1.0), found) if atom in contents]
    cells: dict[tuple[str, str], tuple[str, int]] = {}  # (old, new): what they share, and its bytes
    for one in old:
        for other in new:
            common = _common(contents[one], contents[other])
            if common:
                name = next((leaf for leaf in (one, other) if contents[leaf] == common), content_fingerprint(common))
                cells[one, other] = (name, sum(size for _, size, _ in common))
    contents |= {name: _common(contents[one], contents[other]) for (one, other), (name, _) in cells.items()}
    for side, atoms, counts in ((0, list(old), tokens), (1, new, old)):
        for atom in atoms:
            inside = dict(cell for pair, cell in cells.items() if pair[side] == atom)
            if inside and atom not in inside:
                counted = inside.keys() <= counts.keys()
                found[atom] = _shares({cell: counts[cell] if counted else inside[cell] for cell in sorted(inside)})


def _common(one: Sequence[File], other: Sequence[File]) -> list[File]:
    """The files that two contents have in common."""
    return sorted((Counter(one) & Counter(other)).elements())


def _file(file: Sequence[Any]) -> File:
    value, size, reader = file
    return (str(value), int(size), str(reader))


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    return {name: amount / total for name, amount in amounts.items()}
