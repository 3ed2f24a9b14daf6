"""Training of diffusion priors: simulators, hole and level curricula, loss, trainer. Imports no file format.

`train` and its `Plan` are the door (:mod:`gencosmo.training.run`); they are found when they are used, because reading
packed frames needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gencosmo.training.run import Plan, train

__all__ = ["Plan", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'gencosmo.training' has no attribute {name!r}")
    return getattr(importlib.import_module("gencosmo.training.run"), name)
