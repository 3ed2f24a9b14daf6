"""Posterior samples from a denoiser: clocks, the table of steps, the loop, the posterior."""

from gencosmo.sampling.posterior import Posterior, predict, sample

__all__ = ["Posterior", "predict", "sample"]
