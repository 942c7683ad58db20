"""The expansion matrix E: how leaf weights are built from free dimensions (paper, section 5).

A mixture over m leaves is q = E r, with r on the simplex of d free dimensions. Each column of E is itself a mixture,
`{leaf: share}`; the leaves of a column keep their ratios.
"""

from collections.abc import Mapping, Sequence

from olmix_core.mixture import Array, LeafIndex

Column = dict[str, float]


def released_for_caps(columns: Sequence[Column], caps: Mapping[str, float]) -> tuple[list[Column], list[str]]:
    """Release leaves from their columns until some mixture E r obeys the cap of every leaf.

    A column of several leaves can have at most the weight at which its first leaf reaches its cap. While these weights
    sum to less than 1, that leaf is taken out of the column with the lowest and becomes a column of its own; the other
    leaves keep their ratios.

    Args:
        columns: Columns of E, {leaf: share} each.
        caps: {leaf: highest weight}.

    Returns:
        The columns, and the released leaves. Where the caps leave too little even for free leaves, all are released
        and no mixture obeys the caps.
    """
    columns = [dict(column) for column in columns]
    released: list[str] = []
    while True:
        highest = [min(caps[leaf] / share for leaf, share in column.items() if share > 0) for column in columns]
        if sum(highest) >= 1:
            return columns, released
        shared = [index for index, column in enumerate(columns) if sum(share > 0 for share in column.values()) > 1]
        if not shared:
            return columns, released
        index = min(shared, key=lambda i: highest[i])
        column = columns[index]
        first = min(
            (leaf for leaf, share in column.items() if share > 0), key=lambda leaf: (caps[leaf] / column[leaf], leaf)
        )
        del column[first]
        total = sum(column.values())
        columns[index] = {leaf: share / total for leaf, share in column.items()}
        columns.append({first: 1.0})
        released.append(first)


def expansion(columns: Sequence[Mapping[str, float]], leaves: Sequence[str]) -> Array:
    """Build E from its columns.

    Args:
        columns: D columns, {leaf: share} each, of any positive sum.
        leaves: The m leaves, in the order of rows.

    Returns:
        [m, d] the matrix, whose columns sum to 1.

    Raises:
        ValueError: A column has an unknown leaf.
    """
    matrix = LeafIndex(tuple(leaves)).matrix(columns)
    matrix /= matrix.sum(axis=0)
    return matrix
