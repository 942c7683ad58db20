"""Domains of a published fit configuration: columns of ratios, the leaves in them, their natural shares and caps.

A column is a leaf, or a virtual domain: leaves in frozen ratios s (`priors.virtual_domains`). A leaf lies in one
column only, so limits on leaves can be stated on columns exactly:

    cap        r_c s_j <= k N_j / R for every leaf j of column c    is    r_c <= min_j k N_j / (R s_j)
    KL         KL(q || p0) = sum_c r_c (log(r_c / p_c) + D_c)       is    KL(r || p_c exp(-D_c)) up to a constant,

with p_c the natural share of the column and D_c = KL(s || p0 within the column).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from olmix_core.errors import ConfigError
from olmix_core.interop.fit_config import FitConfig
from olmix_core.interop.labels import did_you_mean, listed
from olmix_core.mixture import Array


@dataclass(frozen=True)
class Column:
    """A column of ratios.

    Attributes:
        name: Name of the column.
        leaves: Its leaves.
        shares: Share [n] of each leaf in the column.
        natural: Share [n] of each leaf in the natural mixture.
        tokens: Tokens [n] of each leaf; NaN where unknown.
    """

    name: str
    leaves: tuple[str, ...]
    shares: Array
    natural: Array
    tokens: Array

    def divergence(self) -> float:
        """Compute the KL divergence of the frozen ratios from the natural ones within the column.

        Returns:
            The divergence D_c, in nats; infinite where a leaf has a ratio but no natural share.
        """
        used = self.shares > 0
        inner = self.natural[used] / self.natural.sum()
        with np.errstate(divide="ignore"):
            return float(np.sum(self.shares[used] * np.log(self.shares[used] / inner)))


@dataclass(frozen=True)
class Domains:
    """The columns [d] of a fit, in its order.

    Attributes:
        columns: The columns.
        target_tokens: Tokens to train on.
        repetition: Epochs of a leaf at most; None without caps.
        notes: Remarks, one line each.
    """

    columns: tuple[Column, ...]
    target_tokens: float | None
    repetition: float | None
    notes: tuple[str, ...]

    def natural(self) -> Array:
        """Compute the natural mixture.

        Returns:
            Share [d] of each column.
        """
        return np.array([column.natural.sum() for column in self.columns])

    def reference(self) -> Array:
        """Compute the KL reference on columns that is equivalent to the natural mixture on leaves.

        Returns:
            The reference [d]; it sums to 1.
        """
        # A column without natural share has no ratios inside to compare.
        usable = [column.natural.sum() > 0 for column in self.columns]
        tilt = [np.exp(-column.divergence()) if ok else 0.0 for column, ok in zip(self.columns, usable, strict=True)]
        reference = self.natural() * tilt
        return np.asarray(reference / reference.sum())

    def leaf_caps(self, column: Column) -> Array:
        """Compute the caps of the leaves of a column.

        Args:
            column: The column.

        Returns:
            Largest weight [n] of each leaf; infinite without caps.
        """
        if self.repetition is None or self.target_tokens is None:
            return np.full(len(column.leaves), np.inf)
        return np.asarray(self.repetition * column.tokens / self.target_tokens)

    def weight_per_token(self) -> float:
        """Compute the slope of a leaf's cap.

        Returns:
            Increase of the cap per further token of the leaf; NaN without caps.
        """
        return self.repetition / self.target_tokens if self.repetition and self.target_tokens else np.nan

    def caps(self) -> Array:
        """Compute the caps of the columns.

        Returns:
            Largest weight [d] of each column with all of its leaves within their caps.
        """
        return np.array(
            [
                np.min(self.leaf_caps(column)[column.shares > 0] / column.shares[column.shares > 0])
                for column in self.columns
            ]
        )


def find_domains(
    file: Path,
    config: FitConfig,
    kept: Sequence[str],
    known: Sequence[str],
    *,
    on_columns: bool,
) -> Domains:
    """Find the domains of a fit.

    Args:
        file: The fit configuration, for messages.
        config: Its content.
        kept: Columns of ratios that are fitted.
        known: All columns of ratios.
        on_columns: Whether virtual domains are single domains with the tokens of the column, as in the published
            tool.

    Returns:
        The domains, in the order of `kept`.

    Raises:
        ConfigError: If a column has no prior or, with caps, no tokens.
    """
    notes: list[str] = []
    virtual = config.priors.virtual_domains
    for name in virtual:
        if name not in known:
            expected = f"a column of ratios{did_you_mean(name, known)}"
            raise ConfigError(str(file), f"priors.virtual_domains.{name}", repr(name), expected)
    inside = [leaf for inner in virtual.values() for leaf in inner]
    twice = sorted({leaf for leaf in inside if inside.count(leaf) > 1 or leaf in kept})
    if twice:
        raise ConfigError(str(file), "priors.virtual_domains", f"{twice[0]!r} in two places", "each leaf in one column")
    extra = sorted((set(config.priors.relative_sizes) | set(config.tokens)) - set(known) - set(inside))
    if extra:
        notes.append(f"priors without a column of ratios, not used: {listed(extra)}")
    sizes = _sizes(file, config, kept, notes)
    if on_columns:
        virtual = {}
    constraints = config.constraints
    columns = tuple(_column(config, name, share, virtual.get(name)) for name, share in sizes.items())
    if constraints.enabled:
        _check_tokens(file, columns)
        # Topics are named source:topic, so a name without a topic beside such names may stand for a whole mixture.
        plain = [column.name for column in columns if len(column.leaves) == 1 and ":" not in column.name]
        if plain and len(plain) < len(columns) and not on_columns:
            notes.append(
                f"{listed(plain)}: capped by the tokens given for the column; if one stands for several domains, "
                "name them under priors.virtual_domains, or small ones inside it may be repeated more often"
            )
    return Domains(
        columns=columns,
        target_tokens=constraints.target_tokens,
        repetition=constraints.repetition_factor if constraints.enabled else None,
        notes=tuple(notes),
    )


def _check_tokens(file: Path, columns: Sequence[Column]) -> None:
    """Caps need the tokens of every leaf."""
    for column in columns:
        for leaf, tokens in zip(column.leaves, column.tokens, strict=True):
            if np.isnan(tokens):
                expected = "its tokens, which its cap follows from; or constraints.enabled: false"
                raise ConfigError(str(file), f"priors.token_counts.{leaf}", "nothing", expected)


def _sizes(file: Path, config: FitConfig, kept: Sequence[str], notes: list[str]) -> dict[str, float]:
    """Natural share of each column; they sum to 1."""
    use_tokens = config.proposer.use_natural_kl or not config.priors.relative_sizes
    sizes, field = (config.tokens, "token_counts") if use_tokens else (config.priors.relative_sizes, "relative_sizes")
    missing = [name for name in kept if name not in sizes]
    if missing:
        nothing = "nothing" if len(missing) == 1 else f"nothing, as for {len(missing) - 1} more"
        hint = did_you_mean(missing[0], sizes)
        expected = f"a prior for each column of ratios, or filtering.keep_sources without it{hint}"
        raise ConfigError(str(file), f"priors.{field}.{missing[0]}", nothing, expected)
    total = sum(sizes[name] for name in kept)
    if not total > 0:
        raise ConfigError(str(file), f"priors.{field}", "no share > 0", "sizes of the columns of ratios")
    if not use_tokens and abs(total - 1) > 1e-3:
        notes.append(f"priors.relative_sizes of the columns of ratios sum to {total:.6g} and were scaled to 1")
    return {name: sizes[name] / total for name in kept}


def _column(config: FitConfig, name: str, share: float, inner: dict[str, float] | None) -> Column:
    """A column with its natural share; `inner` has the ratios of a virtual domain."""
    tokens = config.tokens
    if inner is None:
        return Column(name, (name,), np.ones(1), np.array([share]), np.array([tokens.get(name, np.nan)]))
    leaves = tuple(sorted(inner))
    shares = np.array([inner[leaf] for leaf in leaves])
    available = np.array([tokens.get(leaf, np.nan) for leaf in leaves])
    # Natural shares within the column are by tokens; where these are unknown, the frozen ratios are the best guess.
    natural = available if np.isfinite(available).all() and available.sum() > 0 else shares
    return Column(name, leaves, shares / shares.sum(), share * natural / natural.sum(), available)
