"""Files that are written piece by piece, and appear in a store whole or not at all."""

import os
import tempfile
from pathlib import Path

from olmix_core.storage.folder import StoreFolder
from olmix_core.storage.layout import TEMPORARY_PREFIX

# The umask can only be read by setting it, which is not safe once there are threads.
_UMASK = os.umask(0)
os.umask(_UMASK)


class NewFile:
    """The context manager of `Store.new_file`."""

    def __init__(self, store: StoreFolder, path: str) -> None:
        self._store, self._path, self._target = store, path, store.full(path)

    def __enter__(self) -> Path:
        folder = None
        with self._store.writing(self._path):
            if self._store.is_local:
                # In the same folder: a rename is atomic only within one file system.
                folder = Path(self._target).parent
                folder.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix=TEMPORARY_PREFIX, dir=folder)
        os.close(handle)
        self._temporary = Path(name)
        return self._temporary

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        try:
            if isinstance(error, OSError) and error.filename in (None, str(self._temporary)):
                # An error of this file, such as a full disk, and not of another that was read meanwhile.
                with self._store.writing(self._path):
                    raise error
            if kind is None:
                with self._store.writing(self._path):
                    self._keep()
        finally:
            self._temporary.unlink(missing_ok=True)

    def _keep(self) -> None:
        with self._temporary.open("rb") as file:
            os.fsync(file.fileno())
        if self._store.is_local:
            # mkstemp makes files private; files of a store follow the user's umask.
            self._temporary.chmod(0o666 & ~_UMASK)
            self._temporary.replace(self._target)
        else:
            self._store.fs.put_file(str(self._temporary), self._target)
