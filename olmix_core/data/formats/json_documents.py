"""JSON files: a list of objects, or objects one after the other; an object is a document."""

import codecs
import json
import re
from collections.abc import Iterator
from typing import IO

from olmix_core.data.formats.registry import FORMATS, LARGEST, TOO_LARGE, TextFormat
from olmix_core.data.input_file import InputFile
from olmix_core.data.records import text_of
from olmix_core.errors import DataError

CHARACTERS = 1 << 20  # read at once
_BLANK = re.compile(r"[ \t\r\n]*")
_CUT = 16  # an error this close to the end of what was read may come from the cut


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    for number, record in enumerate(_records(_Text(raw, file.url)), start=1):
        yield text_of(record, file, f"{file.url}: document {number}")


class _Text:
    """The text of a file as far as it was read, and a position in it."""

    def __init__(self, raw: IO[bytes], url: str) -> None:
        self._raw, self.url = raw, url
        self._decode = codecs.getincrementaldecoder("utf-8-sig")().decode
        self._text, self._position, self._ended = "", 0, False

    def read_more(self, size: int = CHARACTERS) -> bool:
        """Read on; False at the end of the file."""
        if self._ended:
            return False
        content = self._raw.read(size)
        self._ended = not content
        try:
            new = self._decode(content, self._ended)
        except UnicodeDecodeError as error:
            raise DataError(
                f"{self.url}: found bytes that are not UTF-8; expected text in UTF-8: convert the file"
            ) from error
        self._text, self._position = self._text[self._position :] + new, 0
        return not self._ended

    def next_character(self) -> str:
        """The next character that is not blank; empty at the end of the file."""
        while True:
            match = _BLANK.match(self._text, self._position)
            assert match is not None
            self._position = match.end()
            if self._position < len(self._text):
                return self._text[self._position]
            if not self.read_more():
                return ""

    def take_character(self) -> None:
        """Go behind the next character."""
        self._position += 1

    def take_value(self, number: int) -> object:
        """Parse the JSON value that begins here, and go behind it."""
        decoder, size = json.JSONDecoder(), CHARACTERS
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._position)
            except (json.JSONDecodeError, RecursionError) as error:
                waiting = len(self._text) - self._position
                if waiting > LARGEST:
                    raise DataError(f"{self.url}: document {number}: found {TOO_LARGE}") from error
                if _may_be_cut(error, len(self._text)) and self.read_more(size):
                    size = max(size, waiting)  # at least twice as much, so that long documents take linear time
                    continue
                if isinstance(error, json.JSONDecodeError) and _may_be_cut(error, len(self._text)):
                    raise EOFError("the file ends within a document") from error
                raise DataError(
                    f"{self.url}: document {number}: found no JSON ({error}); expected a list of objects, or objects"
                    " one after the other"
                ) from error
            self._position = end
            return value


def _may_be_cut(error: Exception, size: int) -> bool:
    """Whether a value could not be parsed since its end was not read yet."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.msg.startswith("Unterminated string") or error.pos >= size - _CUT


def _records(text: _Text) -> Iterator[object]:
    first = text.next_character()
    if first != "[":
        number = 1
        while text.next_character():
            yield text.take_value(number)
            number += 1
        return
    text.take_character()
    number = 1
    while text.next_character() != "]":
        yield text.take_value(number)
        number += 1
        following = text.next_character()
        if following == ",":
            text.take_character()
        elif following != "]":
            if not following:
                raise EOFError("the file ends within its list")
            raise DataError(f"{text.url}: document {number}: found {following!r} before it; expected a comma")
    text.take_character()
    if text.next_character():
        raise DataError(f"{text.url}: found text behind the list; expected one list")


FORMATS.register(
    TextFormat(
        name="json",
        description=(
            "JSON: a document is an object of a list, or of objects one after the other (lines), its text in"
            " the field `text_field`"
        ),
        refused="lists of anything else; one object that holds lists",
        suffixes={".json": 1},
        documents=_documents,
    )
)
