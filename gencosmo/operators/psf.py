"""Convolution with a point-spread function by FFT, on the image or on overlapping blocks of it.

``(A x)[i] = sum_a psf[a] x[i - (a - c)]`` with the centre ``c = (h // 2, w // 2)``: the middle of an odd array, the
pixel after the middle of an even one (where ``fftshift`` puts frequency zero). Outside the plane the scene is zero and
nothing is wrapped; a caller who wants the light from beyond the edge makes the plane larger than the image. Each block
is convolved circularly on a grid that holds it together with the PSF, and only what no wrap reached is kept, so that
blocks change memory and the last bits, nothing else; `forward` and `adjoint` use the same blocks.
"""

from __future__ import annotations

import torch
from scipy.fft import next_fast_len
from torch import Tensor

from gencosmo.errors import InputError
from gencosmo.operators.base import check_planes
from gencosmo.operators.fourier import irfft2, rfft2
from gencosmo.ops.fft_point import fft_point

__all__ = ["BLOCK", "Psf", "checked_psf"]

BLOCK = 1536
"""Longest side (pixels) of the grid of one FFT, unless the PSF itself asks for a larger one."""
BATCH_PIXELS = 1 << 22
"""Grid pixels of the planes that are transformed at the same time."""
SUM_TOLERANCE = 1e-3


def checked_psf(psf: Tensor) -> Tensor:
    """The PSF as float64 with a sum of exactly one.

    Raises
    ------
    InputError
        `bad_psf`: not (h, w), not finite, or a sum that is not one to 0.1 %.
    """
    if psf.ndim != 2 or psf.numel() == 0:
        raise InputError(f"psf has shape {tuple(psf.shape)}, expected (h, w)", code="bad_psf")
    values = psf.detach().double()
    if not bool(torch.isfinite(values).all()):
        raise InputError("psf has non-finite values", code="bad_psf", hint="crop it, or set them to zero")
    total = float(values.sum())
    if abs(total - 1) > SUM_TOLERANCE:
        raise InputError(f"psf sums to {total:.6g}, expected 1", code="bad_psf", hint="divide it by its sum")
    return values / total


class Psf:
    """One PSF for a whole plane.

    Parameters
    ----------
    psf : Tensor (h, w)
        Unit-sum, odd or even, any aspect; may be larger than the plane.
    shape : (int, int)
        Rows and columns of the plane; the output has the same.
    device : torch.device or str
    block : int
        Longest side of the grid of one FFT.

    Raises
    ------
    InputError
        See :func:`checked_psf`.
    """

    def __init__(
        self, psf: Tensor, shape: tuple[int, int], *, device: torch.device | str = "cpu", block: int = BLOCK
    ) -> None:
        values = checked_psf(psf)
        self.shape_in = self.shape_out = (int(shape[0]), int(shape[1]))
        self.size = (values.shape[0], values.shape[1])
        self.tile, self._grid = _tiling(self.shape_in, self.size, block)
        spectrum = torch.view_as_real(torch.fft.rfft2(values, s=self._grid))
        self._transfer = spectrum.float()[None].contiguous().to(device)
        self._ridge = torch.zeros(1, device=device)

    def forward(self, scene: Tensor) -> Tensor:
        """Convolve planes (..., H, W)."""
        check_planes("Psf.forward", scene, self.shape_in)
        return self._apply(scene, "forward")

    def adjoint(self, image: Tensor) -> Tensor:
        """Correlate planes (..., H, W): convolve with the PSF turned by 180 degrees."""
        check_planes("Psf.adjoint", image, self.shape_out)
        return self._apply(image, "adjoint")

    def _apply(self, planes: Tensor, mode: str) -> Tensor:
        flat = planes.reshape(-1, *self.shape_in)
        out = torch.empty_like(flat)
        step = max(1, BATCH_PIXELS // (self._grid[0] * self._grid[1]))
        for start in range(0, flat.shape[0], step):
            for row in range(0, self.shape_in[0], self.tile[0]):
                for col in range(0, self.shape_in[1], self.tile[1]):
                    self._block(flat[start : start + step], out[start : start + step], row, col, mode)
        return out.view(planes.shape)

    def _block(self, planes: Tensor, out: Tensor, row: int, col: int, mode: str) -> None:
        """The output pixels of one tile, from all input pixels that reach them."""
        before = [n // 2 if mode == "adjoint" else n - 1 - n // 2 for n in self.size]
        rows, top = _reach(row, self.tile[0], self.size[0], before[0], self.shape_in[0])
        cols, left = _reach(col, self.tile[1], self.size[1], before[1], self.shape_in[1])
        window = torch.zeros(planes.shape[0], *self._grid, device=planes.device)
        part = planes[:, rows, cols]
        window[:, top : top + part.shape[1], left : left + part.shape[2]] = part
        spectrum = torch.view_as_real(rfft2(window, self._grid))
        fft_point(spectrum, self._transfer, self._ridge, mode, spectrum)
        turned = irfft2(torch.view_as_complex(spectrum), self._grid)
        # no wrap reaches these: from h - 1 on for a convolution, up to the tile's end for a correlation
        first = (0, 0) if mode == "adjoint" else (self.size[0] - 1, self.size[1] - 1)
        height = min(self.tile[0], self.shape_in[0] - row)
        width = min(self.tile[1], self.shape_in[1] - col)
        out[:, row : row + height, col : col + width] = turned[
            :, first[0] : first[0] + height, first[1] : first[1] + width
        ]


def _tiling(shape: tuple[int, int], size: tuple[int, int], block: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Output pixels per tile, and the FFT grid that holds a tile and its reach."""
    tile, grid = [], []
    for n, h in zip(shape, size, strict=True):
        longest = max(block, 2 * h) - (h - 1)
        tiles = -(-n // longest)
        tile.append(-(-n // tiles))
        grid.append(int(next_fast_len(tile[-1] + h - 1, real=True)))
    return (tile[0], tile[1]), (grid[0], grid[1])


def _reach(start: int, tile: int, size: int, before: int, total: int) -> tuple[slice, int]:
    """Input pixels of a tile along one axis, and where the first of them stands in the FFT grid."""
    low = start - before
    return slice(max(low, 0), min(low + tile + size - 1, total)), max(-low, 0)
