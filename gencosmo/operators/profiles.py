"""PSFs to use: from a profile, and from the grid on which one was measured to the grid of the scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gencosmo.errors import UsageError

__all__ = ["airy_psf", "fine_psf", "gaussian_psf", "moffat_psf", "psf_centre", "psf_fwhm"]

Array = NDArray[np.float64]
SUBPIXELS = 5
"""Points per pixel and axis over which a profile is averaged."""


def gaussian_psf(fwhm: float, *, size: int | None = None) -> Array:
    """Gaussian PSF.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum (pixels of the array).
    size : int, optional
        Side of the array; default: odd, five times the width.

    Returns
    -------
    ndarray (size, size)
        Averaged over each pixel, unit sum.
    """
    _positive(fwhm=fwhm)
    s = fwhm / 2.354820045030949
    return _sampled(lambda r: np.exp(-0.5 * (r / s) ** 2), size or _odd(5 * fwhm))


def moffat_psf(fwhm: float, beta: float = 2.5, *, size: int | None = None) -> Array:
    """Moffat PSF (Moffat 1969), the seeing of ground-based telescopes.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum (pixels of the array).
    beta : float
        Exponent of the wings, above 1.
    size : int, optional
        Side of the array; default: odd, twelve times the width.
    """
    _positive(fwhm=fwhm, beta=beta - 1)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return _sampled(lambda r: (1 + (r / alpha) ** 2) ** -beta, size or _odd(12 * fwhm))


def airy_psf(wavelength: float, aperture: float, pixel: float, *, size: int | None = None) -> Array:
    """In-focus PSF of a microscope: the Airy pattern (Born & Wolf, Principles of Optics, section 8.5.2).

    Parameters
    ----------
    wavelength : float
        Of the emitted light, in the unit of `pixel` (for example micrometres).
    aperture : float
        Numerical aperture of the objective.
    pixel : float
        Width of a pixel of the array in the specimen.
    size : int, optional
        Side of the array; default: odd, twelve times the width of the core.
    """
    _positive(wavelength=wavelength, aperture=aperture, pixel=pixel)
    wave = 2 * np.pi * aperture / wavelength * pixel

    def intensity(r: Array) -> Array:
        v = np.maximum(wave * r, 1e-9)
        values: Array = (2 * special.j1(v) / v) ** 2
        return values

    return _sampled(intensity, size or _odd(12 * 0.51 * wavelength / aperture / pixel))


def _positive(**named: float) -> None:
    for name, value in named.items():
        if not (np.isfinite(value) and value > 0):
            raise UsageError(f"psf: {name} is {value}, expected a positive number", code="bad_psf")


def _odd(size: float) -> int:
    return 2 * max(2, int(np.ceil(size / 2))) + 1


def _sampled(profile: object, size: int) -> Array:
    offsets = (np.arange(size * SUBPIXELS) + 0.5) / SUBPIXELS - 0.5 - size // 2
    radius = np.hypot(offsets[:, None], offsets[None, :])
    values: Array = profile(radius)  # type: ignore[operator]
    values = values.reshape(size, SUBPIXELS, size, SUBPIXELS).mean((1, 3))
    return np.asarray(values / values.sum())


def psf_centre(psf: NDArray[np.floating]) -> tuple[float, float]:
    """Offset (rows, columns) in pixels of a PSF's centroid from the pixel that counts as its centre.

    Measured within the half-maximum core, so that noise in the wings does not count.
    """
    values = np.asarray(psf, np.float64)
    core = np.where(values > 0.2 * values.max(), values, 0.0)
    rows, cols = np.indices(values.shape)
    total = core.sum()
    middle = float((core * rows).sum() / total), float((core * cols).sum() / total)
    return middle[0] - values.shape[0] // 2, middle[1] - values.shape[1] // 2


def psf_fwhm(psf: NDArray[np.floating]) -> float:
    """Width at half maximum (pixels): the diameter of a disc with the area above half of the maximum."""
    values = np.asarray(psf, np.float64)
    from scipy import ndimage

    fine = ndimage.zoom(np.pad(values, 2), 8, order=3, grid_mode=True, mode="grid-constant")
    return float(2 * np.sqrt((fine > 0.5 * fine.max()).sum() / np.pi) / 8)


def fine_psf(psf: NDArray[np.floating], scale: tuple[int, int]) -> Array:
    """The PSF on a finer grid, of a PSF as it is seen on the image.

    What stars on an image show is the optics' PSF *and* the width of the image's pixels. Here the pixels are taken
    out, for they come back when the fine scene is binned: ``binning(fine_psf) = psf`` at every position of the source
    within a pixel. The spectrum of the image's PSF is continued by zeros (it is band-limited when the image samples it
    well, FWHM above two pixels) and divided by that of the pixel, which is 0.64 or more there.

    Parameters
    ----------
    psf : ndarray (h, w)
        Unit sum; the source stands in the middle of the pixel ``(h // 2, w // 2)``.
    scale : (int, int)
        Fine pixels per pixel of the image along rows and columns.

    Returns
    -------
    ndarray
        Unit sum, odd along axes that became finer, centred in pixel ``n // 2``; a ringing of the measured PSF's
        noise can be negative.
    """
    values = np.asarray(psf, np.float64)
    for axis, factor in enumerate(scale):
        values = _finer_axis(values, axis, int(factor))
    return np.asarray(values / values.sum())


def _finer_axis(values: Array, axis: int, factor: int) -> Array:
    if factor == 1:
        return values
    size = values.shape[axis]
    grid = 2 * size + 1  # odd, so that there is no Nyquist frequency to share
    moved = np.moveaxis(values, axis, -1)
    padded = np.zeros((*moved.shape[:-1], grid))
    padded[..., :size] = moved
    spectrum = np.fft.rfft(np.roll(padded, -(size // 2), axis=-1))
    angle = np.pi * np.arange(spectrum.shape[-1]) / (grid * factor)
    with np.errstate(invalid="ignore"):
        pixel = np.where(angle == 0, 1.0, np.sin(factor * angle) / (factor * np.sin(angle)))
    fine = np.fft.irfft(spectrum / pixel, n=grid * factor)
    half = (size * factor) // 2
    out: Array = np.moveaxis(np.concatenate([fine[..., -half:], fine[..., : half + 1]], axis=-1), -1, axis)
    return out
