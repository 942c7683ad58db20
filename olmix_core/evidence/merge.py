"""Rows of evidence merged by proxy, as arrays for a fit.

Everything is done on whole columns: 100,000 rows take seconds. For a proxy that was measured more than once on a task,
the measurement recorded first counts; its mixture is that of its first row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from olmix_core.evidence.atoms import Split, in_atoms
from olmix_core.mixture import Array
from olmix_core.surrogate.data import SwarmData

Index = NDArray[np.int32]
COLUMNS = ("row", "proxy", "mixture", "bpb", "swarm", "recorded")  # columns of the ledger that `merge` reads


@dataclass(frozen=True)
class SparseColumn:
    """Numbers by proxy and name, each pair at most once.

    Attributes:
        run: Number of the proxy of each entry, shape [entries].
        name: Position in `names` of each entry, shape [entries].
        value: Value of each entry, shape [entries].
        names: The names.
    """

    run: Index
    name: Index
    value: Array
    names: tuple[str, ...]

    def used(self) -> list[int]:
        """Find the names that have an entry.

        Returns:
            Their positions in `names`.
        """
        return list(np.flatnonzero(np.bincount(self.name, minlength=len(self.names))).tolist())

    def runs_with(self, names: Collection[str], runs: int) -> NDArray[np.bool_]:
        """Find the proxies that have an entry for one of some names.

        Args:
            names: The names.
            runs: Number K of proxies.

        Returns:
            Mask of the proxies, shape [K].
        """
        is_named = np.array([name in names for name in self.names], dtype=bool)
        mask = np.zeros(runs, dtype=bool)
        mask[self.run[is_named[self.name]]] = True
        return mask


@dataclass(frozen=True)
class MergedEvidence:
    """K proxies, merged from N rows of the ledger.

    Attributes:
        proxies: Keys of the proxies, sorted.
        swarms: Swarm that each proxy was drawn in, K of them.
        weights: Weight of each content in each mixture, without zeros.
        bpb: BPB of each proxy on each task.
        table: The rows.
        run_of_row: Number of the proxy of each row, shape [N].
        first_row: First row of each proxy, shape [K].
        used: Whether anything in a row counts, shape [N].
    """

    proxies: tuple[str, ...]
    swarms: tuple[str, ...]
    weights: SparseColumn
    bpb: SparseColumn
    table: pa.Table
    run_of_row: Index
    first_row: Index
    used: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.proxies)

    def column(self, name: str) -> pa.Array:
        """Take a column of the table from the first row of each proxy.

        Args:
            name: Name of the column.

        Returns:
            The values, K of them.
        """
        return self.table[name].combine_chunks().take(pa.array(self.first_row))

    def contents(self) -> frozenset[str]:
        """Find the content that the proxies trained on.

        Returns:
            Fingerprints of the content.
        """
        return frozenset(self.weights.names[j] for j in self.weights.used())

    def rows(self, proxies: NDArray[np.bool_]) -> pa.Table:
        """Select the rows of some proxies that count.

        Args:
            proxies: Mask of the proxies, shape [K].

        Returns:
            Their rows.
        """
        return self.table.filter(pa.array(self.used & proxies[self.run_of_row]))

    def problem(self, atoms: Sequence[str], splits: Split, tasks: Sequence[str]) -> SwarmData:
        """Build the regression problem. Proxies that were measured on none of the tasks are left out.

        Args:
            atoms: The columns of the design matrix (`atoms`).
            splits: {leaf: {finer leaf: share}}.
            tasks: Fingerprints of the tasks.

        Returns:
            Mixtures over the atoms, and BPB, NaN where a proxy was not measured.

        Raises:
            FitError: No proxy is left, or a number is out of range.
            KeyError: A proxy trained on content that is not among the atoms.
        """
        kept = np.flatnonzero(self.bpb.runs_with(tasks, len(self)))
        x, y = self.matrices(atoms, splits, tasks)
        return SwarmData(x[kept], y[kept], tuple(self.proxies[k] for k in kept), tuple(atoms), tuple(tasks))

    def matrices(self, atoms: Sequence[str], splits: Split, tasks: Sequence[str]) -> tuple[Array, Array]:
        """Arrange mixtures and BPB.

        Args:
            atoms: The columns of the mixtures.
            splits: {leaf: {finer leaf: share}}.
            tasks: Fingerprints of the tasks.

        Returns:
            Mixtures [K, atoms], and BPB [K, tasks], NaN where a proxy was not measured.

        Raises:
            KeyError: A proxy trained on content that is not among the atoms.
        """
        return self._over_atoms(atoms, splits), self._measured(tasks)

    def _over_atoms(self, atoms: Sequence[str], splits: Split) -> Array:
        """[K, atoms] mixtures."""
        weights = self.weights
        mixtures = sparse.coo_array(
            (weights.value, (weights.run, weights.name)), shape=(len(self), len(weights.names))
        ).tocsr()
        place = {atom: index for index, atom in enumerate(atoms)}
        shares = [
            (j, place[atom], share)
            for j in weights.used()
            for atom, share in in_atoms({weights.names[j]: 1.0}, splits).items()
        ]
        rows, columns, values = zip(*shares, strict=True) if shares else ((), (), ())
        made_of = sparse.coo_array(
            (np.array(values, dtype=np.float64), (np.array(rows, dtype=np.int32), np.array(columns, dtype=np.int32))),
            shape=(len(weights.names), len(atoms)),
        ).tocsr()
        dense: Array = (mixtures @ made_of).toarray()
        return dense

    def _measured(self, tasks: Sequence[str]) -> Array:
        """[K, tasks] BPB, NaN where a proxy was not measured."""
        place = {task: index for index, task in enumerate(tasks)}
        column = np.array([place.get(name, -1) for name in self.bpb.names], dtype=np.int64)
        kept = column[self.bpb.name] >= 0
        measured = np.full((len(self), len(tasks)), np.nan)
        measured[self.bpb.run[kept], column[self.bpb.name[kept]]] = self.bpb.value[kept]
        return measured


def merge(table: pa.Table) -> MergedEvidence:
    """Merge rows of the ledger by proxy.

    Args:
        table: Rows with at least the columns `COLUMNS`.

    Returns:
        The proxies of the rows.
    """
    order = pc.sort_indices(
        table.select(["proxy", "recorded", "row"]),
        sort_keys=[("proxy", "ascending"), ("recorded", "ascending"), ("row", "ascending")],
    ).to_numpy()
    ids = table["proxy"].combine_chunks().dictionary_encode().indices.to_numpy()[order]
    begins = np.concatenate([[True], ids[1:] != ids[:-1]]) if len(ids) else np.zeros(0, dtype=bool)
    first = order[begins].astype(np.int32)
    run_of_row, rank = np.empty(len(order), dtype=np.int32), np.empty(len(order), dtype=np.int32)
    run_of_row[order], rank[order] = np.cumsum(begins) - 1, np.arange(len(order))

    row, name, value, names = _cells(table["mixture"])
    is_first = np.zeros(len(order), dtype=bool)
    is_first[first] = True
    kept = is_first[row] & (value != 0)
    weights = SparseColumn(run_of_row[row[kept]], name[kept], value[kept], names)

    row, name, value, names = _cells(table["bpb"])
    if len(first) < len(order):
        # A proxy has several rows: for each (proxy, task) take the one recorded first.
        sequence = np.argsort(rank[row], kind="stable")
        pairs = run_of_row[row].astype(np.int64) * max(len(names), 1) + name
        _, earliest = np.unique(pairs[sequence], return_index=True)
        chosen = sequence[earliest]
        row, name, value = row[chosen], name[chosen], value[chosen]
    used = is_first.copy()
    used[row] = True
    proxies, swarms = (table[of].combine_chunks().take(pa.array(first)).to_pylist() for of in ("proxy", "swarm"))
    bpb = SparseColumn(run_of_row[row], name, value, names)
    return MergedEvidence(tuple(proxies), tuple(swarms), weights, bpb, table, run_of_row, first, used)


def _cells(column: pa.ChunkedArray) -> tuple[Index, Index, Array, tuple[str, ...]]:
    """Row, number of the name, and value of every entry of a column of maps; and the names."""
    place: dict[str, int] = {}
    rows, names, values, begin = [], [], [], 0
    for chunk in column.chunks:
        offsets = chunk.offsets.to_numpy()
        inside = slice(offsets[0], offsets[-1]) if len(offsets) else slice(0, 0)
        keys = chunk.keys[inside.start : inside.stop]
        if not pa.types.is_dictionary(keys.type):
            keys = keys.dictionary_encode()
        here = np.array([place.setdefault(name, len(place)) for name in keys.dictionary.to_pylist()], dtype=np.int32)
        names.append(here[keys.indices.to_numpy()] if len(keys) else np.zeros(0, dtype=np.int32))
        values.append(chunk.items[inside.start : inside.stop].to_numpy())
        rows.append(np.repeat(np.arange(begin, begin + len(chunk), dtype=np.int32), np.diff(offsets)))
        begin += len(chunk)
    if not rows:
        return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.int32), np.zeros(0), ()
    return np.concatenate(rows), np.concatenate(names), np.concatenate(values), tuple(place)


def labels_in(table: pa.Table) -> Mapping[str, str]:
    """Find the labels of leaves and tasks.

    Args:
        table: Rows of the ledger.

    Returns:
        {fingerprint: the label recorded last}.
    """
    newest: dict[str, tuple[int, str]] = {}
    recorded = table["recorded"].cast(pa.int64()).to_pylist()
    for when, labels in zip(recorded, table["labels"].to_pylist(), strict=True):
        for fingerprint, label in labels:
            newest[fingerprint] = max(newest.get(fingerprint, (when, label)), (when, label))
    return {fingerprint: label for fingerprint, (_, label) in newest.items()}
