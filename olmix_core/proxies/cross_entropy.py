"""Output layer and cross-entropy in one, a few rows at a time.

With a vocabulary of V a batch of N tokens has N x V logits: of a small model with a large vocabulary that is most of
its memory and arithmetic. Here the logits of some rows at a time are made, turned into their own gradient in place, and
dropped: the memory is that of the rows at hand, and the forward pass leaves nothing to compute for the backward one.

torch's own `linear_cross_entropy` (2.13) is not used: chunked in bfloat16 on a CPU it returns a wrong loss.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Logits at once: what a core's cache holds; on a GPU enough to keep it busy (1 GiB in float32).
CPU_LOGITS = 1 << 19
CUDA_LOGITS = 1 << 28
FEWEST_ROWS = 256

# Of rows [n, width], weight [V, width], targets [n, 1] and N: the loss summed over the rows [], and the gradient of the
# mean over N with respect to the logits [n, V], in the precision of the weight.
Part = Callable[[Tensor, Tensor, Tensor, int], tuple[Tensor, Tensor]]


def in_place(rows: Tensor, weight: Tensor, targets: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """A `Part` that makes do with one table of logits."""
    logits = F.linear(rows, weight).float()
    logits -= logits.amax(dim=1, keepdim=True)
    right = logits.gather(1, targets)
    sums = logits.exp_().sum(dim=1, keepdim=True)
    loss = (sums.log() - right).sum()
    logits /= sums * total
    logits.scatter_(1, targets, logits.gather(1, targets) - 1 / total)
    return loss, logits.to(weight.dtype)


def to_compile(rows: Tensor, weight: Tensor, targets: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """The same `Part` without steps in place, which a compiler makes two passes over the logits of."""
    logits = F.linear(rows, weight).float()
    top = logits.amax(dim=1, keepdim=True)
    level = (logits - top).exp().sum(dim=1, keepdim=True).log() + top
    is_right = torch.arange(weight.shape[0], device=rows.device) == targets
    slope = ((logits - level).exp() - is_right.float()) / total
    return (level - logits.gather(1, targets)).sum(), slope.to(weight.dtype)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, precision: torch.dtype, part: Part
    ) -> Tensor:
        at_once = max(FEWEST_ROWS, (CUDA_LOGITS if hidden.is_cuda else CPU_LOGITS) // weight.shape[0])
        total = targets.numel()
        x, w = hidden.to(precision), weight.to(precision)
        grad_x, grad_w = torch.empty_like(x), torch.zeros_like(weight)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, total, at_once):
            rows = x[start : start + at_once]
            of_rows, slope = part(rows, w, targets[start : start + at_once, None], total)
            loss += of_rows
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
    part: Part = in_place,
) -> Tensor:
    """Mean cross-entropy, in nats, of softmax(hidden @ weight.T) against `targets`.

    hidden [N, width], weight [V, width], targets [N]. `precision` is that of the matrix products; what is summed, and
    the gradient of the weights, is float32.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, precision, part)  # type: ignore[no-untyped-call]
    return loss
