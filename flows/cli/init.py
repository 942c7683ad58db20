"""The command `olmix init`: a starter configuration."""

from pathlib import Path
from typing import Annotated

import typer

from flows.cli.console import console


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder of text, with a folder or a file per domain.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write.")] = Path("mix.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it exists.")] = False,
) -> None:
    """Write a commented starter configuration for a folder of text."""
    from olmix_core.data.starter import write_starter

    starter = write_starter(folder, output, overwrite=force)
    for line in starter.left_out:
        console.print(f"not read: {line}", markup=False, style="yellow")
    console.print(f"Wrote [bold]{output}[/bold] with {starter.domains} domains. Next: olmix run {output}")
