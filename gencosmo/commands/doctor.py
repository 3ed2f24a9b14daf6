"""`gencosmo doctor`: whether this installation works and gives the numbers it should."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from gencosmo.errors import GencosmoError

__all__ = ["Finding", "examine"]

_MINIMUM = {
    "numpy": (1, 26),
    "torch": (2, 6),
    "astropy": (6, 1),
    "scikit-image": (0, 22),
    "safetensors": (0, 4),
}


@dataclass(frozen=True)
class Finding:
    """One line of the examination; `needed` findings that are not `good` make the installation unusable."""

    name: str
    good: bool
    text: str
    needed: bool = True


def examine(prior: str = "sky") -> list[Finding]:
    """Run all checks; none of them raises."""
    findings = [Finding("python", True, platform.python_version()), *(_package(name) for name in _MINIMUM)]
    checks: tuple[tuple[str, Callable[[], tuple[bool, str]], bool], ...] = (
        ("core", _core, True),
        ("file reading", _reading, True),
        ("cuda", _cuda, False),
        (f"prior {prior}", lambda: _prior(prior), True),
    )
    return findings + [_guard(name, check, needed) for name, check, needed in checks]


def _guard(name: str, check: Callable[[], tuple[bool, str]], needed: bool) -> Finding:
    try:
        good, text = check()
    except GencosmoError as error:
        return Finding(name, False, f"{error.message} [{error.code}]", needed)
    except Exception as error:  # a broken installation breaks in ways nobody listed
        return Finding(name, False, f"{type(error).__name__}: {error}", needed)
    return Finding(name, good, text, needed)


def _package(name: str) -> Finding:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(name, False, "not installed")
    numbers = tuple(int(part) for part in found.split("+")[0].split(".")[:2] if part.isdigit())
    least = ".".join(map(str, _MINIMUM[name]))
    return Finding(name, numbers >= _MINIMUM[name], found if numbers >= _MINIMUM[name] else f"{found}, need >= {least}")


def _core() -> tuple[bool, str]:
    core = import_module("gencosmo._core")
    words = [f"{name} {_call(getattr(core, name))}" for name in ("isa", "has_cuda") if hasattr(core, name)]
    return True, ", ".join(words) or "imported"


def _call(thing: Any) -> Any:
    return thing() if callable(thing) else thing


def _reading() -> tuple[bool, str]:
    """The compiled reader against its reference, on numbers with every trap."""
    import numpy as np

    from gencosmo.ops.ingest import ingest, ingest_reference

    raw = np.array([[-32768, -1, 0], [1, 2, 32767]], dtype=">i2")
    noise = np.array([[1, 0, -1], [np.nan, 2, 4]], dtype=">f4")
    options: dict[str, Any] = {
        "bscale": 1.0,
        "bzero": 32768.0,
        "blank": -32768,
        "noise": noise,
        "noise_kind": "std",
    }
    pairs = zip(ingest(raw, **options), ingest_reference(raw, **options), strict=True)
    same = all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in pairs)
    return same, f"compiled reader and its reference {'agree' if same else 'DIFFER'}"


def _cuda() -> tuple[bool, str]:
    import torch

    if not torch.cuda.is_available():
        return False, "no CUDA device; everything runs on the CPU"
    return True, f"{torch.cuda.get_device_name(0)}, torch built for {torch.version.cuda}"


def _prior(name: str) -> tuple[bool, str]:
    from gencosmo.priors import load_prior

    prior: Any = load_prior(name)
    prior.self_test()  # raises when the numbers are not the card's
    return True, "stored test vector reproduced"
