"""Make the quickstart's corpus from what is already installed: no download, no account.

    python examples/quickstart/make_corpus.py [OUT]

Seven domains that differ in language, so that the mixture matters, and in size, so that the natural
mixture is not the uniform one:

    code      Python modules without their comments and docstrings (standard library, Prefect, ...)
    cpp       C and C++ headers of PyTorch, Arrow and NumPy
    html      the marked-up manual of the operations of the AWS services (botocore)
    prose     English paragraphs of docstrings, and the language reference behind `help()`
    sessions  interactive Python sessions out of docstrings (`>>>` and what it printed)
    json      example requests to the AWS services, then definitions of their interfaces
    readme    what the project's dependencies say about themselves, so little that caps bind

and two evaluation tasks, `tasks/explain_code.jsonl` (name a function, then say what it does) and
`tasks/complete_code.jsonl` (begin a function, then finish it), made of packages that give nothing
to any domain.

The same installed versions give the same bytes on every machine: what has to be chosen is chosen in
the order of the SHA-256 of its content. No text is used twice: the second of two near-duplicates is
dropped, whichever domains they are in. A file that is already right is left untouched.
"""

from __future__ import annotations

import argparse
import ast
import doctest
import gzip
import hashlib
import importlib.metadata
import importlib.util
import io
import json
import re
import sysconfig
import textwrap
import tokenize
import tomllib
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

CODE = ("stdlib", "alembic", "docker", "pandas", "prefect", "redis", "scipy", "sqlalchemy")
DOCUMENTED = ("stdlib", "numpy", "pandas", "scipy", "sqlalchemy", "sympy")
HEADERS = ("numpy", "pyarrow", "torch")
RESERVED = ("fsspec", "networkx", "rich")  # for the tasks, hence in none of the above

MIN_BYTES, MAX_BYTES = 200, 50_000  # of a document
TASK_ITEMS = 200
MIN_CONTINUATION, MAX_CONTINUATION = 50, 300  # bytes

# Tests repeat each other, vendored copies repeat other packages, tables are no language.
SKIPPED_FOLDERS = {"_vendor", "encodings", "lib2to3", "ops", "pydoc_data", "site-packages", "test"}
SKIPPED_FOLDERS |= {"idlelib", "testing", "tests"}
GENERATED = re.compile(r"@generated|auto-?generated|generated (by|from)|do not edit", re.I)


class Novelty:
    """Remembers every text it let through, and tells one that says mostly the same again.

    A text stands as the quarter of its runs of eight words that has a hash divisible by four, so
    that copies are represented by the same runs; when half of them are known, it is a copy.
    """

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._withheld: list[str] = []

    def withhold(self, text: str) -> None:
        """From here on admit nothing that has this text in it, however its lines are broken."""
        self._withheld.append(" ".join(text.split()))

    def admit(self, text: str) -> bool:
        words = re.findall(r"\w+", text.lower())
        runs = (" ".join(words[i : i + 8]).encode() for i in range(max(1, len(words) - 7)))
        hashes = {zlib.crc32(run) for run in runs}
        kept = {value for value in hashes if value % 4 == 0} or hashes
        if 2 * len(kept & self._seen) >= len(kept):
            return False
        plain = " ".join(text.split())
        if any(withheld in plain for withheld in self._withheld):
            return False
        self._seen |= kept
        return True


# What is installed


def package(name: str) -> Path:
    """The folder of a package, found without importing it."""
    if name == "stdlib":
        return Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{name} is not installed in this environment: install the project first")
    return Path(spec.submodule_search_locations[0])


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def by_content(paths: Iterable[Path]) -> Iterator[Path]:
    """Distinct files in the order of the hash of their content."""
    unique: dict[bytes, Path] = {}
    for path in sorted(paths):
        unique.setdefault(hashlib.sha256(path.read_bytes()).digest(), path)
    yield from (path for _, path in sorted(unique.items()))


def sources(packages: Iterable[str], *patterns: str) -> Iterator[tuple[str, str]]:
    """Name ("pandas/io/common.py") and text of the source files that somebody wrote."""
    roots = {name: package(name) for name in packages}
    names = {
        path: f"{name}/{path.relative_to(root).as_posix()}"
        for name, root in roots.items()
        for pattern in patterns
        for path in root.rglob(pattern)
        if SKIPPED_FOLDERS.isdisjoint(path.relative_to(root).parts)
    }
    for path in by_content(names):
        text = path.read_text("utf-8", errors="replace")
        if not GENERATED.search(text[:2000]):
            yield names[path], text


def services(hook: Callable[[dict[str, Any]], Any] | None = None) -> Iterator[dict[str, Any]]:
    """The newest interface definition of every AWS service; `hook` sees every object in it."""
    paths = package("botocore").glob("data/*/*/service-2.json.gz")
    newest = {path.parts[-3]: path for path in sorted(paths)}  # the folders are named by date
    for path in by_content(newest.values()):
        yield json.loads(gzip.decompress(path.read_bytes()), object_hook=hook)


# Python source and its docstrings


def bare_code(source: str) -> str:
    """`source` without comments and docstrings; empty if it is mostly literals, as tables are."""
    lines = source.split("\n")
    literal = 0
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    except (tokenize.TokenError, SyntaxError):  # a template, or meant for Python 2
        return ""
    skipped = {tokenize.COMMENT, tokenize.NL}
    logical = [token for token in tokens if token.type not in skipped]
    cuts = [(token, "") for token in tokens if token.type == tokenize.COMMENT]
    opening = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    for i, token in enumerate(logical):
        if token.type not in {tokenize.STRING, tokenize.NUMBER}:
            continue
        before = logical[i - 1].type if i else tokenize.NEWLINE
        if before in opening and logical[i + 1].type == tokenize.NEWLINE:
            alone = before == tokenize.INDENT and logical[i + 2].type == tokenize.DEDENT
            cuts.append((token, "pass" if alone else ""))
        else:
            literal += len(token.string)
    for token, instead in sorted(cuts, key=lambda cut: cut[0].start, reverse=True):
        (first, start), (last, end) = token.start, token.end
        kept = lines[first - 1][:start] + instead + lines[last - 1][end:]
        lines[first - 1 : last] = [kept.rstrip()]
    text = re.sub(r"\n\s*\n", "\n\n", "\n".join(lines)).strip()
    text = re.sub(r":\n\n(?= )", ":\n", text)  # where a docstring was
    return text if 3 * literal < len(text) else ""


Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


def definitions(node: Documented) -> Iterator[Documented]:
    """The module, class or function, and those directly in its body."""
    yield node
    for child in node.body:
        if isinstance(child, Documented):
            yield from definitions(child)


def docstrings(packages: Iterable[str], mark: str) -> Iterator[list[str]]:
    """The docstrings of each module that has the mark anywhere; parsing takes most of the time."""
    for _, source in sources(packages, "*.py"):
        if mark in source:
            yield [ast.get_docstring(node) or "" for node in definitions(ast.parse(source))]


HEADING = re.compile(r"^.+\n[-=~^*#\"]{3,}$", re.M)
MARKUP = re.compile(r"(?::[\w:+-]+:)?(``?)[~!.]?([^`<>\n]+?)\s*(?:<[^`]*>)?\1_*")
SENTENCES = re.compile(r"[A-Z\"(][\w\s,.;:'’\"()/*%&?!–—-]+[.!?)\"]")
NOT_PROSE = re.compile(r"^(?:\s|[-*+.:>#(]|\w+[.)] |\w+ ?: )|::|https?:|\w\(|\w_\w|\(s\)", re.M)
COMMON = re.compile(r"\b(?:an?|and|are|as|be|by|for|from|i[fnst]|of|on|or|that|the|this|to|with)\b")


def paragraphs(docstring: str) -> Iterator[str]:
    """The paragraphs of running English, without mark-up; no headings, tables, lists and code."""
    plain = MARKUP.sub(r"\2", HEADING.sub("", docstring))
    for paragraph in re.split(r"\n\s*\n", plain):
        words = len(paragraph.split())
        if (
            words >= 8
            and 6 * len(COMMON.findall(paragraph)) >= words
            and SENTENCES.fullmatch(paragraph)
            and not NOT_PROSE.search(paragraph)
        ):
            yield paragraph.strip()


# The domains: candidates, in the order in which they are taken


def code() -> Iterator[str]:
    """Python modules without comments and docstrings."""
    return (bare_code(source) for _, source in sources(CODE, "*.py"))


def cpp() -> Iterator[str]:
    """C and C++ headers of PyTorch, Arrow and NumPy."""
    for _, source in sources(HEADERS, "*.h", "*.hpp", "*.cuh"):
        # PyTorch wraps every header in the same guard.
        body = re.sub(r"\A#if .*TORCH_STABLE_ONLY.*\n|\n#else\n#error .*\n#endif.*\s*\Z", "", source)
        # A licence is no C++: many begin with one.
        yield re.sub(r"\A\s*(/\*.*?\*/|(//.*\n)+)\s*", "", body, flags=re.S)


def html() -> Iterator[str]:
    """The manual of the operations of AWS services."""
    for service in services():
        yield service.get("documentation", "")
        yield from (each.get("documentation", "") for each in service["operations"].values())


def prose() -> Iterator[str]:
    """Paragraphs of the language reference and of modules' docstrings."""
    for texts in chain(([topic] for topic in topics.values()), docstrings(DOCUMENTED, '"""')):
        yield "\n\n".join(dict.fromkeys(chain.from_iterable(map(paragraphs, texts))))


def sessions() -> Iterator[str]:
    """Interactive Python sessions in docstrings."""
    parser = doctest.DocTestParser()
    for docstring in chain.from_iterable(docstrings(DOCUMENTED, ">>>")):
        with suppress(ValueError):  # examples that are not indented consistently
            examples = parser.get_examples(docstring)
            text = "".join(
                ">>> " + example.source.rstrip("\n").replace("\n", "\n... ") + "\n" + example.want
                for example in examples
            )
            yield re.sub(r" *# doctest:.*", "", text)


def json_() -> Iterator[str]:
    """Example requests to AWS services, then interface definitions."""
    for path in by_content(package("botocore").glob("data/*/*/examples-1.json")):
        for example in chain.from_iterable(json.loads(path.read_bytes())["examples"].values()):
            parts = {key: example[key] for key in ("input", "output") if example.get(key)}
            yield json.dumps(parts, indent=2)
    for service in services(lambda each: {k: each[k] for k in each if k != "documentation"}):
        for operation in service["operations"].values():
            used = [operation[key]["shape"] for key in ("input", "output") if key in operation]
            shapes = {name: service["shapes"][name] for name in used}
            yield json.dumps({**operation, "shapes": shapes}, indent=2)


def readme() -> Iterator[str]:
    """Descriptions of the packages that the project needs."""
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))
    waiting: list[str] = project["project"]["dependencies"]
    known = set(RESERVED)
    texts: list[str] = []
    while waiting:
        requirement = waiting.pop()
        name = re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", requirement)[0]).lower()
        if name in known or re.search(r"\bextra\b", requirement):
            continue
        known.add(name)
        with suppress(importlib.metadata.PackageNotFoundError):  # not needed on this platform
            installed = importlib.metadata.distribution(name)
            waiting += installed.requires or []
            texts.append(str(installed.metadata.json.get("description", "")))
    yield from sorted(texts, key=digest)


# The tasks


def explain_code() -> Iterator[tuple[str, str]]:
    for name, source in sources(RESERVED, "*.py"):
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for node in definitions(ast.parse(source)):
            if isinstance(node, Function) and not node.name.startswith("_"):
                summary = (ast.get_docstring(node) or "").partition("\n\n")[0]
                sentence = " ".join(next(paragraphs(summary), "").split())
                signature = f"{node.name}({ast.unparse(node.args)})"
                yield f"What does the function {signature} of {module} do?", " " + sentence


def complete_code() -> Iterator[tuple[str, str]]:
    for _, source in sources(RESERVED, "*.py"):
        code = bare_code(source)
        lines = code.split("\n")
        for node in definitions(ast.parse(code)):
            if isinstance(node, Function):
                text = textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
                cut = text.find("\n", len(text) // 2)
                if cut > 0:
                    yield text[:cut], text[cut:]


def items(candidates: Iterator[tuple[str, str]], novelty: Novelty) -> Iterator[dict[str, str]]:
    """The first of the candidates with a continuation worth scoring, in the order of their hash."""
    fitting = (
        (context, continuation)
        for context, continuation in candidates
        if MIN_CONTINUATION <= len(continuation.encode()) <= MAX_CONTINUATION
    )
    in_order = sorted(fitting, key=lambda pair: digest("".join(pair)))
    distinct = (pair for pair in in_order if novelty.admit(" ".join(pair)))
    for context, continuation in islice(distinct, TASK_ITEMS):
        novelty.withhold(continuation)
        yield {"context": context, "continuation": continuation}


# Files


DOMAINS = {  # a folder of .txt, a .jsonl or a .jsonl.gz: its limit in MB, and what is in it
    "code.jsonl.gz": (4.0, code),
    "cpp": (3.0, cpp),
    "html.jsonl.gz": (2.5, html),
    "prose.jsonl": (1.8, prose),
    "sessions.jsonl": (1.2, sessions),
    "json.jsonl": (1.0, json_),
    "readme": (1.0, readme),
}
TASKS = {"explain_code": explain_code, "complete_code": complete_code}


def documents(candidates: Iterable[str], megabytes: float, novelty: Novelty) -> Iterator[str]:
    size = 0
    for text in candidates:
        if MIN_BYTES <= len(text.encode()) <= MAX_BYTES and novelty.admit(text):
            size += len(text.encode())
            if size > megabytes * 1e6:
                return
            yield text


def write(path: Path, content: bytes) -> None:
    """Replace a file in one step, and only if it differs."""
    if path.exists() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(content)
    new.replace(path)


def write_jsonl(path: Path, records: Iterable[dict[str, str]]) -> None:
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in records]
    content = "".join(lines).encode()
    write(path, gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)


def write_folder(folder: Path, texts: Iterable[str]) -> None:
    """One file per document, and none left from other versions."""
    files = {folder / f"{number:04}.txt": text for number, text in enumerate(texts)}
    for path, text in files.items():
        write(path, text.encode())
    for path in set(folder.glob("*.txt")) - set(files):
        path.unlink()


def make(out: Path) -> None:
    novelty = Novelty()
    for name, candidates in TASKS.items():  # first, to keep them out of the domains
        write_jsonl(out / "tasks" / f"{name}.jsonl", items(candidates(), novelty))
    print(f"{'domain':<10}{'documents':>10}{'MB':>6}  made from")
    for target, (megabytes, domain) in DOMAINS.items():
        texts = list(documents(domain(), megabytes, novelty))
        if "." in target:
            write_jsonl(out / target, ({"text": text} for text in texts))
        else:
            write_folder(out / target, texts)
        name, size = target.partition(".")[0], sum(len(text.encode()) for text in texts)
        print(f"{name:<10}{len(texts):>10}{size / 1e6:>6.1f}  {domain.__doc__}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("out", nargs="?", type=Path, default=Path(__file__).parent / "data")
    # Newer interpreters find fault with escapes in the strings of other people's modules.
    warnings.simplefilter("ignore", SyntaxWarning)
    make(parser.parse_args().out)


if __name__ == "__main__":
    main()
