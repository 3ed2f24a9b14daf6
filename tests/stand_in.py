"""A task that fills without a trained prior, so that files and commands are tested on their own."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from gencosmo.batch import OPS, Hooks, Job
from gencosmo.errors import GencosmoWarning
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.result import Result


def biharmonic(image: Image, job: Job, seed: int, hooks: Hooks) -> Result:
    """Biharmonic filling plus noise of the given seed; a hole wider than 12 pixels is told to be too
    large.
    """
    from skimage.restoration import inpaint_biharmonic

    mask = image.mask
    mean, flags = image.data.copy(), image.flags.copy()
    noise = np.random.default_rng(seed)
    for channel in range(image.shape[0]):
        if hooks.progress is not None:
            hooks.progress(channel + 1, image.shape[0])
        if mask[channel].any():
            smooth = inpaint_biharmonic(image.data[channel].astype(np.float64), mask[channel])
            mean[channel][mask[channel]] = smooth[mask[channel]] + noise.normal(size=int(mask[channel].sum()))
    flags[mask] |= np.uint32(bits("FILLED"))
    runs = mask.all(axis=0)[:, :12].all(axis=1)
    if runs.any():
        flags[mask] |= np.uint32(bits("HOLE_TOO_LARGE"))
        warnings.warn(GencosmoWarning("largest hole exceeds the 12 px", code="hole_too_large"), stacklevel=2)
    return Result(
        image.restore(mean),
        image.restore(np.where(mask, np.float32(2), np.float32(0))),
        filled=image.restore(mask),
        flags=image.restore(flags),
        target=job.target,
        provenance={"prior": "stand-in", "prior_hash": "0" * 8, "steps": 1},
    )


@pytest.fixture
def stand_in(monkeypatch):
    """Put the stand-in in the place of the task, and of the prior's identity."""
    monkeypatch.setitem(OPS, "inpaint", biharmonic)
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)
