"""Operators one after the other."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.operators.base import LinearOperator

__all__ = ["Composed"]


class Composed:
    """``A = A_n ... A_2 A_1``.

    Parameters
    ----------
    *parts : LinearOperator
        In the order in which light meets them: ``Composed(psf, binning)``.

    Raises
    ------
    UsageError
        When one part's output is not the next one's input.
    """

    def __init__(self, *parts: LinearOperator) -> None:
        if not parts:
            raise UsageError("Composed: got no operator, expected at least one")
        for one, other in pairwise(parts):
            if tuple(one.shape_out) != tuple(other.shape_in):
                raise UsageError(
                    f"Composed: {type(one).__name__} gives {one.shape_out}, "
                    f"{type(other).__name__} takes {other.shape_in}; expected the same shape"
                )
        self.parts = parts
        self.shape_in, self.shape_out = parts[0].shape_in, parts[-1].shape_out

    def forward(self, scene: Tensor) -> Tensor:
        """All parts, first to last."""
        for part in self.parts:
            scene = part.forward(scene)
        return scene

    def adjoint(self, image: Tensor) -> Tensor:
        """All adjoints, last to first."""
        for part in reversed(self.parts):
            image = part.adjoint(image)
        return image
