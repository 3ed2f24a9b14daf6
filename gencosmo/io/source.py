"""The bytes of a file: mapped when it is plain, unpacked step by step when it is gzip.

Nothing is read before somebody asks for it, so that a header can be judged before the pixels behind it cost
memory. A gzip stream is unpacked only as far as the structure of the file reaches and never beyond `limit`
bytes; what is unpacked lies in memory while it is small, then in a nameless file.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import threading
import zlib
from hashlib import sha256
from types import TracebackType

from gencosmo.errors import FormatError, InputError, TooLargeError, digits

__all__ = ["Source"]

_STEP = 1 << 22
_IN_MEMORY = 1 << 27


class Source:
    """Random access to the (unpacked) bytes of one file; a context manager.

    Parameters
    ----------
    path : str
        The file; it is opened for reading only.
    limit : int
        Largest number of bytes a gzip stream may unpack to.
    """

    def __init__(self, path: str, *, limit: int) -> None:
        self.path = os.fspath(path)
        self.limit = limit
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115 (closed with this object)
        except FileNotFoundError:
            raise InputError(f"no such file: {self.path}", code="not_found") from None
        except IsADirectoryError:
            raise InputError(f"{self.path} is a folder, expected a file", code="not_found") from None
        except OSError as error:
            raise InputError(f"cannot open {self.path}: {error.strerror}", code="unreadable") from None
        self.file_bytes = os.fstat(self._file.fileno()).st_size
        self.packed = self._file.read(2) == b"\x1f\x8b"
        self._file.seek(0)
        self._lock = threading.Lock()
        self._sha256 = ""
        self._length = 0
        self._mapped: mmap.mmap | bytes = b""
        if self.packed:
            self._unpacked = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed with this)
            self._unpacker = zlib.decompressobj(wbits=31)
            self._ended = False
        elif self.file_bytes:
            self._mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            self._length = self.file_bytes

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. Arrays that still look into the mapping stay valid; it goes with the last of
        them.
        """
        self._file.close()
        if self.packed:
            self._unpacked.close()

    def need(self, end: int) -> int:
        """Make the bytes up to `end` available; return how many there are (fewer when the file ends
        before).
        """
        if self.packed:
            if end > self.limit:
                sizes = f"more than {digits(self.limit)} bytes from {digits(self.file_bytes)}"
                raise TooLargeError(
                    f"{self.path} unpacks to {sizes}",
                    hint="unpack it yourself if you trust it",
                )
            while self._length < end and not self._ended:
                self._unpack()
        return min(end, self._length)

    def view(self, start: int, end: int) -> memoryview:
        """Return the bytes of `[start, end)`, without a copy when the file is mapped."""
        end = self.need(end)
        if not self.packed:
            return memoryview(self._mapped)[start:end]
        with self._lock:  # planes are decoded in threads
            self._unpacked.seek(start)
            return memoryview(self._unpacked.read(max(0, end - start)))

    def sha256(self) -> str:
        """Return the hash of the file as it lies on disk; it is made once."""
        if not self._sha256:
            digest = sha256()
            with open(self.path, "rb") as file:
                while block := file.read(_STEP):
                    digest.update(block)
            self._sha256 = digest.hexdigest()
        return self._sha256

    def _keep(self, data: bytes) -> None:
        self._unpacked.seek(self._length)
        self._unpacked.write(data)
        self._length += len(data)

    def _unpack(self) -> None:
        block = self._unpacker.unconsumed_tail or self._file.read(_STEP)
        try:
            self._keep(self._unpacker.decompress(block, _STEP) if block else b"")
            if self._unpacker.eof:
                self._next_member(self._unpacker.unused_data or self._file.read(_STEP))
                return
        except zlib.error as error:
            raise FormatError(f"{self.path} is a damaged gzip file: {error}", code="truncated") from None
        if not block:
            raise InputError(
                f"{self.path} is a truncated gzip file: {digits(self._length)} bytes came out",
                code="truncated",
                hint="re-transfer the file",
            )

    def _next_member(self, rest: bytes) -> None:
        """Go on with the next member of a concatenated gzip file; what else may follow is no part of it."""
        self._ended = rest[:2] != b"\x1f\x8b"
        if self._ended:
            return
        self._unpacker = zlib.decompressobj(wbits=31)
        self._keep(self._unpacker.decompress(rest, _STEP))
