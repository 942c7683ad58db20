"""Output layer and cross-entropy in one, a few rows at a time.

With a vocabulary of V a batch of N tokens has N x V logits: of a small model with a large vocabulary that is most of
its memory and arithmetic. Here the logits of some rows at a time are made, turned into their own gradient in place, and
dropped: the memory is that of the rows at hand, and the forward pass leaves nothing to compute for the backward one.

torch's own `linear_cross_entropy` (2.13) is not used: chunked in bfloat16 on a CPU it returns a wrong loss.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

# Logits at once: what a core's cache holds; on a GPU enough to keep it busy (1 GiB in float32).
CPU_LOGITS = 1 << 19
CUDA_LOGITS = 1 << 28
FEWEST_ROWS = 256


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, precision: torch.dtype) -> Tensor:
        rows = max(FEWEST_ROWS, (CUDA_LOGITS if hidden.is_cuda else CPU_LOGITS) // weight.shape[0])
        total = targets.numel()
        x, w = hidden.to(precision), weight.to(precision)
        grad_x, grad_w = torch.empty_like(x), torch.zeros_like(weight)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, total, rows):
            part, wanted = x[start : start + rows], targets[start : start + rows, None]
            logits = F.linear(part, w).float()
            logits -= logits.amax(dim=1, keepdim=True)
            right = logits.gather(1, wanted)
            sums = logits.exp_().sum(dim=1, keepdim=True)
            loss += (sums.log() - right).sum()
            # The gradient of the mean: (softmax - one hot) / N.
            logits /= sums * total
            logits.scatter_(1, wanted, logits.gather(1, wanted) - 1 / total)
            slope = logits.to(precision)
            grad_x[start : start + rows] = slope @ w
            grad_w += slope.T @ part
        ctx.save_for_backward(grad_x.to(hidden.dtype), grad_w)
        return loss / total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        grad_x, grad_w = ctx.saved_tensors
        return grad_x * grads[0], grad_w * grads[0], None, None


def linear_cross_entropy(
    hidden: Tensor, weight: Tensor, targets: Tensor, precision: torch.dtype = torch.float32
) -> Tensor:
    """Mean cross-entropy, in nats, of softmax(hidden @ weight.T) against `targets`.

    hidden [N, width], weight [V, width], targets [N]. `precision` is that of the matrix products; what is summed, and
    the gradient of the weights, is float32.
    """
    loss: Tensor = _LinearCrossEntropy.apply(hidden, weight, targets, precision)  # type: ignore[no-untyped-call]
    return loss
