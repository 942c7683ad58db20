"""Data: from paths in a configuration to leaves, tokens and evaluation tasks, each identified by its content.

In go the domains and tasks of a configuration and the files behind them. Out come the leaves (`read_domains`), what
changed since an earlier set (`diff_domains`), tokenised corpora with a held-out slice (`tokenise`, `open_corpus`), and
checked tasks (`read_tasks`). Input formats (`data.formats`) and evaluation suites (`data.suites`) are registries, in
which one module adds one.
"""

from olmix_core.data.corpus import Corpus, LeafStatistics, open_corpus
from olmix_core.data.documents import text_documents, token_documents
from olmix_core.data.domain_diff import DomainDiff, diff_domains
from olmix_core.data.domains import DomainSet, Leaf, read_domains
from olmix_core.data.input_file import InputFile
from olmix_core.data.tasks import EvaluationTask, Item, TaskSource, read_items, read_tasks
from olmix_core.data.tokenisation import tokenise
from olmix_core.data.tokenizer import Tokenizer, byte_tokenizer, load_tokenizer, train_tokenizer

__all__ = [
    "Corpus",
    "DomainDiff",
    "DomainSet",
    "EvaluationTask",
    "InputFile",
    "Item",
    "Leaf",
    "LeafStatistics",
    "TaskSource",
    "Tokenizer",
    "byte_tokenizer",
    "diff_domains",
    "load_tokenizer",
    "open_corpus",
    "read_domains",
    "read_items",
    "read_tasks",
    "text_documents",
    "token_documents",
    "tokenise",
    "train_tokenizer",
]
