"""The layout of a store: every path in it is spelt here, relative to its root, and nowhere else.

Each kind of file is a `PathKind`: called with its parts it builds a path, and `match` recognises one, which
`olmix store check` and `olmix store gc` need. For example ``tokenizer_path(fingerprint)`` is
``tokenizers/<fingerprint>.json``, and ``tokenizer_path.match(path)`` gives the fingerprint back.
"""

import re
from collections.abc import Iterable

CACHE_FOLDER = "cache"
PROXIES_FOLDER = "proxies"
TOKENIZERS_FOLDER = "tokenizers"
EVIDENCE_FOLDER = "evidence"
MIXES_FOLDER = "mixes"

TEMPORARY_PREFIX = ".new-"  # of files that are being written

# Files of a published version; `olmix fit` writes files of the same names.
RECORD_FILE = "mix.json"
TABLE_FILE = "mix.csv"
SURROGATE_FILE = "surrogate.json"
DIAGNOSTICS_FILE = "diagnostics.csv"
TRADE_OFFS_FILE = "trade_offs.csv"
TARGET_FILE = "target.json"
RUNS_FILE = "runs.parquet"
PLAN_FILE = "plan.json"
REPORT_FILE = "report.html"

# Files of a tokenised leaf.
TOKENS_FILE = "tokens.bin"
PASSAGES_FILE = "passages.safetensors"

_PARTS = {
    "key": r"[0-9a-f]{64}",
    "step": r"(?!jobs/)[a-z_]+",
    "mix": r"[^/]+",
    "version": r"v\d+",
    "digests": r"[0-9a-f]{64}-[0-9a-f]{16}",
    "corpus_file": r"tokens\.bin|passages\.safetensors",
    "output_file": r"[a-z_]+\.(?:json|csv|parquet)",
    "version_file": r"[a-z_]+\.(?:json|csv|parquet|html)",
    "probe": r"preflight|conditional|lock",
    "any_folder": r"(?:.*/)?",
    "any_name": r"[^/]*",
    "any_path": r".*",
    "keyed_folder": r"cache/[a-z_]+|proxies|tokenizers",
    "keyed_rest": r"\.payload\.json|\.json|/.*",
}


class PathKind:
    """A kind of file of a store: builds its paths and recognises them.

    Attributes:
        template: The path with a gap for each part, such as ``mixes/{mix}/latest.json``.
        parts: The names of the parts, in order.
    """

    def __init__(self, template: str) -> None:
        """Declare a kind; `_PARTS` says how each of its parts is spelt.

        Args:
            template: Path with a gap ``{part}`` for each part.
        """
        pieces = re.split(r"\{(\w+)\}", template)
        self.template, self.parts = template, tuple(pieces[1::2])
        self._expression = re.compile(
            "".join(f"(?P<{piece}>{_PARTS[piece]})" if i % 2 else re.escape(piece) for i, piece in enumerate(pieces))
        )

    def __repr__(self) -> str:
        """Show the template."""
        return f"PathKind({self.template!r})"

    def __call__(self, *parts: str) -> str:
        """Build a path.

        Args:
            parts: The value of each part, in the order of the template.

        Returns:
            The path, relative to the root of the store.

        Raises:
            ValueError: The number of parts is wrong.
        """
        return self.template.format(**dict(zip(self.parts, parts, strict=True)))

    def match(self, path: str) -> dict[str, str] | None:
        """Recognise a path.

        Args:
            path: Path relative to the root of the store.

        Returns:
            {part: value}, or None for a path of another kind.
        """
        match = self._expression.fullmatch(path)
        return None if match is None else match.groupdict()


# Results of steps, by the name of the step and the key of the result, with their payloads.
step_result_path = PathKind("cache/{step}/{key}.json")
payload_path = PathKind("cache/{step}/{key}.payload.json")
# The calls of a deployment job, by a digest of them.
job_path = PathKind("cache/jobs/{key}.json")
# Files that results name: of a tokenised leaf, its passages that are not trained on, a fit, a law carried to a target,
# a proposal.
corpus_path = PathKind("cache/tokens/{key}/{corpus_file}")
exclusion_path = PathKind("cache/exclusions/{key}/passages.safetensors")
fit_path = PathKind("cache/surrogates/{key}/{output_file}")
target_path = PathKind("cache/targets/{key}/{output_file}")
proposal_path = PathKind("cache/proposals/{key}/{output_file}")
# A trained proxy; its run is written last.
proxy_run_path = PathKind("proxies/{key}/run.json")
proxy_model_path = PathKind("proxies/{key}/model.safetensors")
proxy_checkpoint_path = PathKind("proxies/{key}/checkpoint.safetensors")
# A trained tokenizer, by its fingerprint.
tokenizer_path = PathKind("tokenizers/{key}.json")
# The ledger: files named by the digest of their rows and the checksum of their content, and pinned sets of rows.
evidence_path = PathKind("evidence/{digests}.parquet")
evidence_set_path = PathKind("evidence/sets/{key}.parquet")
# A file of a published version, and the pointer to the newest version.
version_path = PathKind("mixes/{mix}/{version}/{version_file}")
latest_path = PathKind("mixes/{mix}/latest.json")
# The change of domains reported last, by the name of the mix.
watched_path = PathKind("watched/{mix}.json")
# A damaged file, by the path that it was moved from.
damaged_path = PathKind("damaged/{any_path}")
# Files that show whether a store can be written, and the lock of a local store.
probe_path = PathKind("cache/.{probe}")
# A file that is being written, or was when its writer was killed (`Store.new_file`).
temporary_path = PathKind(f"{{any_folder}}{TEMPORARY_PREFIX}{{any_name}}")

KINDS = (
    temporary_path,
    step_result_path,
    payload_path,
    job_path,
    corpus_path,
    exclusion_path,
    fit_path,
    target_path,
    proposal_path,
    proxy_run_path,
    proxy_model_path,
    proxy_checkpoint_path,
    tokenizer_path,
    evidence_path,
    evidence_set_path,
    version_path,
    latest_path,
    watched_path,
    damaged_path,
    probe_path,
)

# Whatever is kept only while something refers to its key, files of no kind in the folder of a key included.
keyed_path = PathKind("{keyed_folder}/{key}{keyed_rest}")


def kind_of(path: str) -> PathKind | None:
    """Find the kind of a path.

    Args:
        path: Path relative to the root of the store.

    Returns:
        The first of `KINDS` that matches, or None for a file that is no part of a store.
    """
    return next((kind for kind in KINDS if kind.match(path) is not None), None)


def result_key(step: str, key: str) -> str:
    """Name a result as Prefect's result storage knows it.

    Args:
        step: Name of the step.
        key: Key of the result (`identity.step_key`).

    Returns:
        ``<step>/<key>``.
    """
    return f"{step}/{key}"


def result_path(name: str) -> str:
    """Build the path of a result.

    Args:
        name: Name of the result, as of `result_key`.

    Returns:
        The path of the result.
    """
    return f"{CACHE_FOLDER}/{name}.json"


def results_folder(step: str) -> str:
    """Build the path of the folder of all results of a step.

    Args:
        step: Name of the step.

    Returns:
        The folder of its results and payloads.
    """
    return f"{CACHE_FOLDER}/{step}"


def corpus_folder(key: str) -> str:
    """Build the path of the folder of a tokenised leaf.

    Args:
        key: Key of the statistics of the leaf.

    Returns:
        The folder of `TOKENS_FILE` and `PASSAGES_FILE`.
    """
    return f"{CACHE_FOLDER}/tokens/{key}"


def proxy_folder(key: str) -> str:
    """Build the path of the folder of a proxy.

    Args:
        key: Key of the proxy.

    Returns:
        The folder of its run, model and checkpoint.
    """
    return f"{PROXIES_FOLDER}/{key}"


def mix_folder(name: str) -> str:
    """Build the path of the folder of a mix.

    Args:
        name: Name of the mix.

    Returns:
        The folder of all its versions.
    """
    return f"{MIXES_FOLDER}/{name}"


def version_folder(name: str, version: str) -> str:
    """Build the path of the folder of a published version.

    Args:
        name: Name of the mix.
        version: The version, such as ``v0003``.

    Returns:
        The folder of its files.
    """
    return f"{MIXES_FOLDER}/{name}/{version}"


def ledger_files(names: Iterable[str]) -> list[str]:
    """Find the files of the ledger in a listing of `EVIDENCE_FOLDER`.

    Args:
        names: Names in the folder.

    Returns:
        What `evidence_path` is built from, also for files that no run wrote; unfinished files are left out.
    """
    return [name.removesuffix(".parquet") for name in names if name.endswith(".parquet") and not name.startswith(".")]


def published_versions(names: Iterable[str]) -> list[str]:
    """Find the versions of a mix in a listing of `mix_folder`.

    Args:
        names: Names in the folder.

    Returns:
        The versions, oldest first.
    """
    return sorted((name for name in names if re.fullmatch(_PARTS["version"], name)), key=lambda name: int(name[1:]))
