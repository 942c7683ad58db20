"""The registry of input formats, and what a format states about itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from olmix_core.data.compression import COMPRESSIONS, compression_suffixes
from olmix_core.data.input_file import InputFile
from olmix_core.registry import Registry

Tokens = NDArray[np.integer[Any]]

# A document is held in memory. A larger one is no document: the file is of another kind, or a few bytes unpack into
# very many.
LARGEST = 256 << 20  # bytes, or tokens
TOO_LARGE = f"a document of more than {LARGEST >> 20} MiB; expected smaller ones: cut it into parts"


@dataclass(frozen=True, kw_only=True)
class TextFormat:
    """A format whose files hold text.

    Attributes:
        name: A short name.
        description: What a document is, for people.
        refused: What is not read of such files, for people.
        suffixes: {suffix in lower case: bytes of text that a byte of such a file usually holds}.
        documents: Read the documents of an open file, in order; raises DataError, naming the line or row.
        errors: Exceptions that `documents` raises for a damaged file, beside OSError, EOFError and DataError.
        has_fields: Whether the text is in a field or column, called `InputFile.text_field`.
        is_sequential: Whether a file is read from its beginning to its end, so that it can be asked for in blocks, and
            compressed as a whole: each suffix may be followed by that of a compression.
        is_container: Whether its parts are files of their own, which may be compressed each.
    """

    name: str
    description: str
    refused: str
    suffixes: Mapping[str, int]
    documents: Callable[[IO[bytes], InputFile], Iterator[str]]
    errors: tuple[type[Exception], ...] = ()
    has_fields: bool = True
    is_sequential: bool = True
    is_container: bool = False
    kind: Literal["text"] = "text"

    @property
    def all_suffixes(self) -> dict[str, int]:
        """Suffixes of plain and compressed files, with bytes of text per byte."""
        compressions = COMPRESSIONS if self.is_sequential else ()
        return dict(self.suffixes) | {
            f"{suffix}{compressed}": size * each.growth
            for suffix, size in self.suffixes.items()
            for each in compressions
            for compressed in each.suffixes
        }

    def reader(self, url: str, text_field: str) -> str:
        """State how a file of this format is read, as part of the identity of its leaf.

        Args:
            url: The file.
            text_field: The field or column that holds the text.

        Returns:
            `text`, or the suffix and the field.
        """
        return f"{suffix_of(url)} {text_field}" if self.has_fields else self.name


@dataclass(frozen=True, kw_only=True)
class TokenFormat:
    """A format whose files hold the ids of tokens.

    Several token formats may share a suffix: one that has an index applies where that file exists, one that has a
    magic number where the file begins with it, and the third everywhere else.

    Attributes:
        name: `tokens-` and a short name; it is part of the identity of a leaf.
        description: How documents are told apart, for people.
        refused: What is not read of such files, for people.
        suffixes: {suffix in lower case: bytes of text that a byte of such a file usually holds}.
        documents: Read the documents of an open file, in order, given the id that ends a document and the size of the
            vocabulary; raises DataError.
        magic: The first bytes of every file.
        index: The URL of the file beside one at the URL given.
        takes_dtype: Whether the configuration may state the type of the tokens.
        companions: Suffixes of files that tools write beside `NAME.SUFFIX` under the same name, and that are no data.
    """

    name: str
    description: str
    refused: str
    suffixes: Mapping[str, int]
    documents: Callable[[IO[bytes], InputFile, int, int], Iterator[Tokens]]
    magic: bytes | None = None
    index: Callable[[str], str] | None = None
    takes_dtype: bool = True
    companions: tuple[str, ...] = ()
    kind: Literal["tokens"] = "tokens"

    @property
    def all_suffixes(self) -> dict[str, int]:
        """`suffixes`: token files are not compressed."""
        return dict(self.suffixes)

    def reader(self, dtype: str | None) -> str:
        """State how a file of this format is read, as part of the identity of its leaf.

        Args:
            dtype: The type of the tokens, where the configuration states it.

        Returns:
            The name, and the type.
        """
        return f"{self.name} {dtype}" if dtype and self.takes_dtype else self.name


Format = TextFormat | TokenFormat


class FormatRegistry(Registry[Format]):
    """The formats by name, with the suffixes of each."""

    def __init__(self) -> None:
        super().__init__("input format")
        self.by_suffix: dict[str, tuple[Format, ...]] = {}  # the most specific first
        self.text_bytes: dict[str, int] = {}

    @override
    def register(self, entry: Format) -> None:
        if entry.name.startswith("tokens-") != (entry.kind == "tokens"):
            raise ValueError(f"input format {entry.name!r} is of kind {entry.kind}; expected tokens-* for tokens only")
        for other in self.values():
            shared = entry.all_suffixes.keys() & other.all_suffixes.keys()
            if shared and entry.name != other.name and "text" in (entry.kind, other.kind):
                raise ValueError(
                    f"suffix {min(shared)} of {entry.name!r} belongs to {other.name!r}; expected another one"
                )
        super().register(entry)
        for suffix, size in entry.all_suffixes.items():
            self.text_bytes[suffix] = size
            self.by_suffix[suffix] = tuple(sorted((*self.by_suffix.get(suffix, ()), entry), key=_specificity))


FORMATS = FormatRegistry()


def formats() -> tuple[Format, ...]:
    """List the formats.

    Returns:
        All formats: text before tokens, then by name.
    """
    return tuple(sorted(FORMATS.values(), key=lambda each: (each.kind, each.name)))


def suffixes(kind: Literal["text", "tokens"] | None = None) -> tuple[str, ...]:
    """List the suffixes of files that can be read.

    Args:
        kind: Of formats of this kind only.

    Returns:
        The suffixes in lower case, each once.
    """
    chosen = [each for each in formats() if kind in (None, each.kind)]
    return tuple(dict.fromkeys(suffix for each in chosen for suffix in sorted(each.all_suffixes)))


def suffixes_in_words(kind: Literal["text", "tokens"] | None = None) -> str:
    """List the suffixes of files that can be read, for a message.

    Args:
        kind: Of formats of this kind only.

    Returns:
        The suffixes, and those of compressions in brackets.
    """
    plain: list[str] = []
    compressible: list[str] = []
    for each in formats():
        if kind in (None, each.kind):
            is_compressible = isinstance(each, TextFormat) and each.is_sequential
            (compressible if is_compressible else plain).extend(sorted(each.suffixes))
    words = f"{' '.join(compressible)} (also with {' '.join(compression_suffixes())}) " if compressible else ""
    return (words + " ".join(dict.fromkeys(plain))).strip()


def suffix_of(url: str) -> str | None:
    """Find the suffix that names the format of a file.

    Args:
        url: The file, its suffix in any case.

    Returns:
        The suffix in lower case; None where no format has it.
    """
    lower = url.lower()
    return max((suffix for suffix in FORMATS.by_suffix if lower.endswith(suffix)), key=len, default=None)


def formats_at(url: str) -> tuple[Format, ...]:
    """Find the formats that a file can have by its suffix.

    Args:
        url: The file.

    Returns:
        The formats, the most specific first: with an index, with a magic number, then the others. Empty where the
        suffix is unknown.
    """
    return FORMATS.by_suffix.get(suffix_of(url) or "", ())


def _specificity(each: Format) -> int:
    if isinstance(each, TokenFormat) and each.index is not None:
        return 0
    return 1 if isinstance(each, TokenFormat) and each.magic is not None else 2


def token_format(file: InputFile) -> TokenFormat:
    """Find the format of a file of tokens.

    Args:
        file: The file.

    Returns:
        The format that its reader names.

    Raises:
        ValueError: There is no such format.
    """
    named = FORMATS.get(file.reader.partition(" ")[0])
    if not isinstance(named, TokenFormat):
        raise ValueError(f"{file.url}: reader {file.reader!r} names no format of tokens")
    return named


def text_format(file: InputFile) -> TextFormat:
    """Find the format of a file of text.

    Args:
        file: The file.

    Returns:
        The format of its suffix.

    Raises:
        ValueError: There is no such format.
    """
    by_suffix = next(iter(formats_at(file.url)), None)
    if not isinstance(by_suffix, TextFormat):
        raise ValueError(f"{file.url}: its suffix names no format of text")
    return by_suffix


def text_bytes(url: str, size: int) -> int:
    """Estimate how much text a file holds.

    Args:
        url: The file.
        size: Its bytes.

    Returns:
        Bytes of text, as usual for its format.
    """
    return size * FORMATS.text_bytes.get(suffix_of(url) or "", 1)
