"""What happens between two Fourier transforms when a PSF is applied, transposed or undone.

With ``F`` a spectrum, ``H`` the PSF's transfer function and ``r >= 0`` a ridge, for every frequency:

=========== ============================ =============================================
`mode`      result                       as a matrix on images (circular convolution)
=========== ============================ =============================================
``forward`` ``H F``                      ``A``
``adjoint`` ``conj(H) F``                ``A^T``
``normal``  ``|H|^2 F``                  ``A^T A``
``inverse`` ``F / (|H|^2 + r)``          ``(A^T A + r)^-1``, preconditioner of the solve
``solve``   ``conj(H) F / (|H|^2 + r)``  ``(A^T A + r)^-1 A^T``, Wiener's estimate
=========== ============================ =============================================

Complex numbers travel as pairs of float32, ``torch.view_as_real``, which DLPack and half of torch's compilers know.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gencosmo.errors import UsageError
from gencosmo.ops._dispatch import define, refuse_grad

__all__ = ["MODES", "fft_point", "fft_point_reference"]

MODES = {"forward": 0, "adjoint": 1, "normal": 2, "inverse": 3, "solve": 4}

_point = define(
    "fft_point(Tensor spectrum, Tensor transfer, Tensor ridge, int kind, Tensor(a!) out) -> ()", "fft_point"
)


def fft_point(spectrum: Tensor, transfer: Tensor, ridge: Tensor, mode: str, out: Tensor) -> None:
    """Multiply spectra by a function of the transfer function.

    Parameters
    ----------
    spectrum : Tensor (B, H, W, 2) float32
        ``torch.view_as_real`` of complex spectra; W is ``width // 2 + 1`` for those of ``rfft2``.
    transfer : Tensor (B, H, W, 2) or (1, H, W, 2) float32
        One for each image or one for all.
    ridge : Tensor (B,) or (1,) float32
        Used by ``inverse`` and ``solve``; on the device, so that one captured graph serves all levels.
    mode : {"forward", "adjoint", "normal", "inverse", "solve"}
    out : Tensor (B, H, W, 2) float32
        Overwritten; may be `spectrum` itself.

    Raises
    ------
    UsageError
        When there is no such mode, or a gradient is asked for.
    """
    if mode not in MODES:
        raise UsageError(f"gencosmo.ops.fft_point: argument 'mode' expected one of {', '.join(MODES)}, got {mode!r}")
    refuse_grad("fft_point", spectrum, transfer, ridge, out)
    _point(spectrum, transfer, ridge, MODES[mode], out)


def fft_point_reference(spectrum: Tensor, transfer: Tensor, ridge: Tensor, mode: str, out: Tensor) -> None:
    """Plain torch truth of :func:`fft_point`, with complex numbers."""
    f, h = torch.view_as_complex(spectrum), torch.view_as_complex(transfer)
    power = h.real**2 + h.imag**2
    if mode == "forward":
        result = h * f
    elif mode == "normal":
        result = power * f
    else:
        result = f if mode == "inverse" else h.conj() * f
        if mode != "adjoint":
            result = result / (power + ridge[:, None, None])
    out.copy_(torch.view_as_real(result))
