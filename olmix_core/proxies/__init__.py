"""Proxies: small language models trained on a mixture and scored in bits per byte.

A mixture over tokenised leaves (`olmix_core.data`) becomes `Sequences`; `train` makes a `TrainedProxy` of them, a
`Transformer`; `score_items`, `score_text` and `score_heldout` score it. torch is imported on first use: `results`
(records of proxies) and `mixture_description` do not need it.
"""

from typing import TYPE_CHECKING

from olmix_core.lazy_imports import lazy_attributes
from olmix_core.proxies.mixture_description import MixtureDescription, describe_mixture
from olmix_core.proxies.results import CommandRun, ProxyRun, Score, TrainingProgress, load_run

if TYPE_CHECKING:
    from olmix_core.proxies.model import Transformer as Transformer
    from olmix_core.proxies.scoring import score_heldout as score_heldout
    from olmix_core.proxies.scoring import score_items as score_items
    from olmix_core.proxies.scoring import score_text as score_text
    from olmix_core.proxies.sequences import Sequences as Sequences
    from olmix_core.proxies.training import TrainedProxy as TrainedProxy
    from olmix_core.proxies.training import train as train

__all__ = [
    "CommandRun",
    "MixtureDescription",
    "ProxyRun",
    "Score",
    "Sequences",
    "TrainedProxy",
    "TrainingProgress",
    "Transformer",
    "describe_mixture",
    "load_run",
    "score_heldout",
    "score_items",
    "score_text",
    "train",
]

# These modules import torch.
__getattr__ = lazy_attributes(
    __name__,
    {
        "Sequences": "sequences",
        "TrainedProxy": "training",
        "Transformer": "model",
        "score_heldout": "scoring",
        "score_items": "scoring",
        "score_text": "scoring",
        "train": "training",
    },
)
