"""Atoms: leaves of all versions of a domain set, old and new, written over the finest leaves known.

Evidence refers to content and stays true. Only a leaf that was split needs a translation: the weight of the parent goes
to its parts by token share, since that is what the run trained on. Conversely, a leaf that was merged from old leaves
is these leaves by token share. So every leaf is a mixture of *atoms*. Removed and revised leaves are atoms themselves.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from olmix_core.identity import content_fingerprint
from olmix_core.mixture import Array, LeafIndex

# {leaf: {finer leaf: share}}: partitions of old leaves, and mergers written as their parts.
Split = Mapping[str, Mapping[str, float]]
File = tuple[str, int, str]  # (content hash, size in bytes, reader)


def in_atoms(mixture: Mapping[str, float], splits: Split) -> dict[str, float]:
    """Write a mixture over atoms, splits of splits included.

    Args:
        mixture: {leaf: weight}.
        splits: {leaf: {finer leaf: share}}.

    Returns:
        {atom: weight}, of the same sum.
    """
    atoms: dict[str, float] = {}
    for leaf, weight in mixture.items():
        if leaf in splits:
            for atom, share in in_atoms(splits[leaf], splits).items():
                atoms[atom] = atoms.get(atom, 0.0) + weight * share
        else:
            atoms[leaf] = atoms.get(leaf, 0.0) + weight
    return atoms


def atom_matrix(leaves: Sequence[str], atoms: Sequence[str], splits: Split) -> Array:
    """Return the matrix that expresses leaves in atoms.

    Args:
        leaves: Names of the m leaves.
        atoms: Names of the a atoms; must cover all leaves.
        splits: {leaf: {finer leaf: share}}.

    Returns:
        Share of each atom in each leaf, shape [a, m]; columns sum to 1.
    """
    return LeafIndex(tuple(atoms)).matrix([in_atoms({leaf: 1.0}, splits) for leaf in leaves])


def may_have_trained_on(leaf: str, mixture: Mapping[str, float], origins: Mapping[str, Sequence[str]]) -> bool:
    """Tell whether a proxy may have trained on text that is now held out of a leaf.

    No proxy of the leaf itself has seen its held-out text. But a leaf that comes from others (its `origins`, and
    theirs) holds out another part of the text than they did.

    Args:
        leaf: The leaf.
        mixture: {leaf: weight} that the proxy trained on.
        origins: {leaf: leaves that its content comes from}.

    Returns:
        Whether it may have.
    """
    return leaf not in mixture and not ancestors(leaf, origins).isdisjoint(mixture)


def ancestors(leaf: str, origins: Mapping[str, Sequence[str]]) -> set[str]:
    """List the leaves that the content of a leaf comes from.

    Args:
        leaf: The leaf.
        origins: {leaf: leaves that its content comes from}.

    Returns:
        Its origins, and theirs.
    """
    pending, found = list(origins.get(leaf, ())), set()
    while pending:
        ancestor = pending.pop()
        if ancestor not in found:
            found.add(ancestor)
            pending.extend(origins.get(ancestor, ()))
    return found


def extend_splits(
    splits: Split,
    partitioned: Mapping[str, Sequence[str]],
    merged: Mapping[str, Sequence[str]],
    tokens: Mapping[str, int],
    contents: Mapping[str, Sequence[File]],
) -> tuple[dict[str, dict[str, float]], dict[str, list[File]]]:
    """Extend splits by one change of the domain set.

    Args:
        splits: {leaf: {finer leaf: share}} up to now.
        partitioned: {old leaf: its parts} of the change.
        merged: {new leaf: its parts} of the change. A merger whose content was an old leaf before is known already.
        tokens: {leaf: available tokens} of the new and the old leaves.
        contents: {leaf: files} of the new and the old leaves, and as returned for the change before.

    Returns:
        The extended splits, and {leaf: files} of every leaf in them.
    """
    extended = {leaf: dict(parts) for leaf, parts in splits.items()}
    files = {leaf: sorted(map(_file, of_leaf)) for leaf, of_leaf in contents.items()}
    for whole, parts in {**partitioned, **merged}.items():
        if whole not in extended:
            extended[whole] = _shares({part: tokens[part] for part in sorted(parts)})
        elif whole in partitioned:
            _split_again(extended, whole, parts, tokens, files)
    leaves = {leaf for whole, parts in extended.items() for leaf in (whole, *parts)}
    return extended, {leaf: files[leaf] for leaf in sorted(leaves & files.keys())}


def _split_again(
    splits: dict[str, dict[str, float]],
    whole: str,
    parts: Sequence[str],
    tokens: Mapping[str, int],
    contents: dict[str, list[File]],
) -> None:
    """Split a leaf that is written over atoms already, into other parts: both are written over their intersections.

    Shares are by tokens where the intersections are leaves, and by bytes where their tokens were never counted.
    """
    old = {atom: share for atom, share in in_atoms({whole: 1.0}, splits).items() if atom in contents}
    new = [atom for atom in in_atoms(dict.fromkeys(parts, 1.0), splits) if atom in contents]
    cells: dict[tuple[str, str], tuple[str, int]] = {}  # (old, new): fingerprint and bytes of their intersection
    for before in old:
        for after in new:
            common = _common(contents[before], contents[after])
            if common:
                same = (leaf for leaf in (before, after) if contents[leaf] == common)
                cells[before, after] = (next(same, content_fingerprint(common)), sum(size for _, size, _ in common))
    contents |= {name: _common(contents[before], contents[after]) for (before, after), (name, _) in cells.items()}
    for side, atoms, counts in ((0, list(old), tokens), (1, new, old)):
        for atom in atoms:
            inside = dict(cell for pair, cell in cells.items() if pair[side] == atom)
            if inside and atom not in inside:
                counted = inside.keys() <= counts.keys()
                splits[atom] = _shares({cell: counts[cell] if counted else inside[cell] for cell in sorted(inside)})


def _common(before: Sequence[File], after: Sequence[File]) -> list[File]:
    """The files that two contents have in common."""
    return sorted((Counter(before) & Counter(after)).elements())


def _file(file: Sequence[Any]) -> File:
    value, size, reader = file
    return (str(value), int(size), str(reader))


def _shares(amounts: Mapping[str, float]) -> dict[str, float]:
    total = sum(amounts.values())
    return {name: amount / total for name, amount in amounts.items()}
