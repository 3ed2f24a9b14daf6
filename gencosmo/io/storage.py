"""Outputs that take long or are folders: what can go wrong, and putting them in their place in one step."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from gencosmo.errors import StorageError, UsageError, digits

__all__ = ["check_place", "put_in_place", "storage_errors"]


@contextmanager
def storage_errors(path: str) -> Iterator[None]:
    """Tell an `OSError` met while writing `path` as a `StorageError`."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            free = digits(shutil.disk_usage(os.path.dirname(os.path.abspath(path))).free)
            raise StorageError(f"disk full while writing {path}: {free} bytes free", code="disk_full") from error
        raise StorageError(f"cannot write {path}: {error.strerror or error}") from error


def check_place(path: str, *, overwrite: bool, inputs: Sequence[str]) -> None:
    """Refuse an output, file or folder, that is or holds one of the inputs, that exists, or whose folder does not.

    Raises
    ------
    UsageError
        `usage` or `exists`.
    StorageError
        `no_folder`.
    """
    place = os.path.realpath(path)
    for name in inputs:
        source = os.path.realpath(name)
        if place == source or place.startswith(source + os.sep) or source.startswith(place + os.sep):
            raise UsageError(f"output {path} would overwrite the input", hint="choose another name; inputs stay")
    if os.path.exists(path) and not overwrite:
        raise UsageError(f"{path} exists", code="exists", hint="choose another name, or --overwrite")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise StorageError(f"no folder {folder}", code="no_folder", hint="create it first")


def put_in_place(parts: Sequence[tuple[str, str]], *, overwrite: bool) -> None:
    """Rename finished files or folders `(part, path)` to their places, in this order; the last stands for the whole.

    What was there before is put back when a rename fails.
    """
    done: list[tuple[str, str]] = []
    try:
        for part, path in parts:
            if os.path.exists(path) and not overwrite:
                raise UsageError(f"{path} exists", code="exists", hint="--overwrite replaces it")
            before = ""
            if os.path.exists(path):
                before = f"{part}.before"
                os.rename(path, before)
            done.append((path, before))
            os.rename(part, path)
    except BaseException as error:
        for path, before in reversed(done):
            if before and not os.path.exists(path):
                os.rename(before, path)
        if isinstance(error, OSError):
            raise StorageError(f"cannot write {path}: {error.strerror or error}") from error
        raise
