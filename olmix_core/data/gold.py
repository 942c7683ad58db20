"""The gold continuation among the options of a document, in the forms in which other tools name it.

A number (from 0) or its digits as text, the text of an option, a letter (A is the first), or a list of these, of which
the first is meant, as in BPB of OLMES.
"""

from collections.abc import Sequence

from pydantic import JsonValue

_FIRST_LETTER = ord("A")


class NoGoldError(ValueError):
    """No option is named; the message says what was found and what was expected."""


def gold_option(options: Sequence[str], gold: JsonValue) -> int:
    """Find the option that a gold names.

    Args:
        options: Texts of the options.
        gold: Its number, text, letter, or a list of these.

    Returns:
        Its position, from 0.

    Raises:
        NoGoldError: None is named, or a text may mean two of them.
    """
    if isinstance(gold, list):
        if not gold:
            raise NoGoldError("found an empty list of golds; expected the right options")
        return gold_option(options, gold[0])
    if isinstance(gold, bool) or not isinstance(gold, (int, str)):
        raise NoGoldError(f"found the gold {gold!r}; expected the number, text or letter of an option")
    positions = _positions(options, str(gold)) if isinstance(gold, str) else _numbered(options, gold)
    if not positions:
        raise NoGoldError(_no_option(options, gold))
    if len({options[position] for position in positions}) > 1:
        numbers = " and ".join(map(str, sorted(positions)))
        raise NoGoldError(
            f"found the gold {gold!r}, which may be option {numbers}; expected the number, without quotes"
        )
    return min(positions)


def _numbered(options: Sequence[str], number: int) -> set[int]:
    return {number} if 0 <= number < len(options) else set()


def _positions(options: Sequence[str], gold: str) -> set[int]:
    """What a text may mean: the option of that text or number; a letter where it is neither."""
    word = gold.strip()
    positions = {k for k, option in enumerate(options) if option == gold}
    positions = positions or {k for k, option in enumerate(options) if option.strip() == word}
    if word.isascii() and word.isdigit() and len(word) < 10:
        positions |= _numbered(options, int(word))
    if not positions and len(word) == 1 and word.isascii() and word.isalpha():
        positions = _numbered(options, ord(word.upper()) - _FIRST_LETTER)
    return positions


def _no_option(options: Sequence[str], gold: int | str) -> str:
    """What is wrong with a gold that names no option."""
    text = str(gold).strip()
    if text.startswith("-") and text[1:].isdigit():
        return f"found the gold {gold}, which marks a document without an answer; expected only documents with one"
    shown = repr(gold) if len(text) <= 60 else f"{text[:57]!r}..."
    numbers = f"a number from 0 to {len(options) - 1}"
    return f"found the gold {shown}; expected {numbers}, a letter, or the text of one of {len(options)} options"
