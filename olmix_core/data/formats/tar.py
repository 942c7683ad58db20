"""Archives of texts, as WebDataset writes them: the documents of the members, each read by its own suffix."""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from typing import IO

from olmix_core.data.compression import decompressed
from olmix_core.data.formats.registry import FORMATS, LARGEST, TOO_LARGE, TextFormat, formats_at
from olmix_core.data.input_file import InputFile
from olmix_core.data.no_data import is_description, is_no_data
from olmix_core.errors import DataError


class _StrictMember(tarfile.TarInfo):
    """A member whose damaged header is an error; tarfile takes one for the end, or for zeros between archives."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_StrictMember":
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            if buf and any(buf):
                raise tarfile.ReadError(f"damaged header of a member: {error}") from error
            raise


def _documents(raw: IO[bytes], file: InputFile) -> Iterator[str]:
    with tarfile.open(fileobj=raw, mode="r|", tarinfo=_StrictMember, ignore_zeros=True) as archive:
        # The .json of a sample is a document, unless a .txt of the same sample is one, which it describes then.
        sample, has_text = "", False
        waiting: Iterator[str] = iter(())
        for member in archive:
            folder, _, name = member.name.rpartition("/")
            stem, _, suffix = name.partition(".")
            if f"{folder}/{stem}" != sample:
                yield from waiting
                sample, waiting, has_text = f"{folder}/{stem}", iter(()), False
            documents = _of_member(archive, member, file)
            if suffix.lower() == "json":
                waiting = iter(()) if has_text else documents
            else:
                yield from documents
            if suffix.lower() == "txt":
                waiting, has_text = iter(()), True
        yield from waiting


def _of_member(archive: tarfile.TarFile, member: tarfile.TarInfo, file: InputFile) -> Iterator[str]:
    """The documents of a member; none where it is no data."""
    name, url = member.name.rpartition("/")[2], f"{file.url}/{member.name}"
    if not member.isfile() or name.startswith(".") or is_description(name):
        return iter(())
    of_member = next(iter(formats_at(name)), None)
    if not isinstance(of_member, TextFormat) or not of_member.is_sequential or of_member.is_container:
        if is_no_data(name, member.size):
            return iter(())
        raise DataError(
            f"{file.url}: found the member {member.name}; expected members of text only, such as .txt, .json and"
            " .jsonl: write the archive anew"
        )
    content = archive.extractfile(member)
    assert content is not None
    if name.lower().endswith(".json"):  # read when the next member is known
        if member.size > LARGEST:
            raise DataError(f"{url}: found {TOO_LARGE}")
        content = io.BytesIO(content.read())
    return of_member.documents(decompressed(content, name), replace(file, url=url))


FORMATS.register(
    TextFormat(
        name="tar",
        description=(
            "archives of texts (WebDataset): a member is read by its own suffix; a `.json` beside a `.txt` of"
            " the same sample describes it"
        ),
        refused="members that are no text (images); archives in archives",
        suffixes={".tar": 1},
        documents=_documents,
        errors=(tarfile.TarError,),
        is_container=True,
    )
)
