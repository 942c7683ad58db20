"""BPB of the paper's tasks, against the package that they come from: its own samples, batches and metric."""

import importlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.data.suites.olmes import PACKAGE, TASKS, VERSION, download, import_tasks
from olmix_core.data.tasks import Item, read_items
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, train_bpe
from olmix_core.proxies.model import Transformer
from olmix_core.proxies.scoring import score_items

pytestmark = pytest.mark.e2e

# Its pins are not ours, but what is used of it works with ours.
NEEDED = (
    f"{PACKAGE}=={VERSION}", "torchmetrics==1.9.0", "lightning-utilities", "datasets==3.6.0", "importlib_resources",
    "dill", "xxhash", "multiprocess", "huggingface_hub", "cached-path",
)  # fmt: skip
LENGTH = 1024
DOCUMENTS = 12

# {task: its name in the package}: every family, with and without examples, with wrong answers and without.
PAIRS = {
    "arc_challenge": "arc_challenge_test_rc_5shot",
    "codex_humaneval": "codex_humaneval_gold_bpb_3shot",
    "coqa": "coqa_bpb_0shot",
    "drop": "drop_bpb_5shot",
    "hellaswag": "hellaswag_rc_5shot",
    "jeopardy": "jeopardy_bpb_5shot",
    "lambada": "lambada_bpb_0shot",
    "minerva_math_algebra": "minerva_math_algebra_gold_bpb_0shot",
    "mmlu_stem": "mmlu_stem_test_rc_5shot",
    "mt_mbpp_go": "mt_mbpp_go_gold_bpb_3shot",
    "squad": "squad_bpb_5shot",
    "winogrande": "winogrande_val_rc_5shot",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The package, installed aside and imported as it is."""
    folder = tmp_path_factory.mktemp("package")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*pip, *NEEDED], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the reference package cannot be installed here: {done.stderr.strip()[-300:]}")
    sys.path.insert(0, str(folder))
    yield importlib.import_module("olmo_eval")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory, package: Any) -> Path:
    folder = tmp_path_factory.mktemp("tasks")
    counts = import_tasks(download(), folder)
    assert set(counts) == set(TASKS)
    return folder


@pytest.fixture(scope="module")
def tokenizer(imported: Path) -> Tokenizer:
    texts = [item.context for item in list(read_items(str(imported / "arc_easy.jsonl")))[:200]]
    return train_bpe(texts, 1000)


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer) -> Transformer:
    recipe = ProxyRecipe(layers=2, width=32, heads=2, sequence_length=LENGTH, batch_size=1, tokens=LENGTH, seed=5)
    return Transformer(recipe, tokenizer.vocab_size).eval()


class Adapted:
    """Our tokenizer as the package wants one; what it calls the beginning of a text ends the one before."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.vocab_size = tokenizer.vocab_size
        self.pad_token_id = self.eos_token_id = self.bos_token_id = tokenizer.eos

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        assert not add_special_tokens
        return self._tokenizer.encode([text])[0].tolist()


def shortened(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The samples of the first documents, which the package's metric wants whole."""
    first = sorted({sample["doc_id"] for sample in samples})[:DOCUMENTS]
    return [sample for sample in samples if sample["doc_id"] in first]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", PAIRS)
def test_bpb_is_the_packages(
    name: str, package: Any, imported: Path, tokenizer: Tokenizer, model: Transformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, options = package.tasks.LABEL_TO_TASK_MAP[PAIRS[name]]
    for loader in ("load_oe_eval_requests", "load_hf_dataset"):
        monkeypatch.setattr(package.tasks, loader, few(getattr(package.tasks, loader)))
    theirs = kind(tokenizer=Adapted(tokenizer), model_ctx_len=LENGTH, **options)
    theirs.samples = shortened(theirs.samples)
    # Of multiple choice the package scores wrong answers too, and takes the gold one's BPB.
    metric = package.ICLMetric(metric_type=theirs.metric_type)
    with torch.inference_mode():
        for sample in theirs.samples:
            batch = theirs.collate_fn([sample])
            metric.update(batch, model(batch["input_ids"]))
    reference = float(metric.compute()["bpb_v2"])

    # Ours are in the file, whatever its order: the gold continuation of each document after its context.
    items = list(read_items(str(imported / f"{name}.jsonl")))
    contexts = tokenizer.encode([item.context for item in items])
    continuations = tokenizer.encode([item.continuation for item in items])
    both = zip(contexts, continuations, strict=True)
    known = {tuple(tuple(ids.tolist()) for ids in pair): item for pair, item in zip(both, items, strict=True)}
    gold = [s for s in theirs.samples if s["cont_id"] == s["label_id"]]
    ours = [known[tuple(sample["ctx"][1:]), tuple(sample["continuation"])] for sample in gold]
    assert len(ours) == len({sample["doc_id"] for sample in theirs.samples}) == DOCUMENTS
    assert all(len(sample["continuation"]) < LENGTH for sample in gold), "which the package would cut"
    assert score_items(model, tokenizer, ours, LENGTH).bpb == pytest.approx(reference, abs=1e-6, rel=1e-6)


def few(loader: Any) -> Any:
    """The loader, of which the first documents are enough: the package turns all into tokens."""

    def load(*arguments: Any, **options: Any) -> Any:
        found = loader(*arguments, **options)
        if isinstance(found, tuple):  # requests: (configuration, [request])
            config, requests = found
            return config, [request for request in requests if request["doc_id"] < DOCUMENTS]
        return found.select(range(min(DOCUMENTS, len(found))))

    return load


def test_imported_files_are_tasks(imported: Path) -> None:
    lists = {name: (imported / f"{name}.yaml").read_text() for name in ("olmix-52", "quick")}
    assert lists["olmix-52"].count("file:") == 52
    assert json.loads((imported / "mmlu_other.jsonl").read_text().splitlines()[0])["continuation"].startswith(" ")
    assert isinstance(next(read_items(str(imported / "lambada.jsonl"))), Item)
    assert byte_tokenizer().encode(["a"])[0].tolist() == [97]
