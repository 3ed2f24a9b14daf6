"""What super-resolution is compared with: interpolation, deconvolution, and other samplers with the same prior."""

from __future__ import annotations

import sys
import types
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from scipy import ndimage, signal
from super_resolution_scenes import Array, Seen

if TYPE_CHECKING:
    from gencosmo.result import Result

__all__ = ["ITERATIONS", "bicubic", "diffpir", "dps", "lanczos", "ours", "posterior", "richardson_lucy", "wiener"]

ITERATIONS = (5, 10, 20, 30, 50, 80, 120, 200)
LOW = 0.1
"""Where deepinv's methods see the zero of the flux."""


def bicubic(seen: Seen) -> Array:
    out: Array = ndimage.zoom(seen.image, seen.scale, order=3, mode="grid-constant", grid_mode=True) / seen.scale**2
    return out


def lanczos(seen: Seen, taps: int = 4) -> Array:
    """Lanczos-4 interpolation (Duchon 1979)."""
    values, scale = seen.image, seen.scale
    for axis in (0, 1):
        place = (np.arange(values.shape[axis] * scale) + 0.5) / scale - 0.5
        start = np.floor(place).astype(int)
        total = np.zeros([n * scale if a == axis else n for a, n in enumerate(values.shape)])
        weights = np.zeros(place.size)
        for k in range(-taps + 1, taps + 1):
            x = place - (start + k)
            w = np.sinc(x) * np.sinc(x / taps) * (np.abs(x) < taps)
            picked = np.take(values, np.clip(start + k, 0, values.shape[axis] - 1), axis=axis)
            total += picked * (w[:, None] if axis == 0 else w[None])
            weights += w
        values = total / (weights[:, None] if axis == 0 else weights[None])
    return values / scale**2


def richardson_lucy(seen: Seen, iterations: int) -> Array:
    """scikit-image on the interpolated image (a pedestal keeps it positive), with the whole PSF of the fine grid."""
    from skimage.restoration import richardson_lucy as deconvolve

    up = bicubic(seen)
    pedestal = 3 * float(np.median(seen.noise)) / seen.scale**2
    shifted = np.clip(up + pedestal, 1e-6, None)
    top = shifted.max()
    out: Array = deconvolve(shifted / top, _whole(seen), num_iter=iterations, clip=False) * top - pedestal
    return out


def wiener(seen: Seen) -> Array:
    from skimage.restoration import unsupervised_wiener

    up = bicubic(seen)
    top = np.abs(up).max()
    out: Array = unsupervised_wiener(up / top, _whole(seen), clip=False, rng=0)[0] * top
    return out


def _whole(seen: Seen) -> Array:
    """PSF with the width of a pixel of the image, odd."""
    box = np.ones(seen.scale) / seen.scale
    if seen.scale % 2 == 0:
        box = np.convolve(box, [0.5, 0.5])
    return signal.fftconvolve(seen.fine, np.outer(box, box))


def ours(seen: Seen, samples: int, steps: int, mode: str, prior: Any) -> tuple[Array, Array, float, float]:
    """Mean, spread, chi-square, and half-width of the 95 % interval in spreads."""
    result = posterior(seen, samples, steps, mode, prior)
    wide = result.quantiles.get(0.95, 1.96)
    return result.mean.astype(np.float64), result.std.astype(np.float64), float(result.chi2 or np.nan), wide


def posterior(seen: Seen, samples: int, steps: int, mode: str, prior: Any) -> Result:
    """All that `super_resolve` says."""
    from gencosmo import super_resolve
    from gencosmo.image import Image

    # placed where the fine grid with its margins lies in four windows of the network, not nine
    image = Image(seen.image[None].astype(np.float32), origin=(16, 16), planar=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return super_resolve(
            image, seen.scale, psf=seen.fine, psf_sampling=seen.scale, ivar=1 / seen.noise**2, samples=samples,
            steps=steps, mode=mode, prior=prior,  # type: ignore[arg-type]
        )  # fmt: skip


def diffpir(seen: Seen, prior: Any, steps: int = 30, weight: float = 7.0) -> Array:
    """DiffPIR (Zhu et al. 2023) of deepinv with the prior as its denoiser."""
    posed = _Posed(seen, prior)
    start = torch.from_numpy(bicubic(seen) * seen.scale**2 / posed.unit / posed.top + LOW).float()[None, None]
    model = posed.deepinv.sampling.DiffPIR(
        posed.denoiser(), posed.deepinv.optim.data_fidelity.L2(), sigma=1 / posed.top, max_iter=steps, lambda_=weight
    )
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return posed.scene(model(posed.y, posed.physics, x_init=start))


def dps(seen: Seen, prior: Any, steps: int = 100) -> Array:
    """DPS (Chung et al. 2023) of deepinv with the prior as its denoiser; three evaluations per step.

    The Jacobian of a posterior mean is symmetric, so that the product with its transpose, which the method asks
    automatic differentiation for, is a difference of two evaluations.
    """
    posed = _Posed(seen, prior)
    plain = posed.denoiser()

    class Denoised(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
            ctx.sigma, found = float(sigma), plain(x, sigma)
            ctx.save_for_backward(x, found)
            return found.to(x)

        @staticmethod
        def backward(ctx: Any, along: torch.Tensor) -> tuple[torch.Tensor, None]:  # type: ignore[override]
            x, found = ctx.saved_tensors
            length = 0.3 * ctx.sigma * along.numel() ** 0.5 / float(along.norm().clamp(min=1e-30))
            return ((plain(x + length * along, ctx.sigma) - found) / length).to(along), None

    class Denoise(torch.nn.Module):
        def forward(self, x: torch.Tensor, sigma: Any, **_: Any) -> torch.Tensor:
            out: torch.Tensor = Denoised.apply(x, torch.as_tensor(sigma).flatten()[0])  # type: ignore[no-untyped-call]
            return out

    model = posed.deepinv.sampling.DPS(Denoise(), num_steps=steps, guidance="annealed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return posed.scene(model(posed.y, posed.physics, seed=0))


class _Posed:
    """A scene as deepinv wants it: values between 0 and 1, and one noise level.

    The scene is divided by 1.2 times the brightest pixel of the image, its zero put at `LOW`, and the data get the
    noise of their median pixel.
    """

    def __init__(self, seen: Seen, prior: Any) -> None:
        # deepinv imports torchvision but uses none of its compiled ops, which a CPU build of torch cannot load
        sys.modules.setdefault("torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations"))
        import deepinv

        from gencosmo.operators import Binning, Composed, Psf

        self.deepinv, self.prior, self.scale = deepinv, prior, seen.scale
        self.shape = (seen.image.shape[0] * seen.scale, seen.image.shape[1] * seen.scale)
        operator = Composed(
            Psf(torch.from_numpy(seen.fine / seen.fine.sum()), self.shape),
            Binning(seen.image.shape, (seen.scale, seen.scale), mean=True),
        )
        self.unit = float(np.median(seen.noise))
        self.top = 1.2 * float(seen.image.max()) / self.unit / (1 - LOW)

        class Look(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
                return operator.forward(x[:, 0].detach().float().contiguous())[:, None].to(x)

            @staticmethod
            def backward(ctx: Any, along: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
                return operator.adjoint(along[:, 0].float().contiguous())[:, None].to(along)

        class Camera(deepinv.physics.LinearPhysics):
            def A(self, x: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: N802
                out: torch.Tensor = Look.apply(x)  # type: ignore[no-untyped-call]
                return out

            def A_adjoint(self, y: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: N802
                return operator.adjoint(y[:, 0].float())[:, None].to(y)

            def A_dagger(self, y: torch.Tensor, **_: Any) -> torch.Tensor:  # noqa: N802
                return self.A_adjoint(y)  # asked for its shape only

        # the scene's pedestal goes through the camera as it is where the PSF does not reach beyond the image
        pedestal = operator.forward(torch.full((1, *self.shape), LOW))[None]
        self.y = torch.from_numpy(seen.image / self.unit / self.top).float()[None, None] + pedestal
        self.physics = Camera()
        self.physics.noise_model = deepinv.physics.GaussianNoise(1 / self.top)

    def denoiser(self) -> torch.nn.Module:
        """The prior as a denoiser of such values."""
        from gencosmo.windows import Canvas

        shape, top, prior = self.shape, self.top, self.prior
        pixels = shape[0] * shape[1]
        canvas = Canvas.from_planes([torch.zeros(shape)], [torch.ones(shape)], seeds=[0])
        plan = prior.plan(canvas, canvas.pixels())

        class Denoise(torch.nn.Module):
            def forward(self, x: torch.Tensor, sigma: Any, **_: Any) -> torch.Tensor:
                canvas.fields[0, :pixels] = ((x[0, 0].detach().float() - LOW) * top).flatten()
                canvas.fields[1, :pixels] = float(torch.as_tensor(sigma).flatten()[0]) * top
                prior.denoise_(canvas, plan, "scene")
                return canvas.view(canvas.mean, 0).clone()[None, None] / top + LOW

        return Denoise()

    def scene(self, found: torch.Tensor) -> Array:
        """Back to the units of the image."""
        out: Array = ((found[0, 0].detach().double().numpy() - LOW) * self.top * self.unit) / self.scale**2
        return out
