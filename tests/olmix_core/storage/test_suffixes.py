"""Names of files that can be read."""

from olmix_core.storage.suffixes import suffix_of


def test_suffixes() -> None:
    assert suffix_of("S3://x/A.JSONL.GZ") == ".jsonl.gz"
    assert suffix_of("a.idx") is None
