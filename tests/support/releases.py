"""Projects with stores that earlier releases wrote: tests/stores/VERSION.tar.xz."""

import tarfile
from pathlib import Path

STORES = Path(__file__).parents[1] / "stores"
RELEASES = sorted(path.name.removesuffix(".tar.xz") for path in STORES.glob("*.tar.xz"))


def unpack(release: str, folder: Path) -> None:
    """Put mix.yaml, data and store of a release into a folder."""
    with tarfile.open(STORES / f"{release}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
