"""Which of the files at a path are read: those of a known format, unless the configuration skips them.

Nothing is passed over without a word but what is no data for certain: empty files, licences, checksums, and what tools
write beside their data. A file of unknown format, or a link that leads nowhere, is an error.
"""

import glob
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from olmix_core.data.compression import compression_of
from olmix_core.data.formats import TokenFormat, formats, suffix_of, suffixes_in_words
from olmix_core.data.no_data import is_description, is_no_data
from olmix_core.errors import ConfigError
from olmix_core.storage.listing import ListedFile

NAMED = 3  # files that a message names


@dataclass(frozen=True)
class Selection:
    """Files by what is done with them.

    Attributes:
        files: Files that are read, each once, in the order of the listing.
        skipped: Files that the configuration skips.
        unknown: Files of unknown format.
        broken: Links that lead nowhere, and pipes, sockets and devices with the name of a file of text.
    """

    files: tuple[ListedFile, ...]
    skipped: tuple[ListedFile, ...] = ()
    unknown: tuple[ListedFile, ...] = ()
    broken: tuple[ListedFile, ...] = ()

    def check(self, config_file: str, field: str, advice: str) -> None:
        """Check that it is known what to do with every file.

        Args:
            config_file: The configuration file, for the message.
            field: The field that names the files.
            advice: How a file can be left out.

        Raises:
            ConfigError: A format is unknown, a link leads nowhere, or something is no regular file.
        """
        if self.broken:
            first = self.broken[0]
            more = f" (and {len(self.broken) - 1} more)" if len(self.broken) > 1 else ""
            if not first.leads_to:
                special = f"{first.url}, which is no regular file{more}"
                raise ConfigError(config_file, field, special, f"files, or {advice}")
            raise ConfigError(
                config_file,
                field,
                f"the link {first.url} to {first.leads_to}, where there is nothing{more}",
                f"links to files that are there: fetch them (git annex get, dvc pull), or {advice}",
            )
        if len(self.unknown) == 1 and self.unknown[0].is_named:
            raise ConfigError(
                config_file, field, f"a file of unknown format: {self.unknown[0].url}", f"one of {suffixes_in_words()}"
            )
        if self.unknown:
            beside = f" beside {len(self.files)} that can be read" if self.files else ""
            raise ConfigError(
                config_file,
                field,
                f"{describe_files(self.unknown)} of unknown format{beside}",
                f"files of {suffixes_in_words()}; {advice}, such as {json.dumps(globs(self.unknown)[:NAMED])}",
            )


def select(files: Iterable[ListedFile], skip: Sequence[str] = ()) -> Selection:
    """Decide what is done with each file.

    Args:
        files: The files as they were listed.
        skip: Globs of files to leave out, matched with the end of their path.

    Returns:
        The files by what is done with them. Several links to a file, and the file itself, count as one.
    """
    listed = list({file.url: file for file in files}.values())
    skipped = [file for file in listed if any(PurePosixPath(file.url).match(pattern) for pattern in skip)]
    left_out = {file.url for file in skipped}
    kept = _each_once(file for file in listed if file.url not in left_out)
    urls = {file.url.lower() for file in kept}
    read: list[ListedFile] = []
    unknown: list[ListedFile] = []
    broken: list[ListedFile] = []
    for file in kept:
        is_known = suffix_of(file.url) is not None
        if not file.is_named:
            if is_description(file.url) or _is_companion(file.url.lower(), urls):
                continue
            if not is_known and (file.leads_to == "" or is_no_data(file.url, 1 if file.leads_to else file.size)):
                continue
        (broken if file.leads_to is not None else read if is_known else unknown).append(file)
    return Selection(tuple(read), tuple(skipped), tuple(unknown), tuple(broken))


def describe_files(files: Sequence[ListedFile]) -> str:
    """Count files and name the first of them.

    Args:
        files: The files.

    Returns:
        Such as `3 files (2 *.dat, 1 *.xyz: a.dat, b.dat, c.xyz)`.
    """
    names = sorted(file.url.rpartition("/")[2] for file in files)
    kinds = Counter(_glob(name) for name in names)
    by_kind = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())[:NAMED])
    kinds_more = ", ..." if len(kinds) > NAMED else ""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    count = f"{len(names)} {'file' if len(names) == 1 else 'files'}"
    return f"{count} ({by_kind}{kinds_more}: {', '.join(names[:NAMED])}{more})"


def globs(files: Sequence[ListedFile]) -> list[str]:
    """Find globs for `skip` that match files.

    Args:
        files: The files.

    Returns:
        A glob per suffix, and the names of files without one.
    """
    return sorted({_glob(file.url.rpartition("/")[2]) for file in files})


def _glob(name: str) -> str:
    """A glob for files of a kind: by their suffix, or their name where they have none."""
    compression = PurePosixPath(name).suffix if compression_of(name) else ""
    suffix = PurePosixPath(name.removesuffix(compression)).suffix + compression
    return f"*{suffix}" if suffix else glob.escape(name)


def _each_once(files: Iterable[ListedFile]) -> list[ListedFile]:
    """Files without other names of the same file: a known suffix counts most, then a name that is no link."""
    best: dict[str, ListedFile] = {}

    def rank(file: ListedFile) -> tuple[bool, bool, bool, str]:
        is_link = file.real is None or not file.url.endswith(file.real)
        return not file.is_named, suffix_of(file.url) is None, is_link, file.url

    for file in files:
        key = file.real or file.url
        if key not in best or rank(file) < rank(best[key]):
            best[key] = file
    return list(best.values())


def _is_companion(url: str, urls: set[str]) -> bool:
    """Whether a tool writes this file beside the file of tokens that is there."""
    return any(
        url.endswith(companion) and any(url.removesuffix(companion) + suffix in urls for suffix in each.suffixes)
        for each in formats()
        if isinstance(each, TokenFormat)
        for companion in each.companions
    )
