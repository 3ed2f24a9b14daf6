"""Linear measurements: what an instrument makes of a scene. Every operator has `forward`, `adjoint`, `shape_out`."""

from gencosmo.operators.base import LinearOperator
from gencosmo.operators.binning import Binning
from gencosmo.operators.composed import Composed
from gencosmo.operators.psf import Psf
from gencosmo.operators.varying import VaryingPsf

__all__ = ["Binning", "Composed", "LinearOperator", "Psf", "VaryingPsf"]
