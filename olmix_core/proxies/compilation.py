"""Compiling the model and the loss, where that pays.

torch's compiler fuses what lies between the matrix products, which is most of a small model's time: on a CPU `tiny`
trains about 1.5 times as fast in bfloat16, 1.2 times in float32. It costs half a minute, once on a machine, then
seconds in each process; further proxies of the same recipe cost a process nothing. So it pays from some amount of
arithmetic on, which depends on the recipe alone: a proxy that is resumed is compiled, or not, as before.
"""

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from olmix_core.config.recipe import ProxyRecipe
from olmix_core.proxies.cross_entropy import Part, to_compile
from olmix_core.proxies.model import Transformer

# Floating-point operations of a training from which it pays. On a CPU 10 s of one thread in bfloat16, a minute in
# float32, which gains less; on a GPU a minute of a fast one, which is a guess: none was at hand.
PAYS_FROM = {
    ("cpu", "bfloat16"): 4e11,
    ("cpu", "float32"): 3e12,
    ("cuda", "bfloat16"): 1e16,
    ("cuda", "float32"): 1e15,
}


def training_flop(recipe: ProxyRecipe, vocab_size: int) -> float:
    """Floating-point operations of a training: 6 per parameter and token, 12 x layers x width x length for attention.

    The output layer is counted, the embeddings, tied to it, are not (Chowdhery et al. 2022, PaLM, appendix B).
    """
    attention = 12 * recipe.layers * recipe.width * recipe.sequence_length
    return float((recipe.tokens or 0) * (6 * recipe.parameters(vocab_size) + attention))


def pays(recipe: ProxyRecipe, vocab_size: int, device: torch.device) -> bool:
    """Whether compiling saves more than it costs."""
    return training_flop(recipe, vocab_size) >= PAYS_FROM[device.type, recipe.precision]


def compile_training(model: Transformer, recipe: ProxyRecipe) -> tuple[Callable[..., Tensor], Part]:
    """`Transformer.hidden` and the loss of some rows, both compiled at their first call, for shapes as they come.

    Where the process did so before, for another proxy of the same recipe, nothing is compiled again.
    """
    if not torch.cuda.is_available():
        # A worker has one thread; torch would start processes to compile in.
        torch._inductor.config.compile_threads = 1
    _forget_others(recipe.model_copy(update={"seed": 0}).model_dump_json())
    return torch.compile(model.hidden, dynamic=False), torch.compile(to_compile, dynamic=False)


@lru_cache(maxsize=1)
def _forget_others(recipe: str) -> None:
    """Drop what was compiled for another recipe: torch keeps a few versions of a function, then no longer compiles."""
    torch.compiler.reset()
