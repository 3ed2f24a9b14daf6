"""Priors: what images look like. Each file one family; a prior has one or more capabilities (see :mod:`.base`)."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gencosmo.priors.diffusion import DiffusionPrior

__all__ = ["list_priors", "load_prior", "resolve_device"]


def list_priors() -> list[str]:
    """Names of the priors that come with the package."""
    from gencosmo.priors.cards import shipped_names

    return shipped_names()


def resolve_device(device: str) -> str:
    """``"auto"`` to ``"cuda"`` where this build and this machine can, else ``"cpu"``; other names are checked.

    Raises
    ------
    DeviceError
        When CUDA is asked for and cannot be had.
    """
    import torch

    from gencosmo import _core
    from gencosmo.errors import DeviceError

    usable = torch.cuda.is_available() and _core.has_cuda
    if device == "auto":
        return "cuda" if usable else "cpu"
    if device.startswith("cuda") and not usable:
        why = "torch sees no CUDA device" if not torch.cuda.is_available() else "gencosmo was built without CUDA"
        raise DeviceError(f"device {device!r} cannot be used: {why}", code="device", hint="use device='cpu'")
    if not device.startswith(("cuda", "cpu")):
        raise DeviceError(f"device {device!r} is unknown; expected auto, cpu, cuda or cuda:N", code="device")
    return device


def load_prior(name: str | Path = "sky", device: str = "auto", *, turns: int = 1) -> DiffusionPrior:
    """Load a prior by name, or from the path of its card (``.json``).

    Parameters
    ----------
    name : str or Path
        One of :func:`list_priors`, or a card beside its weights.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
    turns : int
        1, 2, 4 or 8: every answer is the mean over so many orientations of the image, and takes so many times as long
        (what it gains: `docs/quality.md`).

    Returns
    -------
    DiffusionPrior
        With the same network for the same name and device, as long as the process lives.

    Raises
    ------
    PriorError
        When it does not exist or its files do not belong together.
    DeviceError
        When the device cannot be used.
    UsageError
        Another number of turns.
    """
    return _load(str(name), resolve_device(device)).with_turns(turns)


@lru_cache(maxsize=4)
def _load(name: str, device: str) -> DiffusionPrior:
    from gencosmo.priors.diffusion import DiffusionPrior

    return DiffusionPrior.load(name, device)
