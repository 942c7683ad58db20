"""Files tokenizer.json as people have them: truncation, padding, post-processors, added tokens, ids with holes."""

import copy
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from olmix_core.data.tokenizer import train_bpe

EOS = "<|endoftext|>"
TEXTS = [
    "some words of text",
    "",
    " leading and trailing spaces \n\n",
    "äöü 漢字 🙂 é e\u0301",
    f"text that spells {EOS} and <pad> and [CLS] [SEP] and <extra>",
    "x" * 700,
    "\x00\u200b\ufeff",
]
_WORDS = [EOS, "[UNK]", "some", "words", "of", "text", "a", "x", "##x", "\u2581some", "\u2581", "e"]


def _base(kind: str) -> dict[str, Any]:
    if kind == "bytes":
        return dict(
            json.loads(str(train_bpe(["a few words of text, and more of them " * 20], 300).to_json()["definition"]))
        )
    vocabulary = {word: number for number, word in enumerate(_WORDS)}
    if kind == "words":
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    elif kind == "pieces":
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer()
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    else:
        tokenizer = Tokenizer(models.Unigram([(word, -float(n)) for n, word in enumerate(_WORDS)], unk_id=1))
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.add_special_tokens([EOS])
    return dict(json.loads(tokenizer.to_str()))


BASES = {kind: _base(kind) for kind in ("bytes", "words", "pieces", "unigram")}
SPECIAL = {"[CLS]": {"id": "[CLS]", "ids": [0], "tokens": [EOS]}}
TEXT, PAIR = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
CLS = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
POST_PROCESSORS: list[dict[str, Any] | None] = [
    None,
    {"type": "RobertaProcessing", "sep": [EOS, 0], "cls": [EOS, 0], "trim_offsets": True, "add_prefix_space": True},
    {"type": "BertProcessing", "sep": [EOS, 0], "cls": [EOS, 0]},
    {
        "type": "TemplateProcessing",
        "single": [CLS, TEXT],
        "pair": [TEXT, PAIR],
        "special_tokens": SPECIAL,
    },
    {"type": "TemplateProcessing", "single": [CLS], "pair": [TEXT, PAIR], "special_tokens": SPECIAL},
    {
        "type": "Sequence",
        "processors": [
            {"type": "TemplateProcessing", "single": [TEXT, TEXT], "pair": [TEXT, PAIR], "special_tokens": {}}
        ],
    },
    {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
]
_truncations = st.fixed_dictionaries(
    {
        "direction": st.sampled_from(["Right", "Left"]),
        "max_length": st.integers(0, 128),
        "strategy": st.sampled_from(["LongestFirst", "OnlyFirst", "OnlySecond"]),
        "stride": st.integers(0, 4),
    }
)
_paddings = st.fixed_dictionaries(
    {
        "strategy": st.one_of(st.just("BatchLongest"), st.integers(0, 600).map(lambda size: {"Fixed": size})),
        "direction": st.sampled_from(["Right", "Left"]),
        "pad_to_multiple_of": st.sampled_from([None, 8]),
        "pad_id": st.integers(0, 500),
        "pad_type_id": st.just(0),
        "pad_token": st.sampled_from(["<pad>", EOS]),
    }
)
_flags = {name: st.booleans() for name in ("single_word", "lstrip", "rstrip", "normalized", "special")}
_added = st.lists(
    st.fixed_dictionaries({"content": st.sampled_from(["<pad>", "<extra>", " of", "漢"]), **_flags}),
    max_size=3,
    unique_by=lambda token: str(token["content"]),
)
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [None, -1, 0, 1 << 40, 1.5, True, "", "x", "[UNK]", [], {}, [[]], {"type": "x"}, "\ud7ff"]
)


@dataclass(frozen=True)
class DrawnTokenizer:
    """A tokenizer.json.

    Attributes:
        definition: Its text.
        bare: The same without truncation, padding and post-processor, which add and drop tokens.
        measures_bytes: Whether the bytes of its tokens are those of the text.
        is_sound: Whether it is a tokenizer for certain.
    """

    definition: str
    bare: str
    measures_bytes: bool
    is_sound: bool


@st.composite
def tokenizer_files(draw: st.DrawFn) -> DrawnTokenizer:
    """Draw a tokenizer.json, with some of its values changed in one of two cases."""
    kind = draw(st.sampled_from(list(BASES)))
    record = copy.deepcopy(BASES[kind])
    _add_holes(draw, record)
    extra = draw(_added)
    ids = [*_ids(record["model"]["vocab"]), *(token["id"] for token in record["added_tokens"])]
    for number, token in enumerate(extra, start=1):
        record["added_tokens"].append({"id": max(ids) + number, **token})
    # The library numbers added tokens from the number of entries on, whatever the file says.
    numbers = range(len(_ids(record["model"]["vocab"])), len(ids) + len(extra))
    collides = bool(extra) and any(number in ids for number in numbers)
    bare = json.dumps(record)
    record["truncation"] = draw(st.none() | _truncations)
    record["padding"] = draw(st.none() | _paddings)
    record["post_processor"] = copy.deepcopy(draw(st.sampled_from(POST_PROCESSORS)))
    is_whole = not draw(st.booleans())
    for _ in range(0 if is_whole else draw(st.integers(1, 3))):
        _change(draw, record)
    strips = any(token["lstrip"] or token["rstrip"] or token["special"] or token["single_word"] for token in extra)
    return DrawnTokenizer(json.dumps(record), bare, kind == "bytes" and not strips, is_whole and not collides)


def _ids(vocabulary: Any) -> list[int]:
    return list(vocabulary.values()) if isinstance(vocabulary, dict) else list(range(len(vocabulary)))


def _add_holes(draw: st.DrawFn, record: dict[str, Any]) -> None:
    """Move the ids above some id up; those of special tokens stay."""
    vocabulary = record["model"]["vocab"]
    gap = draw(st.sampled_from([0, 0, 1, 70_000]))
    if isinstance(vocabulary, dict) and gap:
        first = draw(st.integers(2, len(vocabulary)))
        record["model"]["vocab"] = {name: index + gap * (index >= first) for name, index in vocabulary.items()}


def _change(draw: st.DrawFn, record: dict[str, Any]) -> None:
    """Delete or replace a value somewhere."""
    node: Any = record
    while True:
        if isinstance(node, dict) and node:
            key: Any = draw(st.sampled_from(sorted(node)[:400]))
        elif isinstance(node, list) and node:
            key = draw(st.integers(0, len(node) - 1))
        else:
            return
        inner = node[key]
        if isinstance(inner, dict | list) and inner and draw(st.integers(0, 3)):
            node = inner
            continue
        if draw(st.booleans()):
            del node[key]
        else:
            node[key] = copy.deepcopy(draw(_ODD))
        return
