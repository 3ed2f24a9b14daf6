"""Scenes with known truth for the benchmark of super-resolution, and what a camera makes of them.

``simulated``: Sersic galaxies from a renderer of this file (analytic profiles on a grid five times finer than the
scene's; not the training simulator) behind Moffat, Gaussian and Airy PSFs. ``rendered``: the same kinds of sources
by GalSim (Rowe et al. 2015), whose profiles, PSFs, pixels and noise are its own: single galaxies with sizes, indices
and ellipticities spread like those of COSMOS, a disc with a bulge in half of them, behind Kolmogorov, optical and
Moffat PSFs. The truth of a rendered scene is the galaxy as a space telescope with a PSF of two fine pixels saw it
(`resolution`), so that no single cusp pixel decides the rms; the camera's PSF is that much narrower. With `held` the
camera's PSF ends where the array ends that all methods are given: what they then miss of the light is their own fault.
``space``: what the Hubble telescope saw of a lensing galaxy (a test image of the prior's split).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from gencosmo.operators.profiles import airy_psf, gaussian_psf, moffat_psf

__all__ = ["Array", "Seen", "rendered", "simulated", "space"]

Array = NDArray[np.float64]
SUB = 5


@dataclass(frozen=True)
class Seen:
    """An image, its noise and its PSF on both grids; `truth` on the fine grid when it is known."""

    image: Array
    noise: Array
    psf: Array
    fine: Array
    scale: int
    truth: Array | None = None
    sources: tuple[tuple[float, float], ...] = ()


def sersic(side: int, row: float, col: float, *, index: float, radius: float, ratio: float, angle: float) -> Array:
    """Unit-flux Sersic profile (Sersic 1963), averaged over each pixel; positions and radius in fine pixels."""
    rows, cols = (np.indices((side * SUB, side * SUB)) + 0.5) / SUB - 0.5
    u = (cols - col) * np.cos(angle) + (rows - row) * np.sin(angle)
    v = ((rows - row) * np.cos(angle) - (cols - col) * np.sin(angle)) / ratio
    b = 2 * index - 1 / 3 + 4 / (405 * index)
    values = np.exp(-b * (np.hypot(u, v) / radius) ** (1 / index))
    binned: Array = values.reshape(side, SUB, side, SUB).mean((1, 3))
    return binned / binned.sum()


def scene(rng: np.random.Generator, side: int) -> tuple[Array, tuple[tuple[float, float], ...]]:
    """Three to five galaxies, some with a bulge, and where they are."""
    total, places = np.zeros((side, side)), []
    for _ in range(rng.integers(3, 6)):
        place = tuple(rng.uniform(0.18 * side, 0.82 * side, 2))
        flux, angle = 10 ** rng.uniform(3.3, 4.9), rng.uniform(0, np.pi)
        disc = {"index": 1.0, "radius": rng.uniform(3, 9), "ratio": rng.uniform(0.25, 0.95), "angle": angle}
        bulge = {
            "index": rng.uniform(1.5, 4),
            "radius": rng.uniform(1.5, 4),
            "ratio": rng.uniform(0.6, 1),
            "angle": angle,
        }
        share = rng.uniform(0, 0.6)
        total += flux * ((1 - share) * sersic(side, *place, **disc) + share * sersic(side, *place, **bulge))
        places.append((float(place[0]), float(place[1])))
    return total, tuple(places)


def simulated(seed: int, side: int = 48, scale: int = 2, exposure: float = 1.0) -> Seen:
    """One image of a scene, exposed so many times longer."""
    rng = np.random.default_rng(seed)
    width = rng.uniform(2.4, 3.6) * scale
    fine = [
        moffat_psf(width, rng.uniform(2.5, 4.5), size=51),
        gaussian_psf(width, size=35),
        airy_psf(width / 0.5145, 1, 1, size=61),
    ][seed % 3]
    border = 16
    wide, places = scene(rng, side * scale + 2 * border)
    blurred = signal.fftconvolve(wide, fine, mode="same")[border:-border, border:-border]
    clean = blurred.reshape(side, scale, side, scale).sum((1, 3))
    sky, gain = 10 ** rng.uniform(0.3, 1.0), 10 ** rng.uniform(0, 1)
    noise = np.sqrt((sky**2 + np.maximum(clean, 0) / gain) / exposure)
    image = clean + noise * rng.normal(size=clean.shape)
    box = np.ones((scale, scale)) / scale**2
    native = signal.fftconvolve(fine, box)
    return Seen(
        image,
        noise,
        native,
        fine,
        scale,
        wide[border:-border, border:-border],
        tuple((r - border, c - border) for r, c in places),
    )


def rendered(seed: int, side: int = 48, scale: int = 2, exposure: float = 1.0, held: bool = False) -> Seen:
    """One galaxy by GalSim, in units of electrons; the truth is the scene seen at two fine pixels FWHM."""
    import galsim

    rng = np.random.default_rng(10_000 + seed)
    pixel, whole = 0.2, side * scale
    fine = pixel / scale
    radius = 10 ** rng.normal(-0.35, 0.2)  # arcsec: COSMOS galaxies to F814W of about 23.5
    index = float(np.clip(rng.lognormal(0.3, 0.5), 0.5, 4.0))
    galaxy: galsim.GSObject = galsim.Sersic(n=index, half_light_radius=radius)
    if rng.random() < 0.5:
        share = rng.uniform(0.1, 0.6)
        galaxy = (1 - share) * galsim.Exponential(half_light_radius=radius) + share * galsim.DeVaucouleurs(
            half_light_radius=0.4 * radius
        )
    size = min(0.7, abs(rng.normal(0, 0.35)))
    flux = 10 ** rng.uniform(3.5, 5.0)
    galaxy = galaxy.shear(g=size, beta=rng.uniform(0, np.pi) * galsim.radians).withFlux(flux)
    galaxy = galaxy.shift(*(rng.uniform(-0.1, 0.1, 2)))
    seeing = rng.uniform(0.55, 0.8)
    optics = (
        galsim.Kolmogorov(fwhm=seeing),
        galsim.Convolve(galsim.OpticalPSF(lam_over_diam=0.3, obscuration=0.3, coma1=0.05), galsim.Gaussian(fwhm=0.45)),
        galsim.Moffat(beta=rng.uniform(2.5, 4.0), fwhm=seeing).shear(g1=0.03),
    )[seed % 3]
    # the truth's own resolution: what is left of the camera's PSF on top of it is what the solver is given
    space = galsim.Gaussian(fwhm=2.0 * fine)
    options = {"scale": fine, "dtype": float}
    truth = galsim.Convolve(galaxy, space).drawImage(nx=whole, ny=whole, **options).array
    image = galsim.Convolve(galaxy, space, optics).drawImage(nx=side, ny=side, scale=pixel, dtype=float).array
    psf = optics.drawImage(nx=71, ny=71, method="no_pixel", **options).array
    psf = psf / psf.sum()
    if held:
        wide = galsim.Convolve(galaxy, space).drawImage(nx=whole + 72, ny=whole + 72, **options).array
        image = signal.fftconvolve(wide, psf, mode="same")[36:-36, 36:-36].reshape(side, scale, side, scale).sum((1, 3))
    sky = 10 ** rng.uniform(0.3, 1.0)
    noise = np.sqrt((sky**2 + np.maximum(image, 0)) / exposure)
    seen = image + noise * rng.normal(size=noise.shape)
    place = (truth.shape[0] - 1) / 2
    middle = (place + galaxy.centroid.y / fine, place + galaxy.centroid.x / fine)
    box = np.ones((scale, scale)) / scale**2
    return Seen(seen, noise, signal.fftconvolve(psf, box), psf, scale, truth, (middle,))


def space(seed: int, side: int = 48, scale: int = 2, *, folder: Path) -> Seen:
    """A cutout of a Hubble image as the truth, blurred, binned, and with noise far above its own.

    A lensing galaxy (SLACS J1430+4105, F814W, 0.05"): in the middle, and with other seeds beside it.
    """
    from astropy.io import fits

    sky = 0.12  # electrons per second; the truth's own noise is 0.015 in as many pixels
    wide: Array = fits.getdata(folder / "lens_slacs" / "image.fits.gz").astype(np.float64)
    rng, whole, border = np.random.default_rng(20_000 + seed), side * scale, 32
    shift = np.zeros(2, int) if seed == 0 else rng.integers(-30, 31, 2)
    first = (np.array(wide.shape) - whole) // 2 + shift - border
    part = wide[first[0] : first[0] + whole + 2 * border, first[1] : first[1] + whole + 2 * border]
    width = rng.uniform(2.2, 3.0) * scale
    fine = [moffat_psf(width, 3.5, size=51), gaussian_psf(width, size=35), airy_psf(width / 0.5145, 1, 1, size=61)][
        seed % 3
    ]
    blurred = signal.fftconvolve(part, fine, mode="same")[border:-border, border:-border]
    clean = blurred.reshape(side, scale, side, scale).sum((1, 3))
    noise = np.sqrt(sky**2 + np.maximum(clean, 0) / 500)  # electrons per second in an exposure of 500 s
    box = np.ones((scale, scale)) / scale**2
    truth = part[border:-border, border:-border]
    image = clean + noise * rng.normal(size=clean.shape)
    return Seen(
        image, noise, signal.fftconvolve(fine, box), fine, scale, truth, ((whole / 2 - shift[0], whole / 2 - shift[1]),)
    )
