import argparse
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors, trainers
from tokenizers import Tokenizer as HFTokenizer

from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, load_tokenizer, sample, train_bpe
from olmix_core.errors import DataError

LEARNT = [*inspect.getsource(argparse)[:40_000].splitlines(keepends=True), "größer 漢字 🙂 naïve\n"]
BPE = train_bpe(LEARNT, 400)


def with_spaces() -> Tokenizer:
    """Like GPT-NeoX's: byte-level, with runs of spaces among the added tokens."""
    model = HFTokenizer.from_str(str(BPE.to_json()["definition"]))
    model.add_tokens([AddedToken("    ", normalized=False), AddedToken("größer", normalized=False)])
    return Tokenizer(model, BPE.eos)


def with_byte_fallback() -> Tokenizer:
    """Like Llama's: characters as they are, bytes as <0x..>, a space as ▁."""
    vocab = {"<unk>": 0, "</s>": 1} | {f"<0x{byte:02X}>": 2 + byte for byte in range(256)}
    vocab |= {character: len(vocab) + i for i, character in enumerate("▁abcé漢")}
    model = HFTokenizer(models.BPE(vocab=vocab, merges=[], byte_fallback=True, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    model.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    model.add_special_tokens(["<unk>", "</s>"])
    return load_tokenizer(model.to_str(), "llama")


TOKENIZERS = {
    "bpe": BPE,
    "bytes": byte_tokenizer(),
    "spaces": with_spaces(),
    "byte fallback": with_byte_fallback(),
}


def sized(tokenizer: Tokenizer, text: str) -> int:
    [ids] = tokenizer.encode([text])
    return int(tokenizer.token_bytes[ids].sum())


@pytest.mark.parametrize("kind", TOKENIZERS)
@example("a    b\n        größer größer")
@example("<|endoftext|>")
@example("\x00\r\n\u2028\u00a0 \ufeff")
@given(st.text())
def test_the_bytes_of_tokens_add_up_to_those_of_the_text(kind: str, text: str) -> None:
    if "▁" in text and kind == "byte fallback":
        return  # there it means a space
    assert sized(TOKENIZERS[kind], text) == len(text.encode())


@given(st.lists(st.text()))
def test_bytes_are_tokens(texts: list[str]) -> None:
    tokenizer = byte_tokenizer()
    assert [bytes(ids.tolist()).decode() for ids in tokenizer.encode(texts)] == texts
    assert (tokenizer.eos, tokenizer.vocab_size, tokenizer.dtype) == (256, 257, np.dtype(np.uint16))


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(st.lists(st.text(), max_size=4))
def test_texts_do_not_depend_on_their_neighbours(kind: str, texts: list[str]) -> None:
    tokenizer = TOKENIZERS[kind]
    alone = [tokenizer.encode([text])[0].tolist() for text in texts]
    assert [ids.tolist() for ids in tokenizer.encode(texts)] == alone


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(st.text())
def test_no_text_holds_the_end_of_a_document(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    for part in (text, f"{text}<|endoftext|></s>{text}"):
        [ids] = tokenizer.encode([part])
        assert tokenizer.eos not in ids


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_record_gives_the_same_tokenizer_back(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    again = Tokenizer.from_json(json.loads(json.dumps(tokenizer.to_json())))
    assert again.fingerprint == tokenizer.fingerprint
    assert (again.eos, again.vocab_size, again.dtype) == (tokenizer.eos, tokenizer.vocab_size, tokenizer.dtype)
    text = "the cat <|endoftext|>    größer 漢字"
    assert again.encode([text])[0].tolist() == tokenizer.encode([text])[0].tolist()
    assert again.token_bytes.tolist() == tokenizer.token_bytes.tolist()


def test_fingerprints_tell_tokenizers_apart() -> None:
    other_end = Tokenizer(HFTokenizer.from_str(str(BPE.to_json()["definition"])), BPE.eos + 1)
    more = train_bpe(LEARNT, 401)
    assert len({t.fingerprint for t in (*TOKENIZERS.values(), other_end, more)}) == len(TOKENIZERS) + 2


def test_special_tokens_stand_for_no_text() -> None:
    assert BPE.token_bytes[BPE.eos] == 0
    assert byte_tokenizer().token_bytes.tolist() == [1] * 256 + [0]


# Training


def test_training_is_asked_for_its_size() -> None:
    assert BPE.vocab_size == 400
    assert sized(BPE, "self.parser") == 11
    assert len(BPE.encode(["self.parser"])[0]) < 6  # it learnt something


def test_training_is_deterministic_whatever_the_threads() -> None:
    code = (
        "import sys; from olmix_core.data.tokenizer import train_bpe;"
        "texts = [f'{i * 7919 % 1000} {i * 31 % 97} word{i % 13}' for i in range(3000)];"
        "print(train_bpe(texts, 500).fingerprint)"
    )
    found = set()
    for threads, parallel in (("1", "false"), ("4", "true"), ("2", "true")):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": parallel}
        ended = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        found.add(ended.stdout)
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_another_text_trains_another_tokenizer() -> None:
    assert train_bpe(["quite another text " * 100, *LEARNT], 400).fingerprint != BPE.fingerprint


def test_too_little_text_gives_a_smaller_vocabulary() -> None:
    assert train_bpe(["ab"], 1000).vocab_size < 1000


def test_a_sample_is_as_large_as_asked_for() -> None:
    assert list(sample(["ab", "cd", "ef", "gh"], 3)) == ["ab", "cd"]
    assert list(sample(["ää", "b"], 4)) == ["ää"]
    assert list(sample(["ab"], 100)) == ["ab"]
    endless = iter(lambda: "ab", None)
    assert len(list(sample(endless, 100))) == 50


# Files


def word_level(*special: str) -> str:
    model = HFTokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    model.add_special_tokens(list(special))
    return str(model.to_str())


def test_a_tokenizer_file_is_what_was_saved(tmp_path: Path) -> None:
    model = HFTokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=["</s>"], show_progress=False)
    model.train_from_iterator(LEARNT, trainer)
    model.save(str(tmp_path / "tokenizer.json"))
    loaded = load_tokenizer((tmp_path / "tokenizer.json").read_text(), "tokenizer.json")
    assert loaded.eos == model.token_to_id("</s>")
    assert loaded.vocab_size == model.get_vocab_size()
    assert loaded.encode(["the cat"])[0].tolist() == model.encode("the cat").ids


@pytest.mark.parametrize(
    ("special", "eos", "expected"),
    [
        (["<|endoftext|>"], None, 2),
        (["<pad>", "</s>"], None, 3),
        (["</s>", "<|endoftext|>"], None, 3),
        (["</s>", "<end>"], "<end>", 3),
        ([], "b", 1),
    ],
)
def test_the_end_of_a_document_is_found(special: list[str], eos: str | None, expected: int) -> None:
    assert load_tokenizer(word_level(*special), "t.json", eos).eos == expected


@pytest.mark.parametrize(("eos", "found"), [(None, "no token that usually ends a document"), ("<x>", "no token <x>")])
def test_without_an_end_of_document_the_field_to_set_is_named(eos: str | None, found: str) -> None:
    with pytest.raises(DataError, match=rf"t\.json: found {found}; expected tokenizer\.eos to name the token"):
        load_tokenizer(word_level("<pad>"), "t.json", eos)


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"model": {"type": "BPE"}}', "\x00"])
def test_what_is_no_tokenizer_is_refused(text: str) -> None:
    with pytest.raises(DataError, match=r"t\.json: cannot be read as a tokenizer: .*expected a Hugging Face"):
        load_tokenizer(text, "t.json")


LONG_TEXT = "to be or not to be, that is the question. " * 200


def saved_by_transformers(**settings: Any) -> str:
    """A byte-level BPE as `transformers` saves it after a call with `settings`."""
    model = HFTokenizer.from_str(BPE.to_json()["definition"])
    if "max_length" in settings:
        model.enable_truncation(settings["max_length"], stride=settings.get("stride", 0))
    if "length" in settings:
        model.enable_padding(length=settings["length"], pad_id=0, pad_token="<|endoftext|>")
    if "template" in settings:
        special = [("<|endoftext|>", 0)]
        template = processors.TemplateProcessing(single=settings["template"], special_tokens=special)
        in_sequence = settings.get("in_sequence", False)
        model.post_processor = processors.Sequence([processors.ByteLevel(), template]) if in_sequence else template
    return str(model.to_str())


@pytest.mark.parametrize(
    "settings",
    [
        {"max_length": 128},
        {"max_length": 64, "stride": 16},
        {"length": 512},
        {"max_length": 128, "length": 128},
        {"template": "<|endoftext|> $A"},
        {"template": "<|endoftext|>"},
        {"template": "$A $A"},
        {"template": "$A $A", "in_sequence": True},
    ],
)
@pytest.mark.parametrize("text", [LONG_TEXT, "a", ""])
def test_settings_that_would_cut_or_fill_documents_are_switched_off(settings: dict[str, Any], text: str) -> None:
    plain = load_tokenizer(saved_by_transformers(), "plain.json")
    saved = load_tokenizer(saved_by_transformers(**settings), "saved.json")
    assert [ids.tolist() for ids in saved.encode([text, text])] == [ids.tolist() for ids in plain.encode([text, text])]
    again = Tokenizer.from_json(saved.to_json())
    assert again.encode([text])[0].tolist() == plain.encode([text])[0].tolist()


def test_a_tokenizer_names_what_it_ignores() -> None:
    assert load_tokenizer(saved_by_transformers(), "t.json").ignored == ()
    both = load_tokenizer(saved_by_transformers(max_length=8, length=8), "t.json")
    assert both.ignored == ("truncation", "padding")
    assert both.fingerprint == load_tokenizer(saved_by_transformers(), "t.json").fingerprint


@pytest.mark.parametrize("in_sequence", [False, True])
@pytest.mark.parametrize(("template", "ignored"), [("<|endoftext|> $A", ()), ("$A $A", ("post_processor",))])
def test_a_template_is_ignored_where_the_text_does_not_stand_in_it_once(
    template: str, ignored: tuple[str, ...], in_sequence: bool
) -> None:
    saved = load_tokenizer(saved_by_transformers(template=template, in_sequence=in_sequence), "t.json")
    assert saved.ignored == ignored


def test_a_panic_of_the_library_is_refused_in_words() -> None:
    record = json.loads(str(BPE.to_json()["definition"]))
    record["model"]["continuing_subword_prefix"] = "x" * 1000
    with pytest.raises(DataError, match=r"^t\.json: cannot be read as a tokenizer"):
        load_tokenizer(json.dumps(record), "t.json")


def test_a_vocabulary_may_have_holes() -> None:
    model = HFTokenizer(models.WordLevel({"<eos>": 0, "a": 7, "b": 70_000}, unk_token="<eos>"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = load_tokenizer(model.to_str(), "t.json")
    assert tokenizer.vocab_size == 70_001
    assert tokenizer.dtype == np.dtype("uint32")
    assert tokenizer.encode(["a b"])[0].tolist() == [7, 70_000]
    assert tokenizer.token_bytes[[7, 70_000, 8]].tolist() == [1, 1, 0]


def test_two_tokens_with_the_same_id_are_refused() -> None:
    """The library numbers added tokens from the number of entries on, into gaps and beyond."""
    record = json.loads(str(BPE.to_json()["definition"]))
    vocabulary = record["model"]["vocab"]
    last = max(vocabulary, key=lambda token: vocabulary[token])
    vocabulary[last] += 1
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    record["added_tokens"].append({"id": vocabulary[last] + 1, "content": "<pad>", **flags})
    message = f"t.json: found the id {vocabulary[last]} for both '<pad>' and {last!r}; expected an id for each"
    with pytest.raises(DataError, match=re.escape(message)):
        load_tokenizer(json.dumps(record), "t.json")


def test_a_tokenizer_without_an_unknown_token_refuses_what_it_has_no_token_for() -> None:
    model = HFTokenizer(models.Unigram([("</s>", 0.0), ("a", -1.0)]))
    tokenizer = load_tokenizer(model.to_str(), "t.json")
    assert [ids.tolist() for ids in tokenizer.encode(["aa"])] == [[1, 1]]
    with pytest.raises(DataError, match=r"a text cannot be encoded: .*unk_id.*; expected a tokenizer with an unknown"):
        tokenizer.encode(["ab"])
