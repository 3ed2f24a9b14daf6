"""A detector that keeps what the network's passes left of its images, so that a comparison can be resumed.

What is kept belongs to the pixels, the prior (weights, surface, corrections), the place of a batch and how normals are
staged. It does not know the code: use a new folder when anything before the calibration has changed.
"""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from gencosmo.priors import load_prior
from gencosmo.tasks.detector import AnomalyDetector
from gencosmo.tasks.evidence import identity_of


def weights_of(prior: str) -> str:
    """Name of a prior, the beginning of the hash of its weights, and its surface: what a figure is of."""
    card = load_prior(prior, "cpu").card
    return f"{prior} {card.weights_sha256[:12]} {card.surface}"


class KeptDetector(AnomalyDetector):
    """`AnomalyDetector` with a folder.

    Parameters
    ----------
    folder : Path or None
        None keeps nothing.
    options
        Of `AnomalyDetector`.
    """

    def __init__(self, folder: Path | None, **options: Any) -> None:
        super().__init__(**options)
        self.folder = folder

    def _table(self, denoiser: Any, images: Any, given: Any, first: int, share: float) -> Any:
        if self.folder is None:
            return super()._table(denoiser, images, given, first, share)
        made = identity_of(denoiser)
        told = hashlib.sha256(repr((made, self.how, self.seed, first, share, np.asarray(given).tolist())).encode())
        for image in images:
            told.update(np.ascontiguousarray(image.data).tobytes())
        path = self.folder / f"{told.hexdigest()[:24]}.pickle"
        if path.exists():
            return pickle.loads(path.read_bytes())
        found = super()._table(denoiser, images, given, first, share)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_bytes(pickle.dumps(found, protocol=5))
        part.rename(path)
        return found
