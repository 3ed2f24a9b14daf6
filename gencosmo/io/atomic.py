"""Files that appear whole or not at all: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import errno
import filecmp
import gzip
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Sequence
from typing import IO

from gencosmo.errors import StorageError, UsageError, digits

__all__ = ["check_output", "write_all_atomic", "write_atomic"]

Chunk = bytes | memoryview


def check_output(path: str, *, overwrite: bool, inputs: Iterable[str] = ()) -> None:
    """Refuse an output that is one of the inputs, that exists, or whose folder does not.

    Raises
    ------
    UsageError
        `usage` or `exists`.
    StorageError
        `no_folder`.
    """
    for name in inputs:
        if os.path.exists(name) and os.path.exists(path) and os.path.samefile(name, path):
            raise UsageError(f"output {path} would overwrite the input", hint="choose another name; inputs stay")
    if os.path.isdir(path):
        raise UsageError(f"{path} is a folder, expected a file name")
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{path} exists", code="exists", hint="--overwrite, or --resume to keep finished outputs")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise StorageError(f"no folder {folder}", code="no_folder", hint="create it first")


def write_atomic(path: str, chunks: Iterable[Chunk], *, overwrite: bool = False) -> None:
    """Write chunks of bytes to `path` in one step; gzip when the name ends in `.gz`.

    Raises
    ------
    UsageError
        `exists`, also when the file appeared while this one was being written.
    StorageError
        Disk full or folder not writable; nothing is left behind.
    """
    write_all_atomic([(os.fspath(path), chunks)], overwrite=overwrite)


def write_all_atomic(
    outputs: Sequence[tuple[str, Iterable[Chunk]]], *, overwrite: bool = False, shared: Collection[str] = ()
) -> None:
    """Write several files that belong together: all of them appear, in this order at the very end, or none.

    The last one stands for the whole. A `shared` one that somebody else put there meanwhile, with the same bytes, is no
    obstacle. What was there before is put back when a rename fails; a machine that stops
    between two renames leaves the earlier ones without the last.

    Raises
    ------
    UsageError, StorageError
        As `write_atomic`.
    """
    for path, _ in outputs:
        # another writer may be quicker with what is shared; whether its bytes are the same is seen at the end
        check_output(path, overwrite=overwrite or path in shared)
    parts: list[tuple[str, str]] = []
    try:
        for path, chunks in outputs:
            _stage(path, chunks, parts)
        wanted = []
        for path, part in parts:
            try:
                check_output(path, overwrite=overwrite)
            except UsageError:
                if path in shared and filecmp.cmp(part, path, shallow=False):
                    continue
                raise
            wanted.append((path, part))
        _put_in_place(wanted)
    finally:
        for _, part in parts:
            if os.path.exists(part):
                os.unlink(part)


def _stage(path: str, chunks: Iterable[Chunk], parts: list[tuple[str, str]]) -> None:
    """Write a file beside its place."""
    folder, name = os.path.split(os.path.abspath(path))
    try:
        handle, part = tempfile.mkstemp(prefix=f".{name}.", suffix=".part", dir=folder)
        parts.append((path, part))
        with os.fdopen(handle, "wb") as file:
            _write(file, chunks, packed=name.endswith(".gz"))
            file.flush()
            os.fsync(file.fileno())
        os.chmod(part, 0o666 & ~_umask())
    except OSError as error:
        raise _storage(error, path, folder) from error


def _put_in_place(parts: Sequence[tuple[str, str]]) -> None:
    done: list[tuple[str, str]] = []
    try:
        for path, part in parts:
            before = ""
            if len(parts) > 1 and os.path.exists(path):
                before = f"{part}.before"
                os.replace(path, before)
            done.append((path, before))
            os.replace(part, path)
    except OSError as error:
        for path, before in reversed(done):
            if before:
                os.replace(before, path)
            elif os.path.exists(path):
                os.unlink(path)
        raise _storage(error, path, os.path.dirname(os.path.abspath(path))) from error
    for _, before in done:
        if before:
            os.unlink(before)
    for folder in {os.path.dirname(os.path.abspath(path)) for path, _ in done}:
        _sync_folder(folder)


def _write(file: IO[bytes], chunks: Iterable[Chunk], *, packed: bool) -> None:
    if not packed:
        for chunk in chunks:
            file.write(chunk)
        return
    # No file name and no time in the gzip header: equal contents give equal files.
    with gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6) as target:
        for chunk in chunks:
            target.write(chunk)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: str) -> None:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # some systems cannot open folders; the rename is done
    try:
        os.fsync(handle)
    except OSError:
        pass
    finally:
        os.close(handle)


def _storage(error: OSError, path: str, folder: str) -> StorageError:
    if error.errno == errno.ENOSPC:
        free = digits(shutil.disk_usage(folder).free)
        return StorageError(f"disk full while writing {path}: {free} bytes free", code="disk_full")
    return StorageError(f"cannot write {path}: {error.strerror or error}")
