"""How the kernels cut up their work on this machine: a small file of measured choices.

Nothing here changes a result, only the time it takes. ``gencosmo tune`` measures and writes the file, the ops read it
when they are first used. An entry belongs to one device with one driver (for a CPU: one instruction set and number of
threads), one bucket of shapes and one dtype; entries of other devices are left alone, so a home folder may serve many
machines.
"""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gencosmo import _core
from gencosmo.errors import InputError

__all__ = ["Choice", "apply_tuning", "cpu_name", "device_key", "read_tuning", "tuning_path", "write_tuning"]

VERSION = 1
BUCKETS = ("tile", "frame")
"""Calls on fewer than 2^18 pixels, and on more."""


@dataclass(frozen=True)
class Choice:
    """How work is cut up: pixels a CPU thread takes at a time (of tiles, of frames), the fewest pixels that wake more
    than one thread, threads of a CUDA block.
    """

    tile: int = 16384
    frame: int = 16384
    least: int = 32768
    threads: int = 256


def tuning_path() -> Path:
    """``GENCOSMO_TUNING``, or ``gencosmo/tuning.json`` in the user's cache folder."""
    named = os.environ.get("GENCOSMO_TUNING")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "gencosmo" / "tuning.json"


def cpu_name() -> str:
    """Model name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def device_key(device: str, driver: str, bucket: str, dtype: str = "float32") -> str:
    """Key of an entry."""
    return " | ".join((device, driver, bucket, dtype))


def cpu_keys() -> tuple[str, str]:
    """Keys of this process's CPU, for tiles and frames."""
    driver = f"{_core.isa()}, {len(os.sched_getaffinity(0))} threads"
    tile, frame = (device_key(cpu_name(), driver, bucket) for bucket in BUCKETS)
    return tile, frame


def read_tuning(path: Path) -> dict[str, dict[str, int]]:
    """Entries of a tuning file; none when there is no file.

    Raises
    ------
    InputError
        When the file is not one of ours.
    """
    if not path.is_file():
        return {}
    try:
        words: Any = json.loads(path.read_text())
        entries = {key: {k: int(v) for k, v in row.items()} for key, row in words["entries"].items()}
        known = words["version"] == VERSION
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a tuning file ({type(error).__name__}: {error})",
            code="bad_tuning",
            hint="remove it, or measure anew with `gencosmo tune`",
        ) from error
    return entries if known else {}


def write_tuning(path: Path, entries: dict[str, dict[str, int]]) -> None:
    """Write entries, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({"version": VERSION, "entries": entries}, indent=1, sort_keys=True) + "\n")
    fresh.replace(path)


def stored_choice(entries: dict[str, dict[str, int]], gpu: str = "") -> Choice:
    """What the file says for this CPU and the GPU with key `gpu`; the built-in numbers for what it does not say."""
    usual = Choice()
    tile, frame = (entries.get(key, {}) for key in cpu_keys())
    threads = entries.get(gpu, {}).get("threads", usual.threads)
    return Choice(
        tile.get("piece", usual.tile), frame.get("piece", usual.frame), tile.get("least", usual.least), threads
    )


def apply_tuning(choice: Choice) -> None:
    """Make this process use a choice."""
    _core.tune(choice.tile, choice.frame, choice.least, choice.threads)


def gpu_key() -> str:
    """Key of the current CUDA device; empty without one."""
    import torch

    if not (_core.has_cuda and torch.cuda.is_available()):
        return ""
    return device_key(torch.cuda.get_device_name(), f"CUDA {torch.version.cuda}", "frame")


def use_stored_tuning() -> None:
    """Read the tuning file, if there is one; called once, when the ops are loaded."""
    path = tuning_path()
    if path.is_file():
        apply_tuning(stored_choice(read_tuning(path), gpu_key()))
