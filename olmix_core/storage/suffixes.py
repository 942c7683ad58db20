"""The names of files that can be read: their suffix says the format."""

TEXT_SUFFIXES = (".txt", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
TOKEN_SUFFIXES = (".npy", ".bin")


def suffix_of(url: str) -> str | None:
    """The suffix of `url` that names its format, or None where there is no such format."""
    lower = url.lower()
    return next((s for s in (*TEXT_SUFFIXES, *TOKEN_SUFFIXES) if lower.endswith(s)), None)
