"""Files that are commonly found beside data and are none: licences, checksums, descriptions of data sets."""

from fnmatch import fnmatchcase

# In lower case. They are passed over where their suffix is unknown.
PASSED_OVER = (
    "readme*", "license*", "licence*", "copying*", "notice*", "citation*", "changelog*",
    "_success", "_committed_*", "_started_*", "*_$folder$",
    "*.md5", "*.sha1", "*.sha256", "*.sha512", "*.crc", "md5sums*", "sha1sums*", "sha256sums*", "checksums*",
    "*.dvc", "*.lock", "thumbs.db", "desktop.ini",
)  # fmt: skip

# In lower case. They are passed over though their suffix is known: Hugging Face writes them beside its data.
DESCRIPTIONS = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json")


def is_description(name: str) -> bool:
    """Tell whether a file describes a data set.

    Args:
        name: The file, or its URL.

    Returns:
        Whether it is one of the descriptions that tools write beside data.
    """
    return name.rpartition("/")[2].lower() in DESCRIPTIONS


def is_no_data(name: str, size: int) -> bool:
    """Tell whether a file of unknown format is certainly no data.

    Args:
        name: The file, or its URL.
        size: Its size in bytes.

    Returns:
        Whether it is empty, hidden, or has a well-known name.
    """
    last = name.rpartition("/")[2].lower()
    return not size or last.startswith(".") or any(fnmatchcase(last, pattern) for pattern in PASSED_OVER)
