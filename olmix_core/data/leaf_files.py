"""The files of a leaf: how each one is read, and what stands for its content.

`olmix_core.identity.content_fingerprint` of `LeafFiles.contents` is the fingerprint of the leaf, on which the keys of
its steps depend, first `tasks.steps.statistics`.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from olmix_core.data.formats import Format, TokenFormat, formats_at
from olmix_core.data.input_file import InputFile
from olmix_core.storage.content_index import ContentIndex
from olmix_core.storage.filesystem import open_file, reason_of
from olmix_core.storage.listing import AT_ONCE, ListedFile, stat_files

Content = tuple[str, int, str]  # (content hash, size in bytes, reader) of a file


@dataclass(frozen=True)
class LeafFiles:
    """The files of a leaf.

    Attributes:
        files: The files, in the order of their content, so that their names decide nothing.
        contents: The content of each file and of each index file, sorted.
    """

    files: tuple[InputFile, ...]
    contents: tuple[Content, ...]


def read_files(files: Sequence[ListedFile], text_field: str, dtype: str | None, index: ContentIndex) -> LeafFiles:
    """Decide how each file of a leaf is read, and hash its content.

    Args:
        files: The files, whose suffixes are known.
        text_field: The field or column that holds the text, of formats that have fields.
        dtype: The type of tokens, where the configuration states it.
        index: Where hashes are remembered.

    Returns:
        The files and their content.

    Raises:
        OSError: A file cannot be read.
    """
    index_files = _index_files(files)
    hashes = {file.url: _hash(file, index) for file in files}
    formats = _formats([(url, content) for url, (content, _) in hashes.items() if url not in index_files], index)
    read: list[tuple[list[Content], InputFile]] = []
    for file in files:
        content, size = hashes[file.url]
        chosen, beside = index_files.get(file.url) or (formats[file.url], None)
        if isinstance(chosen, TokenFormat):
            reader = chosen.reader(dtype)
            input_file = InputFile(
                file.url,
                reader,
                dtype=dtype if chosen.takes_dtype else None,
                index=chosen.index(file.url) if chosen.index else None,
                content=content,
                size=size,
            )
        else:
            reader = chosen.reader(file.url, text_field)
            input_file = InputFile(file.url, reader, text_field=text_field, content=content, size=size)
        contents = [(content, size, reader)]
        if beside is not None:
            contents.append((*_hash(beside, index), reader))
        read.append((contents, input_file))
    read.sort(key=lambda pair: pair[0])
    return LeafFiles(
        files=tuple(input_file for _, input_file in read),
        contents=tuple(sorted(content for contents, _ in read for content in contents)),
    )


def format_at(url: str) -> Format:
    """Decide which format a file without an index file has, by its first bytes where the suffix leaves it open.

    Args:
        url: The file.

    Returns:
        The format.

    Raises:
        OSError: The file cannot be read.
    """
    candidates = [each for each in formats_at(url) if not (isinstance(each, TokenFormat) and each.index)]
    for each in candidates:
        if isinstance(each, TokenFormat) and each.magic is not None:
            with open_file(url, None) as file:
                if file.read(len(each.magic)) == each.magic:
                    return each
    if not candidates:
        raise FileNotFoundError(f"{url}: found no index file beside it")
    return candidates[-1]


def _index_files(files: Sequence[ListedFile]) -> dict[str, tuple[TokenFormat, ListedFile]]:
    """{URL: format, index file} of the files that have one beside them."""
    possible = [
        (file.url, each, each.index(file.url))
        for file in files
        for each in formats_at(file.url)
        if isinstance(each, TokenFormat) and each.index is not None
    ]
    listed = stat_files([beside for _, _, beside in possible])
    return {url: (each, beside) for (url, each, _), beside in zip(possible, listed, strict=True) if beside is not None}


def _formats(files: Sequence[tuple[str, str]], index: ContentIndex) -> dict[str, Format]:
    """{URL: format} of files (URL, content) that have no index file.

    Each content is opened at most once; the result is cached.
    """
    chosen: dict[str, Format] = {}
    unknown: list[tuple[str, str]] = []
    for url, content in files:
        candidates = {each.name: each for each in formats_at(url)}
        has_magic = any(isinstance(each, TokenFormat) and each.magic for each in candidates.values())
        remembered = candidates.get(index.recall(content, "reader") or "") if has_magic else format_at(url)
        if remembered is not None:
            chosen[url] = remembered
        else:
            unknown.append((url, content))
    with ThreadPoolExecutor(AT_ONCE) as pool:
        detected = list(pool.map(_detected, [url for url, _ in unknown]))
    index.learn((content, "reader", each.name) for (_, content), each in zip(unknown, detected, strict=True))
    return chosen | {url: each for (url, _), each in zip(unknown, detected, strict=True)}


def _detected(url: str) -> Format:
    try:
        return format_at(url)
    except OSError as error:
        raise OSError(f"{url}: {reason_of(error)}") from error


def _hash(file: ListedFile, index: ContentIndex) -> tuple[str, int]:
    try:
        return index.hash(file)
    except OSError as error:
        raise OSError(f"{file.url}: {reason_of(error)}") from error
