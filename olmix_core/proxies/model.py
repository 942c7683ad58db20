"""The proxy model: a decoder-only transformer in plain torch.

Pre-norm blocks of rotary attention and SwiGLU, RMSNorm without biases, embeddings tied to the output layer.

`hidden` stops before the output layer, the most expensive part where the vocabulary is large: training fuses it with
the loss, and scoring applies it only to scored positions.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from olmix_core.config.recipe import ProxyRecipe

# Up to this length, in bfloat16 on a CPU, attention written out is 1.5 to 8 times as fast as the fused kernel.
PLAIN_LENGTH = 512

# Keys and values [B, heads, P, head width] of the P tokens before, a pair per block.
KeyValue = tuple[Tensor, Tensor]
Past = list[KeyValue]


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
    """Compute softmax attention.

    Args:
        q: Queries [B, H, L, D].
        k: Keys [B, H, P + L, D].
        v: Values [B, H, P + L, D].
        mask: True where a query may attend, broadcast to [B, H, L, P + L]; None for causal attention with P = 0.

    Returns:
        Attended values [B, H, L, D].
    """
    if q.is_cuda or v.dtype != torch.bfloat16 or k.shape[2] > PLAIN_LENGTH:
        return F.scaled_dot_product_attention(q, k, v, mask, is_causal=mask is None)
    if mask is None:
        mask = causal_mask(q.shape[2], 0, q.device)
    bias = torch.zeros(mask.shape, dtype=v.dtype, device=q.device).masked_fill_(~mask, float("-inf"))
    scores = torch.matmul(q.to(v.dtype) * q.shape[-1] ** -0.5, k.to(v.dtype).transpose(-1, -2)) + bias
    return torch.matmul(scores.softmax(dim=-1), v)


def causal_mask(length: int, before: int, device: torch.device) -> Tensor:
    """Build a causal mask.

    Args:
        length: Number L of positions.
        before: Number P of positions before them.
        device: The device.

    Returns:
        Mask [L, P + L], True at earlier positions and the position itself.
    """
    return torch.ones(length, before + length, dtype=torch.bool, device=device).tril(before)


class Attention(nn.Module):
    """Causal multi-head attention with rotary positions; queries and keys are normalised."""

    def __init__(self, width: int, heads: int) -> None:
        """Create the layer.

        Args:
            width: Size of the residual stream.
            heads: Number of heads.
        """
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None = None, past: KeyValue | None = None
    ) -> tuple[Tensor, KeyValue]:
        """Apply the layer.

        Args:
            x: Inputs [B, L, width].
            cos: Cosine of the rotary angles [L, D / 2].
            sin: Sine of the rotary angles [L, D / 2].
            mask: True where a position may attend, broadcast to [B, H, L, P + L]; None for causal attention.
            past: Keys and values of P tokens before.

        Returns:
            Outputs [B, L, width], and keys and values of the P + L tokens.
        """
        batch, length, width = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = rotate(rms_norm(q), cos, sin), rotate(rms_norm(k), cos, sin)
        if past is not None:
            k = torch.cat([past[0].expand(batch, -1, -1, -1), k], dim=2)
            v = torch.cat([past[1].expand(batch, -1, -1, -1), v], dim=2)
        y = attend(q, k, v, mask)
        out: Tensor = self.out(y.transpose(1, 2).reshape(batch, length, width))
        return out, (k, v)


class SwiGLU(nn.Module):
    """Gated MLP, out(silu(gate) * up) (Shazeer 2020, arXiv 2002.05202)."""

    def __init__(self, width: int, hidden: int) -> None:
        """Create the layer.

        Args:
            width: Size of the residual stream.
            hidden: Hidden size.
        """
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.out = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: Inputs [B, L, width].

        Returns:
            Outputs [B, L, width].
        """
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        out: Tensor = self.out(F.silu(gate) * up)
        return out


class Block(nn.Module):
    """Attention and MLP, each after a norm and added to the residual stream."""

    def __init__(self, recipe: ProxyRecipe) -> None:
        """Create the block.

        Args:
            recipe: The recipe.
        """
        super().__init__()
        self.attention_norm = nn.RMSNorm(recipe.width)
        self.attention = Attention(recipe.width, recipe.heads)
        self.mlp_norm = nn.RMSNorm(recipe.width)
        self.mlp = SwiGLU(recipe.width, recipe.mlp)

    def forward(
        self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None = None, past: KeyValue | None = None
    ) -> tuple[Tensor, KeyValue]:
        """Apply the block.

        Args:
            x: Inputs [B, L, width].
            cos: Cosine of the rotary angles [L, D / 2].
            sin: Sine of the rotary angles [L, D / 2].
            mask: True where a position may attend, broadcast to [B, H, L, P + L]; None for causal attention.
            past: Keys and values of P tokens before.

        Returns:
            Outputs [B, L, width], and keys and values of the P + L tokens.
        """
        attended, seen = self.attention(self.attention_norm(x), cos, sin, mask, past)
        x = x + attended
        return x + self.mlp(self.mlp_norm(x)), seen


class Transformer(nn.Module):
    """Token ids [B, L] to logits [B, L, vocab_size]."""

    def __init__(self, recipe: ProxyRecipe, vocab_size: int) -> None:
        """Create a model whose initial weights are a function of `recipe.seed`.

        Args:
            recipe: The recipe.
            vocab_size: Size of the vocabulary.
        """
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

    def _initialise(self, recipe: ProxyRecipe) -> None:
        generator = torch.Generator().manual_seed(recipe.seed)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                fan_in = parameter.shape[1]
                # Layers that write to the residual stream start small, so that depth does not change its scale.
                scale = 1 / math.sqrt(2 * recipe.layers) if name.endswith("out.weight") else 1.0
                with torch.no_grad():
                    parameter.normal_(0.0, scale / math.sqrt(fan_in), generator=generator)

    def forward(self, ids: Tensor) -> Tensor:
        """Compute logits.

        Args:
            ids: Token ids [B, L].

        Returns:
            Logits [B, L, vocab_size].
        """
        return self.logits(self.hidden(ids))

    def logits(self, hidden: Tensor) -> Tensor:
        """Apply the output layer.

        Args:
            hidden: Its inputs [..., width].

        Returns:
            Logits [..., vocab_size].
        """
        return F.linear(hidden, self.embedding.weight)

    def hidden(self, ids: Tensor, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """Compute the inputs of the output layer.

        Args:
            ids: Token ids [B, L].
            mask: Attention mask [B, 1, L, L], True where a position may attend; None for causal attention.
            past: Result of `read` for P tokens before each row.

        Returns:
            Hidden states [B, L, width].
        """
        return self._run(ids, mask, past)[0]

    def read(self, ids: Tensor) -> Past:
        """Compute the keys and values of a prefix.

        Args:
            ids: Token ids [1, P].

        Returns:
            Keys and values of each block, for `hidden` of the tokens that follow.
        """
        return self._run(ids, None, None)[1]

    def _run(self, ids: Tensor, mask: Tensor | None, past: Past | None) -> tuple[Tensor, Past]:
        length, before = ids.shape[1], 0
        if past is not None:
            before = past[0][0].shape[2]
            mask = causal_mask(length, before, ids.device)
        cos, sin = self.cos[before : before + length], self.sin[before : before + length]
        x, seen = rms_norm(self.embedding(ids)), []
        for number, block in enumerate(self.blocks):
            x, keys_values = block(x, cos, sin, mask, past[number] if past is not None else None)
            seen.append(keys_values)
        return self.norm(x), seen


def rms_norm(x: Tensor) -> Tensor:
    """Normalise the last dimension by its root mean square.

    Args:
        x: Any tensor.

    Returns:
        The normalised tensor.
    """
    return F.rms_norm(x, (x.shape[-1],))


def rotary_table(length: int, head_width: int, base: float = 10_000.0) -> tuple[Tensor, Tensor]:
    """Compute the rotary angles (Su et al. 2021, RoFormer, arXiv 2104.09864).

    Args:
        length: Number of positions.
        head_width: Size of a head.
        base: Base of the frequencies.

    Returns:
        Cosine and sine [length, head_width / 2].
    """
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate queries or keys by the angles of their positions.

    Args:
        x: Queries or keys [B, H, L, D].
        cos: Cosine [L, D / 2].
        sin: Sine [L, D / 2].

    Returns:
        Rotated queries or keys [B, H, L, D].
    """
    first, second = x.chunk(2, dim=-1)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)
