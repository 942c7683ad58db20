"""Compile the model and the loss where that saves time.

torch's compiler fuses the operations between the matrix products, most of a small model's time: on a CPU `tiny`
trains about 1.5 times as fast in bfloat16, 1.2 times in float32. It costs half a minute, once on a machine, then
seconds in each process; further proxies of the same recipe cost a process nothing. So it pays above an amount of
arithmetic, which depends on the recipe alone: a proxy that is resumed is compiled, or not, as before.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.proxies.cross_entropy import ChunkLoss, chunk_to_compile
from olmix_core.proxies.model import Transformer

# Floating-point operations of a training above which compiling pays. On a CPU 10 s of one thread in bfloat16, a minute
# in float32, which gains less; on a GPU a minute of a fast one, which is a guess and was not measured.
PAYS_FROM = {
    ("cpu", "bfloat16"): 4e11,
    ("cpu", "float32"): 3e12,
    ("cuda", "bfloat16"): 1e16,
    ("cuda", "float32"): 1e15,
}


def count_training_flop(recipe: ProxyRecipe, vocab_size: int) -> float:
    """Count the floating-point operations of a training (Chowdhery et al. 2022, PaLM, appendix B).

    6 per parameter and token, and 12 x layers x width x length per token for attention. The output layer counts; the
    embeddings, tied to it, do not.

    Args:
        recipe: The recipe.
        vocab_size: Size of the vocabulary.

    Returns:
        Floating-point operations.
    """
    attention = 12 * recipe.layers * recipe.width * recipe.sequence_length
    return float((recipe.tokens or 0) * (6 * recipe.parameters(vocab_size) + attention))


def compiling_pays(recipe: ProxyRecipe, vocab_size: int, device: torch.device) -> bool:
    """Decide whether compiling saves more time than it takes.

    Args:
        recipe: The recipe.
        vocab_size: Size of the vocabulary.
        device: The device.

    Returns:
        Whether to compile.
    """
    return count_training_flop(recipe, vocab_size) >= PAYS_FROM[device.type, recipe.precision]


def compile_training(model: Transformer, recipe: ProxyRecipe) -> tuple[Callable[..., Tensor], ChunkLoss]:
    """Compile `Transformer.hidden` and the loss of a chunk of rows; both compile at their first call, per shape.

    Nothing is compiled again for another proxy of the same recipe in the same process.

    Args:
        model: The model.
        recipe: Its recipe.

    Returns:
        The two functions.
    """
    if not torch.cuda.is_available():
        # A worker has one thread; torch would start processes to compile in.
        torch._inductor.config.compile_threads = 1  # noqa: SLF001  # its documented place
    _forget_others(recipe.model_copy(update={"seed": 0}).model_dump_json())
    return torch.compile(model.hidden, dynamic=False), torch.compile(chunk_to_compile, dynamic=False)


@lru_cache(maxsize=1)
def _forget_others(recipe: str) -> None:  # noqa: ARG001  # the argument is the key of the cache
    """Drop functions compiled for another recipe: torch keeps only a few versions of a function."""
    torch.compiler.reset()
