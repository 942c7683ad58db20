"""Output layer and cross-entropy, fused and computed in chunks of rows.

A batch of N tokens has N x V logits over a vocabulary of V; in a small model with a large vocabulary these dominate
memory and arithmetic. Here the logits of a chunk of rows are computed, turned into their gradient, and dropped: memory
is that of one chunk, and the forward pass leaves nothing to compute for the backward pass.

torch's own `linear_cross_entropy` (2.13) is not used: chunked in bfloat16 on a CPU it returns a wrong loss.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Logits in a chunk: on a CPU as many as a core's cache holds, on a GPU enough to keep it busy (1 GiB in float32).
CPU_LOGITS = 1 << 19
CUDA_LOGITS = 1 << 28
FEWEST_ROWS = 256

# (rows [n, width], weight [V, width], targets [n, 1], N) to the loss summed over the rows [], and the gradient of the
# mean over N rows with respect to the logits [n, V], in the precision of the weight.
ChunkLoss = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def chunk_in_place(rows: Tensor, weight: Tensor, targets: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Compute loss and gradient of a chunk with one table of logits.

    Args:
        rows: Inputs [n, width] of the output layer.
        weight: Its weight [V, width].
        targets: Token ids [n, 1].
        total: Number N of rows in all chunks.

    Returns:
        Loss summed over the rows [], and gradient [n, V] of the mean over N.
    """
    logits = F.linear(rows, weight).float()
    logits -= logits.amax(dim=1, keepdim=True)
    at_target = logits.gather(1, targets)
    sums = logits.exp_().sum(dim=1, keepdim=True)
    loss = (sums.log() - at_target).sum()
    logits /= sums * total
    logits.scatter_(1, targets, logits.gather(1, targets) - 1 / total)
    return loss, logits.to(weight.dtype)


def chunk_to_compile(rows: Tensor, weight: Tensor, targets: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """Compute the same as `chunk_in_place` without operations in place, which compiles to two passes over the logits.

    Args:
        rows: Inputs [n, width] of the output layer.
        weight: Its weight [V, width].
        targets: Token ids [n, 1].
        total: Number N of rows in all chunks.

    Returns:
        Loss summed over the rows [], and gradient [n, V] of the mean over N.
    """
    logits = F.linear(rows, weight).float()
    top = logits.amax(dim=1, keepdim=True)
    level = (logits - top).exp().sum(dim=1, keepdim=True).log() + top
    is_target = torch.arange(weight.shape[0], device=rows.device) == targets
    slope = ((logits - level).exp() - is_target.float()) / total
    return (level - logits.gather(1, targets)).sum(), slope.to(weight.dtype)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, precision: torch.dtype, chunk_loss: ChunkLoss
    ) -> Tensor:
        at_once = max(FEWEST_ROWS, (CUDA_LOGITS if hidden.is_cuda else CPU_LOGITS) // weight.shape[0])
        total = targets.numel()
        x, w = hidden.to(precision), weight.to(precision)
        grad_x, grad_w = torch.empty_like(x), torch.zeros_like(weight)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, total, at_once):
            rows = x[start : start + at_once]
            chunk, slope = chunk_loss(rows, w, targets[start : start + at_once, None], total)
            loss += chunk
            grad_x[start : start + at_once] = slope @ w
            grad_w += slope.T @ rows
        ctx.save_for_backward(grad_x.to(hidden.dtype), grad_w)
        return loss / total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_x, grad_w = ctx.saved_tensors
        return grad_x * grads[0], grad_w * grads[0], None, None, None


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    precision: torch.dtype = torch.float32,
    chunk_loss: ChunkLoss = chunk_in_place,
) -> Tensor:
    """Compute the mean cross-entropy of softmax(hidden @ weight.T) against targets.

    Args:
        hidden: Inputs [N, width] of the output layer.
        weight: Its weight [V, width].
        targets: Token ids [N].
        precision: Precision of the matrix products; sums and the gradient of the weight are float32.
        chunk_loss: Loss and gradient of a chunk of rows.

    Returns:
        The mean loss [], in nats.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, precision, chunk_loss)  # type: ignore[no-untyped-call]
    return loss
