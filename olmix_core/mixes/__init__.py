"""Published mixes: write, read and compare versions of a mix, and look after the store that holds them.

A `MixDraft` (all that a run found) goes in; `publish_mix` writes a version and its record mix.json, a `MixRecord`.
`load` and `load_folder` read a version back as a `PublishedMix`, which predicts and proposes. `read_history` and
`differences` look at several versions, `watch` at the data since the last one, `audit` and `gc` at the whole store.
"""

from olmix_core.mixes.draft import MixDraft
from olmix_core.mixes.history import differences, find_record, read_history
from olmix_core.mixes.loading import load, load_folder
from olmix_core.mixes.publish import publish_mix
from olmix_core.mixes.published_mix import PublishedMix
from olmix_core.mixes.record import FORMAT_VERSION, FitRecord, MixRecord, parse_record
from olmix_core.mixes.versions import read_latest, read_mix

__all__ = [
    "FORMAT_VERSION",
    "FitRecord",
    "MixDraft",
    "MixRecord",
    "PublishedMix",
    "differences",
    "find_record",
    "load",
    "load_folder",
    "parse_record",
    "publish_mix",
    "read_history",
    "read_latest",
    "read_mix",
]
