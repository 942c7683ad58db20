"""Numbers of a table."""

import pandas as pd


def number(table: pd.DataFrame, row: str, column: str) -> float:
    """The number in a row and a column."""
    return float(table[column].astype(float).to_dict()[row])
