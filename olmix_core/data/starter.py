"""The starter configuration: a commented file for a folder of text, ready to run."""

import glob
from pathlib import Path

import yaml

from olmix_core.config.load import load_config
from olmix_core.data.formats import suffix_of, suffixes, suffixes_in_words
from olmix_core.errors import DataError

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


def write_starter(folder: Path, output: Path, *, overwrite: bool = False) -> int:
    """Write a configuration for a folder of text.

    Args:
        folder: The data; every folder in it that holds text is a domain, and so is every file of text beside them.
        output: The configuration file.
        overwrite: Whether `output` may be there already.

    Returns:
        The number of domains.

    Raises:
        DataError: There is no text, or `output` is there already.
    """
    if output.exists() and not overwrite:
        raise DataError(f"{output}: is there already; expected a new file: name another or say --force")
    if not output.resolve().parent.is_dir():
        raise DataError(f"{output}: found no folder {output.parent}; expected one that is there")
    if not folder.is_dir():
        raise DataError(f"{folder}: found no such folder; expected a folder of text")
    paths_by_name = _domains(folder, output.resolve().parent)
    if not paths_by_name:
        raise DataError(f"{folder}: found no text; expected files of {suffixes_in_words('text')}")
    domains = "".join(
        f"  - name: {_quoted(name)}\n    paths: {_quoted(paths)}\n" for name, paths in paths_by_name.items()
    )
    tasks = "".join(f"    - heldout: {_quoted(name)}\n" for name in paths_by_name)
    name = "".join(c if c.isalnum() and c.isascii() else "-" for c in folder.resolve().name.lower())
    name = name.strip("-")[:60].rstrip("-") or "mix"
    text = TEMPLATE.format(name=_quoted(name), domains=domains, tasks=tasks)
    output.write_text(text, encoding="utf-8")
    load_config(output)  # what is written here must be a valid configuration
    return len(paths_by_name)


def _quoted(text: str) -> str:
    return yaml.safe_dump(text, default_style='"', allow_unicode=True, width=10_000).strip()


def _domains(folder: Path, base: Path) -> dict[str, str]:
    """{name: glob}, relative to `base` where it lies below it."""

    def shown(path: Path) -> str:
        resolved = path.resolve()
        if not resolved.is_relative_to(base):
            return str(resolved)
        relative = resolved.relative_to(base).as_posix()
        return f"./{relative}" if relative.startswith("~") else relative

    paths_by_label: dict[str, str] = {}
    text_suffixes = suffixes("text")

    def add(name: str, paths: str) -> None:
        label = stem = "".join("-" if c in ":/\\" or ord(c) < 32 else c for c in name)[:90]
        number = 1
        while label in paths_by_label:  # a folder and a file, or files of two kinds, may have one name
            number += 1
            label = f"{stem} {number}"
        paths_by_label[label] = paths

    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            within = {suffix_of(str(path)) for path in entry.rglob("*") if path.is_file()}
            texts = [suffix for suffix in text_suffixes if suffix in within]
            if texts:
                pattern = f"**/*{texts[0]}" if len(texts) == 1 else "**"
                add(entry.name, f"{glob.escape(shown(entry))}/{pattern}")
        elif (suffix := suffix_of(entry.name)) and suffix in text_suffixes:
            add(entry.name[: -len(suffix)], shown(entry))
    return paths_by_label
