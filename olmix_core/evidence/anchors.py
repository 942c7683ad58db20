"""Anchors on record: proxies of other sizes than those of a swarm, which its law can be carried to."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from olmix_core.evidence import ledger
from olmix_core.evidence.atoms import Split, in_atoms
from olmix_core.evidence.compatibility import NEEDED, Requirements, select_compatible
from olmix_core.evidence.merge import COLUMNS, MergedEvidence, merge
from olmix_core.evidence.scales import scale_of
from olmix_core.storage.store import Store
from olmix_core.surrogate.scaling.anchors import Anchors
from olmix_core.surrogate.scaling.scale import Scale

LEAST_FACTOR = 2.0  # FLOPs of an anchor over those of the proxies
MOST_ANCHORS = 256
_SCALE = ("recipe", "tokens")  # columns that say how large a proxy is
_NOTHING = 1e-9  # weight below which content that the law does not know is overlooked


def anchors_on_record(
    store: Store, requirements: Requirements, atoms: Collection[str], splits: Split, scale: Scale
) -> tuple[str, ...]:
    """Find the rows of larger proxies, which tell something of a law at other sizes.

    Proxies of about the same size differ by their recipe rather than by their size, and are none. Of more than
    `MOST_ANCHORS` rows the largest are taken.

    Args:
        store: The store.
        requirements: The requirements on the evidence of the swarm itself; anchors meet all but that on the recipe.
        atoms: The columns of the law; a proxy that trained on other content is no anchor.
        splits: {leaf: {finer leaf: share}}.
        scale: Scale of the proxies of the law.

    Returns:
        Ids of the rows, sorted.

    Raises:
        StoreError: The ledger cannot be read.
    """
    table = ledger.read(store, (*NEEDED, *_SCALE))
    recipes = dict(zip(table["recipe_key"].to_pylist(), table["recipe"].to_pylist(), strict=True))
    known: list[tuple[float, str]] = []
    for key in sorted(recipes.keys() - {requirements.recipe_key}):
        size = scale_of(json.loads(recipes[key]))
        if size is None or size.flops < LEAST_FACTOR * scale.flops:
            continue
        of_recipe = table.filter(pc.equal(table["recipe_key"], key))
        usable = select_compatible(of_recipe, replace(requirements, recipe_key=key)).usable
        known += [(-size.flops, row) for row, mixture in _mixtures(usable) if _is_known(mixture, atoms, splits)]
    return tuple(sorted(row for _, row in sorted(known)[:MOST_ANCHORS]))


def read_anchors(store: Store, evidence: str, atoms: Sequence[str], splits: Split, tasks: Sequence[str]) -> Anchors:
    """Read anchors.

    Args:
        store: The store.
        evidence: Name of the set of their rows.
        atoms: The columns of the law.
        splits: {leaf: {finer leaf: share}}.
        tasks: Fingerprints of the tasks.

    Returns:
        The anchors, by proxy.

    Raises:
        StoreError: A row is no longer on record.
    """
    merged = merge(ledger.pinned(store, evidence, (*COLUMNS, *_SCALE)))
    mixtures, bpb = merged.matrices(atoms, splits, tasks)
    recipes, tokens = (merged.column(name).to_pylist() for name in _SCALE)
    scales = [scale_of(json.loads(recipe), trained) for recipe, trained in zip(recipes, tokens, strict=True)]
    return Anchors(mixtures, bpb, tuple(scale for scale in scales if scale is not None))


def _mixtures(usable: MergedEvidence) -> list[tuple[str, dict[str, float]]]:
    rows: pa.Table = usable.table
    return [(row["row"], dict(row["mixture"])) for row in rows.select(["row", "mixture"]).to_pylist()]


def _is_known(mixture: Mapping[str, float], atoms: Collection[str], splits: Split) -> bool:
    return sum(weight for atom, weight in in_atoms(mixture, splits).items() if atom not in atoms) < _NOTHING
