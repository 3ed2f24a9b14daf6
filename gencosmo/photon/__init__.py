"""Photon statistics: the noise of a camera that counts, estimated or told, and what follows from it.

`noise` holds the law, `fit` reads it off one image, `level` makes the inverse variance of every pixel, `anscombe` makes
the noise even and takes it back without bias, `light` finds uneven illumination. NumPy and SciPy only.
"""

from gencosmo.photon.fit import estimate_noise, fit_law
from gencosmo.photon.level import smooth_level, with_noise
from gencosmo.photon.light import Illumination, check_order, estimate_illumination, fit_illumination, with_illumination
from gencosmo.photon.noise import MeanVariance, PhotonNoise

__all__ = [
    "Illumination",
    "MeanVariance",
    "PhotonNoise",
    "check_order",
    "estimate_illumination",
    "estimate_noise",
    "fit_illumination",
    "fit_law",
    "smooth_level",
    "with_illumination",
    "with_noise",
]
