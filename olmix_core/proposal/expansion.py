"""The expansion matrix E: how leaf weights are built from free dimensions (paper, section 5).

A mixture over m leaves is q = E r, with r on the simplex of d free dimensions. Each column of E is itself a mixture,
`{leaf: share}`: several leaves in one column keep their ratios.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from olmix_core.mixture import Array

Column = dict[str, float]


def released_for_caps(columns: Sequence[Column], caps: Mapping[str, float]) -> tuple[list[Column], list[str]]:
    """Loosen frozen shares until some mixture E r obeys every leaf's cap.

    A column of several leaves can have at most the weight at which its first leaf reaches its cap. Where all columns
    together stay below 1, that leaf is taken out of its column and made free, and so on; the ratios among the others
    stay. Returns the columns and the leaves taken out (none, where the caps can be met as it is).
    """
    columns = [dict(column) for column in columns]
    taken: list[str] = []
    while True:
        highest = [min(caps[leaf] / share for leaf, share in column.items() if share > 0) for column in columns]
        if sum(highest) >= 1:
            return columns, taken
        several = [index for index, column in enumerate(columns) if sum(s > 0 for s in column.values()) > 1]
        if not several:
            return columns, taken  # the caps themselves leave too little: said by who asks for a proposal
        index = min(several, key=lambda i: highest[i])
        column = columns[index]
        first = min(
            (leaf for leaf, share in column.items() if share > 0), key=lambda leaf: (caps[leaf] / column[leaf], leaf)
        )
        del column[first]
        total = sum(column.values())
        columns[index] = {leaf: share / total for leaf, share in column.items()}
        columns.append({first: 1.0})
        taken.append(first)


def expansion(units: Sequence[Mapping[str, float]], leaves: Sequence[str]) -> Array:
    """E [m, d] from its columns, each {leaf: share}; rows in the order of `leaves`."""
    row = {leaf: index for index, leaf in enumerate(leaves)}
    matrix = np.zeros((len(leaves), len(units)))
    for column, unit in enumerate(units):
        for leaf, share in unit.items():
            matrix[row[leaf], column] = share
    matrix /= matrix.sum(axis=0)
    return matrix
