"""Arguments and options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_STORE = ".olmix"

ConfigFile = Annotated[Path, typer.Argument(metavar="CONFIG", help="The configuration, a YAML file.")]
MixName = Annotated[
    str | None,
    typer.Argument(metavar="[NAME]", help="Name of a mix, or its configuration; optional if the store holds one mix."),
]
StoreOption = Annotated[str, typer.Option("--store", help="The store.")]
MixStoreOption = Annotated[str, typer.Option("--store", help="The store, unless a configuration names it.")]
VersionOption = Annotated[str | None, typer.Option("--version", help="A version other than the latest.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
