"""The data's correction of an image, ``C A^T S (I + S A C A^T S)^-1 S (y - A x)``, by conjugate gradients.

The unknown lives on the measurement's pixels, so that masked ones (S = 0) cost nothing and exact ones need no
special case; planes are solved side by side and do not know each other. C is anything that multiplies an image: the
low-pass model, or the Jacobian of the denoiser.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.operators.base import LinearOperator
from gencosmo.operators.fourier import irfft2, rfft2
from gencosmo.ops.normal import STREAM_DATA, normal_
from gencosmo.priors.base import Denoiser, World
from gencosmo.windows import Canvas

__all__ = ["Measurement", "Slope", "solve", "views"]

Product = Callable[[Tensor], Tensor]
GAINS = (-1, 0, 1, 2, 3, 4, 5, 6, 7, 8)
"""Powers of ten for which the preconditioner has an inverse."""
NUDGE = 0.3
"""Length, in levels, of the step over which a Jacobian's product is taken as a difference."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """What was measured.

    Parameters
    ----------
    operator : LinearOperator
        A.
    values : Tensor (P, h, w)
        y, in the flux of the scene's canvas; finite everywhere.
    ivar : Tensor (P, h, w)
        Inverse variance of y, 0 = masked.
    origin : (int, int)
        Absolute coordinates of the first pixel of y: its noise is tied to them.
    """

    operator: LinearOperator
    values: Tensor
    ivar: Tensor
    origin: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        expected = (self.values.shape[0], *self.operator.shape_out)
        if tuple(self.values.shape) != expected or self.ivar.shape != self.values.shape:
            raise UsageError(
                f"measurement: values {tuple(self.values.shape)}, ivar {tuple(self.ivar.shape)}; expected {expected}"
            )
        if not (bool((self.ivar >= 0).all()) and bool(torch.isfinite(self.values).all())):
            raise UsageError("measurement: expected ivar >= 0 and finite values; a masked pixel has ivar 0, value 0")

    def repeat(self, samples: int) -> Measurement:
        """The same measurements for several samples, in the order of `Canvas.repeat`."""
        many = (samples, 1, 1)
        return Measurement(self.operator, self.values.repeat(many), self.ivar.repeat(many), self.origin)

    def noise(self, canvas: Canvas, step: int) -> Tensor:
        """Standard normal noise (P, h, w) with the seeds and keys of the canvas' planes."""
        count, (height, width) = self.values.shape[0], self.operator.shape_out
        layout = torch.zeros(count, 6, dtype=torch.int64)
        layout[:, 0] = torch.arange(count) * height * width
        layout[:, 1:5] = torch.tensor([height, width, *self.origin])
        layout[:, 5] = canvas.layout[:, 5].cpu()
        out = torch.zeros(count * height * width, device=canvas.device)
        numbers = (torch.tensor([n], device=canvas.device) for n in (step, STREAM_DATA))
        normal_(out, layout.to(canvas.device), canvas.seed, *numbers)
        return out.view(count, height, width)


def solve(
    measured: Measurement,
    cov: Product,
    scene: Tensor,
    noise: Tensor | None,
    iterations: int,
    *,
    model: Product | None = None,
    blank: bool = False,
) -> tuple[Tensor, float]:
    """Correct scenes by their measurements.

    Parameters
    ----------
    measured : Measurement
    cov : callable
        ``C x`` for planes (P, H, W).
    scene : Tensor (P, H, W)
        What is thought of the scene before.
    noise : Tensor (P, h, w) or None
        Standard normal perturbation of the data.
    iterations : int
    model : callable, optional
        A cheap covariance near `cov`, to precondition with; `cov` itself when left out.
    blank : bool
        Take the data as zero: for the spread alone.

    Returns
    -------
    step : Tensor (P, H, W)
        To be added to `scene`.
    residual : float
        Largest residual of a plane's system at the end, over its right-hand side.
    """
    operator = measured.operator
    root = measured.ivar.sqrt()
    data = -operator.forward(scene) if blank else measured.values - operator.forward(scene)
    right = root * data
    if noise is not None:
        right = right + torch.where(root > 0, noise, torch.zeros_like(noise))

    def system(w: Tensor) -> Tensor:
        return w + root * operator.forward(cov(operator.adjoint(root * w)))

    precondition = _preconditioner(measured, root, cov if model is None else model)
    x, rest = torch.zeros_like(right), right.clone()
    z = precondition(rest)
    direction, power = z.clone(), _dot(rest, z)
    for _ in range(iterations):
        image = system(direction)
        step = _safe(power, _dot(direction, image))
        x += step * direction
        rest -= step * image
        z = precondition(rest)
        power, old = _dot(rest, z), power
        direction = z + _safe(power, old) * direction
    residual = float(_safe(_dot(rest, rest), _dot(right, right)).max().sqrt())
    return cov(operator.adjoint(root * x)), residual


def _preconditioner(measured: Measurement, root: Tensor, cov: Product) -> Product:
    """Approximate inverse of the system where its gain ``g = diag(S A C A^T S)`` varies over the image.

    Around a pixel the system is ``1 + g P`` with the correlation P that the pixel of highest gain has with its
    neighbours, taken as a circulant; its inverse for a few gains, each where the gain is near:
    ``sum_b sqrt(w_b) (1 + g_b P)^-1 sqrt(w_b)``.
    """
    operator, shape = measured.operator, measured.operator.shape_out
    count, pixels = root.shape[0], shape[0] * shape[1]
    # row sums of A C A^T: positive, and nearly proportional to its diagonal
    reach = operator.forward(cov(operator.adjoint(torch.ones_like(root)))).clamp(min=0)
    gain = root * root * reach
    peak = gain.reshape(count, -1).argmax(-1)
    unit = torch.zeros_like(root)
    unit.view(count, pixels)[torch.arange(count, device=root.device), peak] = 1.0
    near = operator.forward(cov(operator.adjoint(unit)))
    own = near.view(count, pixels).gather(1, peak[:, None])[..., None].clamp(min=1e-30)
    gain = gain * own / reach.view(count, pixels).gather(1, peak[:, None])[..., None].clamp(min=1e-30)
    width = shape[1]
    centred = [
        torch.roll(n, (-(i // width), -(i % width)), (0, 1)) for n, i in zip(near / own, peak.tolist(), strict=True)
    ]
    spectrum = rfft2(torch.stack(centred), shape).real.clamp(min=0)
    place = gain.clamp(10.0 ** GAINS[0], 10.0 ** GAINS[-1]).log10()
    parts = []
    for exponent in GAINS:
        hat = (1 - (place - exponent).abs()).clamp(min=0).sqrt()
        if bool(hat.any()):
            parts.append((hat, 1 / (1 + 10.0**exponent * spectrum)))

    def precondition(rest: Tensor) -> Tensor:
        out = torch.zeros_like(rest)
        for hat, inverse in parts:
            out += hat * irfft2(rfft2(hat * rest, shape) * inverse, shape)
        return out

    return precondition


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Sums of products over planes (P, 1, 1): rows first, so that threads do not change the order."""
    return (a * b).sum(-1).double().sum(-1)[:, None, None].float()


def _safe(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / b.clamp(min=1e-38), torch.zeros_like(a))


def views(canvas: Canvas, flat: Tensor) -> Tensor:
    """View (P, H, W) of a flat tensor of a canvas whose planes all have one shape."""
    count = canvas.layout.shape[0]
    height, width = canvas.layout[0, 1:3].tolist()
    return flat.view(count, -1)[:, : height * width].view(count, height, width)


class Slope:
    """Product with the posterior covariance ``J diag(t^2)`` by a difference of two evaluations of the denoiser.

    The derivative along one direction needs no back-propagation and so no gradient of the ops: half the memory, and
    any denoiser will do (Tweedie's covariance; moment matching: Rozet et al. 2024).

    Parameters
    ----------
    denoiser, canvas, plan, world
        As they were just evaluated: ``canvas.mean`` is the denoiser's answer at the state.
    level : Tensor (P, H, W)
        Levels of the state.
    """

    def __init__(self, denoiser: Denoiser, canvas: Canvas, plan: Any, world: World, level: Tensor) -> None:
        self.denoiser, self.canvas, self.plan, self.world, self.level = denoiser, canvas, plan, world, level
        self.state, self.mean, self.var = canvas.fields[0].clone(), canvas.mean.clone(), canvas.var.clone()

    def __call__(self, planes: Tensor) -> Tensor:
        """``J (t^2 x)`` for planes (P, H, W)."""
        canvas = self.canvas
        way = self.level * planes
        length = _dot(way, way).div(way[0].numel()).sqrt()
        factor = _safe(torch.full_like(length, NUDGE), length)
        views(canvas, canvas.fields[0]).add_(factor * self.level * way)
        self.denoiser.denoise_(canvas, self.plan, self.world)
        change = views(canvas, canvas.mean) - views(canvas, self.mean)
        for flat, kept in ((canvas.fields[0], self.state), (canvas.mean, self.mean), (canvas.var, self.var)):
            flat.copy_(kept)
        return _safe(change, factor.expand_as(change))
