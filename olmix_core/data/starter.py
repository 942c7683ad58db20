"""The starter configuration: a commented file for a folder of text, ready to run."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from olmix_core.config.load import load_config
from olmix_core.data.formats import suffix_of, suffixes, suffixes_in_words
from olmix_core.data.selection import Selection, describe_files, globs, select
from olmix_core.errors import DataError
from olmix_core.storage.listing import ListedFile, list_below

TEMPLATE = """\
# What to mix, how to learn, and what to ask for. Every field is described in docs/config.md.
name: {name}

# Everything a run leaves behind: a folder, or a URL like s3://bucket/olmix.
store: .olmix

# A leaf has paths (globs allowed). A source can have topics instead, a source or topic can have quality buckets:
#   - name: web
#     topics:
#       - {{name: sports, paths: web/sports/*.jsonl.gz}}
#       - {{name: science, paths: web/science/*.jsonl.gz}}
domains:
{domains}
# The tasks that the mixture is optimised for: held-out text of a domain, or a JSONL file of
# {{"context": ..., "continuation": ...}}. Keep the ones you care about; tasks can have a weight.
evaluation:
  tasks:
{tasks}
# The values below are the defaults; delete those that you do not change.

tokenizer:
  vocab_size: 2048        # a small BPE, trained once on the domains; or {{path: tokenizer.json}}

proxy:                    # the small models, one per mixture
  recipe: tiny            # for a first look on a CPU. For reliable results use 30m, the paper's, on a GPU
  # tokens: 262144        # you can set any field of a recipe: docs/proxy.md

swarm:
  # runs: 24              # number of proxies; default: 3 (domains + 1)
  seed: 0

proposal:
  kl: 0.05                # weight of the KL penalty towards the natural mixture
  # target_tokens: 1e12   # length of the run that the mixture is for; default: all available tokens
  repetition: 4           # maximum number of epochs over any domain in that run
"""


@dataclass(frozen=True)
class Starter:
    """A starter configuration that was written.

    Attributes:
        domains: Its domains.
        left_out: Files of the folder that are in none of them, in words, by the folder that they are in.
    """

    domains: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _FoundDomain:
    """A folder or file of text.

    Attributes:
        paths: Its path, or a glob of the files in it.
        left_out: Files in the folder that are not read, in words.
        skip: Globs of these, where `paths` matches them.
    """

    paths: str
    left_out: str = ""
    skip: tuple[str, ...] = ()


def write_starter(folder: Path, output: Path, *, overwrite: bool = False) -> Starter:
    """Write a configuration for a folder of text.

    Args:
        folder: The data; every folder in it that holds text is a domain, and so is every file of text beside them.
        output: The configuration file.
        overwrite: Whether `output` may be there already.

    Returns:
        What was written.

    Raises:
        DataError: There is no text, or `output` is there already.
    """
    if output.exists() and not overwrite:
        raise DataError(f"{output}: is there already; expected a new file: name another or say --force")
    if not output.resolve().parent.is_dir():
        raise DataError(f"{output}: found no folder {output.parent}; expected one that is there")
    if not folder.is_dir():
        raise DataError(f"{folder}: found no such folder; expected a folder of text")
    domains_by_name, beside = _domains(folder, output)
    if not domains_by_name:
        raise DataError(f"{folder}: found no text; expected files of {suffixes_in_words('text')}")
    domains = "".join(_section(name, domain) for name, domain in domains_by_name.items())
    tasks = "".join(f"    - heldout: {_quoted(name)}\n" for name in domains_by_name)
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in folder.resolve().name.lower())
    name = name.strip("-")[:60].rstrip("-") or "mix"
    text = TEMPLATE.format(name=_quoted(name), domains=domains, tasks=tasks)
    output.write_text(text, encoding="utf-8")
    load_config(output)  # what is written here must be a valid configuration
    left_out = [f"{name}: {domain.left_out}" for name, domain in domains_by_name.items() if domain.left_out]
    return Starter(len(domains_by_name), (*left_out, *([f"{folder}: {beside}"] if beside else [])))


def _section(name: str, domain: _FoundDomain) -> str:
    text = f"  - name: {_quoted(name)}\n    paths: {_quoted(domain.paths)}\n"
    if domain.left_out:
        text += "".join(f"    # not read: {line}\n" for line in domain.left_out.splitlines())
    if domain.skip:
        text += f"    skip: [{', '.join(map(_quoted, domain.skip))}]\n"
    return text


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10_000).strip()


def _domains(folder: Path, output: Path) -> tuple[dict[str, _FoundDomain], str]:
    """{name: domain}, with paths relative to `output` where they lie below it; and the other files of `folder`."""
    base = output.resolve().parent

    def shown(name: str) -> str:
        path = folder.resolve() / name  # a link keeps its name, whose suffix counts
        if not path.is_relative_to(base):
            return str(path)
        relative = path.relative_to(base).as_posix()
        return f"./{relative}" if relative.startswith("~") else relative

    domains: dict[str, _FoundDomain] = {}

    def add(name: str, domain: _FoundDomain) -> None:
        label = stem = "".join("-" if c in ":/\\" or ord(c) < 32 else c for c in name)[:90]
        number = 1
        while label in domains:  # a folder and a file, or files of two kinds, may have one name
            number += 1
            label = f"{stem} {number}"
        domains[label] = domain

    entries = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    top = select(
        replace(file, is_named=False)
        for entry in entries
        if not entry.is_dir() and os.path.realpath(entry) != os.path.realpath(output)
        for file in list_below(entry)
    )
    texts_beside = {file.url.rpartition("/")[2] for file in _texts(top)}
    folders = _folders(folder, entries)
    for entry in entries:
        if entry in folders:
            listed = list_below(entry)
            selection = select(listed)
            if text_suffixes := {suffix_of(file.url) for file in _texts(selection)}:
                domain = _folder_domain(glob.escape(shown(entry.name)), text_suffixes, _left_out(selection), listed)
                add(entry.name, domain)
        elif entry.name in texts_beside and not entry.is_dir():
            add(entry.name[: -len(suffix_of(entry.name) or "")], _FoundDomain(shown(entry.name)))
    left_out = _left_out(top)
    return domains, describe_files(left_out) if left_out else ""


def _folders(folder: Path, entries: Sequence[Path]) -> set[Path]:
    """The folders among entries, without links to what is listed anyway: to `folder`, what it lies in, or another."""
    root = Path(os.path.realpath(folder))
    real = {entry: Path(os.path.realpath(entry)) for entry in entries if entry.is_dir()}
    kept: dict[Path, Path] = {}
    # Folders before links to them, and those that hold others before these.
    for entry in sorted(real, key=lambda each: (each.is_symlink(), len(real[each].parts), each.name)):
        path = real[entry]
        if not root.is_relative_to(path) and not any(_is_shown_below(path, other) for other in kept.values()):
            kept[entry] = path
    return set(kept)


def _is_shown_below(path: Path, folder: Path) -> bool:
    """Whether a path is a folder or lies below it, and is not hidden there."""
    return path.is_relative_to(folder) and not any(part.startswith(".") for part in path.relative_to(folder).parts)


def _folder_domain(
    folder: str, text_suffixes: set[str | None], left_out: Sequence[ListedFile], listed: Sequence[ListedFile]
) -> _FoundDomain:
    words = describe_files(left_out) if left_out else ""
    if len(text_suffixes) == 1:
        # A link that leads nowhere matches any glob if its name has no suffix: it may have led to a folder.
        broken = [file for file in left_out if file.leads_to is not None and "." not in file.url.rpartition("/")[2]]
        return _FoundDomain(f"{folder}/**/*{text_suffixes.pop()}", words, tuple(globs(broken)))
    names = {file.real or file.url for file in left_out}
    skip = globs([file for file in listed if (file.real or file.url) in names])  # under all of their names
    return _FoundDomain(f"{folder}/**", words, tuple(skip))


def _texts(selection: Selection) -> list[ListedFile]:
    return [file for file in selection.files if suffix_of(file.url) in suffixes("text")]


def _left_out(selection: Selection) -> list[ListedFile]:
    """The files that are no text, or whose format is unknown; and links that lead nowhere."""
    tokens = [file for file in selection.files if suffix_of(file.url) in suffixes("tokens")]
    return [*tokens, *selection.unknown, *selection.broken]
