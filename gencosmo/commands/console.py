"""How the command line speaks: data and JSON to stdout, everything else to stderr; one exit code per kind of
error.
"""

from __future__ import annotations

import json
import logging
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

import typer

from gencosmo.commands.memory import keep_memory
from gencosmo.errors import Cancelled, GencosmoError, PartialFailure, UsageError

__all__ = [
    "note",
    "print_error",
    "print_json",
    "print_warning",
    "progress_display",
    "reporting",
    "stop_on_signal",
]

PROGRESS_MODES = ("auto", "plain", "json", "none")


def note(text: str) -> None:
    """Print a line for the user."""
    print(text, file=sys.stderr)


def print_json(words: Mapping[str, Any]) -> None:
    """Print one JSON document to stdout; numbers that are none or infinite, which JSON does not know, become null."""
    print(json.dumps(_finite(words), indent=2, default=str, allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(own) for own in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_warning(code: str, text: str) -> None:
    """Print `warning[code]: text`."""
    note(f"warning[{code}]: {text}")


def print_error(error: GencosmoError, *, where: str = "") -> None:
    """Print `error[code]: text` and the hint."""
    start = f"{where}: " if where and where not in error.message else ""
    note(f"error[{error.code}]: {start}{error.message}")
    if error.hint:
        note(f"  hint: {error.hint}")


@contextmanager
def reporting(*, debug: bool, as_json: bool = False) -> Iterator[None]:
    """Turn what a command raises into a message and an exit code; with `debug`, show the traceback too."""
    keep_memory()
    if not debug:  # what tifffile tells of bad files in passing, our errors tell in words
        logging.getLogger("tifffile").addHandler(logging.NullHandler())
    try:
        yield
    except GencosmoError as error:
        if debug:
            traceback.print_exc()
        print_error(error)
        if as_json and not isinstance(error, PartialFailure):  # those are in the report that is printed
            print_json({"error": error.as_dict()})
        raise typer.Exit(error.exit_code) from None
    except KeyboardInterrupt:
        print_error(Cancelled("interrupted"))
        raise typer.Exit(Cancelled.exit_code) from None
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nobody is left to tell, and nothing is wrong.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from None
    except MemoryError as error:
        note(f"error[memory]: not enough memory: {error}")
        raise typer.Exit(5) from None
    except Exception as error:
        if debug:
            traceback.print_exc()
        note(f"error[internal]: {type(error).__name__}: {error}")
        note("  hint: this is a fault of gencosmo; run again with --debug and report the traceback")
        raise typer.Exit(1) from None


@contextmanager
def stop_on_signal() -> Iterator[threading.Event]:
    """Give an event that SIGINT and SIGTERM set; a second signal interrupts at once."""
    event = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if event.is_set():
            raise KeyboardInterrupt
        event.set()
        note("stopping after this step (once more to stop at once)")

    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def progress_display(mode: str, label: str) -> Iterator[Callable[[int, int], None] | None]:
    """Give a `progress(done, total)` that shows itself on stderr: a bar on a terminal, lines, JSON lines, or
    nothing.

    Raises
    ------
    UsageError
        When the mode is not known.
    """
    if mode not in PROGRESS_MODES:
        raise UsageError(f"progress mode {mode!r} is not known", hint=f"expected {', '.join(PROGRESS_MODES)}")
    if mode == "none" or (mode == "auto" and not sys.stderr.isatty()):
        yield None
    elif mode == "auto":
        with _bar(label) as show:
            yield show
    else:
        yield _lines(label, as_json=mode == "json")


@contextmanager
def _bar(label: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _lines(label: str, *, as_json: bool) -> Callable[[int, int], None]:
    shown = -1

    def show(done: int, total: int) -> None:
        nonlocal shown
        step = 20 * done // max(1, total)
        if step == shown:
            return
        shown = step
        if as_json:
            note(json.dumps({"file": label, "done": done, "total": total}))
        else:
            note(f"{label}: {done}/{total}")

    return show
