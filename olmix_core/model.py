"""The proxy model: a decoder-only transformer in plain torch.

Pre-norm blocks of rotary attention and SwiGLU, RMSNorm without biases, embeddings tied to the output layer.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmix_core.recipe import Proxy


class Attention(nn.Module):
    """Causal multi-head attention with rotary positions; queries and keys are normalised."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(rms_norm(q), cos, sin), rotate(rms_norm(k), cos, sin)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        out: Tensor = self.out(y.transpose(1, 2).reshape(batch, length, width))
        return out


class SwiGLU(nn.Module):
    """out(silu(gate) * up)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        out: Tensor = self.out(F.silu(gate) * up)
        return out


class Block(nn.Module):
    def __init__(self, recipe: Proxy) -> None:
        super().__init__()
        self.attention_norm = nn.RMSNorm(recipe.width)
        self.attention = Attention(recipe.width, recipe.heads)
        self.mlp_norm = nn.RMSNorm(recipe.width)
        self.mlp = SwiGLU(recipe.width, recipe.mlp)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        x = x + self.attention(self.attention_norm(x), cos, sin)
        y: Tensor = x + self.mlp(self.mlp_norm(x))
        return y


class Transformer(nn.Module):
    """Token ids [B, L] to logits [B, L, vocab_size]. The weights are a function of `recipe.seed`."""

    def __init__(self, recipe: Proxy, vocab_size: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocab_size, recipe.width)
        self.blocks = nn.ModuleList(Block(recipe) for _ in range(recipe.layers))
        self.norm = nn.RMSNorm(recipe.width)
        cos, sin = rotary_table(recipe.sequence_length, recipe.width // recipe.heads)
        self.cos: Tensor
        self.sin: Tensor
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise(recipe)

    def _initialise(self, recipe: Proxy) -> None:
        generator = torch.Generator().manual_seed(recipe.seed)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                fan_in = parameter.shape[1]
                # Layers that write to the residual stream start small, so that depth does not change its scale.
                scale = 1 / math.sqrt(2 * recipe.layers) if name.endswith("out.weight") else 1.0
                with torch.no_grad():
                    parameter.normal_(0.0, scale / math.sqrt(fan_in), generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        length = ids.shape[1]
        x = rms_norm(self.embedding(ids))
        for block in self.blocks:
            x = block(x, self.cos[:length], self.sin[:length])
        return F.linear(self.norm(x), self.embedding.weight)


def rms_norm(x: Tensor) -> Tensor:
    return F.rms_norm(x, (x.shape[-1],))


def rotary_table(length: int, head_width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """cos and sin [length, head_width / 2] of the rotary angles (Su et al. 2021, RoFormer)."""
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
