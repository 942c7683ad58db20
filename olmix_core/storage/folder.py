"""The folder of a store: its URL and file system, and how errors in it are reported."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from olmix_core.errors import StoreError
from olmix_core.storage import filesystem
from olmix_core.storage.credentials import refuse_credentials

_REMEDIES = dict.fromkeys(
    (errno.ENOSPC, errno.EDQUOT), "; free some space there, then run again: what was finished is kept"
)


class StoreFolder:
    """A folder at any fsspec URL. Paths are relative to it, with forward slashes.

    Attributes:
        url: The URL, without a slash at its end.
        fs: The fsspec file system of the URL.
        root: The folder as `fs` knows it.
        is_local: Whether it is a folder of this machine.
    """

    def __init__(self, url: str) -> None:
        """Open a store, which need not exist yet.

        Args:
            url: Path or URL of its folder.

        Raises:
            OlmixError: The URL carries credentials.
            StoreError: There is no such kind of URL.
        """
        refuse_credentials(url, "store")
        self.url = url.rstrip("/")
        try:
            self.fs, root = filesystem.filesystem(self.url)
        except OSError as error:
            raise StoreError(f"store: {url} cannot be opened: {error}; expected a folder or a URL") from error
        self.root = root.rstrip("/")
        self.is_local = filesystem.is_local(self.fs)

    def full(self, path: str) -> str:
        """Build the path of a file as the file system `fs` knows it.

        Args:
            path: The file.

        Returns:
            The full path.

        Raises:
            StoreError: The path leads out of the store.
        """
        if not path or path.startswith("/") or ".." in path.split("/"):
            raise StoreError(f"{path!r} is not a path inside the store {self.url}")
        return f"{self.root}/{path}"

    def place(self, path: str) -> str:
        """Name a file for messages.

        Args:
            path: The file.

        Returns:
            Its URL.
        """
        return f"{self.url}/{path}"

    @contextmanager
    def failing(self, path: str, what: str) -> Iterator[None]:
        """Raise the errors of a ``with`` block as StoreError, except FileNotFoundError.

        Args:
            path: The file, for the message.
            what: Past participle of what is done to the file, for the message.

        Yields:
            Nothing.

        Raises:
            StoreError: Anything else went wrong.
        """
        try:
            yield
        except (FileNotFoundError, StoreError):
            raise
        except Exception as error:  # each kind of store has exceptions of its own
            words = str(error)
            if isinstance(error, OSError):
                words = filesystem.reason_of(error) + _REMEDIES.get(error.errno or 0, "")
            raise StoreError(f"{self.place(path)}: cannot be {what}: {words}") from error

    @contextmanager
    def writing(self, path: str) -> Iterator[None]:
        """As `failing`, for writing: FileNotFoundError, of a folder that cannot be made, becomes StoreError too.

        Args:
            path: The file, for the message.

        Yields:
            Nothing.

        Raises:
            StoreError: Anything went wrong.
        """
        with self.failing(path, "written"):
            try:
                yield
            except FileNotFoundError as error:
                raise StoreError(f"{self.url}/{path}: cannot be written: {filesystem.reason_of(error)}") from error
