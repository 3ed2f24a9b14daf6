"""What a linear measurement ``y = A x`` offers to the solver."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from gencosmo.errors import UsageError

__all__ = ["LinearOperator", "check_planes"]


@runtime_checkable
class LinearOperator(Protocol):
    """A linear map of planes; the leading axes of its arguments are planes that do not know each other.

    The law of the adjoint, ``<A x, y> = <x, A^T y>``, holds to float32 rounding for every operator of this package.
    """

    @property
    def shape_in(self) -> tuple[int, int]:
        """Rows and columns of a scene."""
        ...

    @property
    def shape_out(self) -> tuple[int, int]:
        """Rows and columns of a measurement."""
        ...

    def forward(self, scene: Tensor) -> Tensor:
        """``A x``: scenes (..., *shape_in) to measurements (..., *shape_out), float32."""
        ...

    def adjoint(self, image: Tensor) -> Tensor:
        """``A^T y``: measurements (..., *shape_out) to scenes (..., *shape_in), float32."""
        ...


def check_planes(name: str, planes: Tensor, shape: tuple[int, int]) -> None:
    """Raise unless the last two axes of `planes` are `shape`.

    Raises
    ------
    UsageError
    """
    if planes.ndim < 2 or tuple(planes.shape[-2:]) != tuple(shape):
        raise UsageError(f"{name}: got planes of shape {tuple(planes.shape)}, expected (..., {shape[0]}, {shape[1]})")
