"""Formatting of amounts and durations for people."""


def duration(seconds: float) -> str:
    """Format a duration.

    Args:
        seconds: The duration in seconds.

    Returns:
        A short text, such as ``45 s``, ``12 min`` or ``3.4 h``.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def amount(tokens: float) -> str:
    """Format an amount.

    Args:
        tokens: Number of tokens or bytes.

    Returns:
        A short text, such as ``950``, ``12.3k``, ``4.5M`` or ``1.2T``.
    """
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"
