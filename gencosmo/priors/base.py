"""What a prior can do: four capabilities, each a Protocol; a prior has one or more of them.

Values are in network flux (linear, background-subtracted, divided by the frame's noise scale). ``world`` says
which image is asked for: ``"frame"``, the image as it would be observed again, or ``"scene"``, the noise-free
truth.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from gencosmo.windows import Canvas

__all__ = ["Codec", "Denoiser", "Density", "Generator", "World"]

World = Literal["frame", "scene"]


@runtime_checkable
class Denoiser(Protocol):
    """Posterior mean and variance of every pixel, given all pixels at their own noise levels.

    Attributes
    ----------
    correlation_length : float
        Pixels over which unknown pixels hang together once their surroundings are known; with the variance it
        gives the widest mode of a hole, and that the level at which the sampler starts.
    sigma_max : float
        Highest finite level the denoiser is good for; samplers start no higher.
    """

    @property
    def correlation_length(self) -> float:
        """Pixels."""
        ...

    @property
    def sigma_max(self) -> float:
        """Network flux."""
        ...

    def plan(self, canvas: Canvas, unknown: Tensor) -> Any:
        """Geometry that stays the same over all steps.

        Parameters
        ----------
        canvas : Canvas
            Only its layout counts.
        unknown : Tensor (N,) bool
            The pixels whose mean and variance are wanted.
        """
        ...

    def denoise_(self, canvas: Canvas, plan: Any, world: World) -> None:
        """Read ``canvas.fields[z, sigma]``, write ``canvas.mean`` and ``canvas.var`` at least where wanted.

        The answer for a plane does not depend on the other planes of the canvas, not even in its last bit.
        """
        ...


@runtime_checkable
class Density(Protocol):
    """Log-probability of what was observed."""

    def log_prob(self, canvas: Canvas, world: World) -> Tensor:
        """Natural log of the density of each plane's known pixels, float64 (P,), in network flux."""
        ...


@runtime_checkable
class Codec(Protocol):
    """A code for images, and back."""

    def encode(self, values: Tensor) -> Tensor:
        """Codes of images (B, C, H, W)."""
        ...

    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, C, H, W) of codes."""
        ...


@runtime_checkable
class Generator(Protocol):
    """Unconditional draws."""

    def generate_(self, canvas: Canvas, world: World) -> None:
        """Fill ``canvas.fields[z]`` with one draw per plane, from the canvas' seeds and keys; levels become
        0.
        """
        ...
