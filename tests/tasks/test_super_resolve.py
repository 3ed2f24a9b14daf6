"""Super-resolution of arrays: shapes, units, edges, errors, and what comes out on simple skies."""

from __future__ import annotations

import functools
import threading
import warnings

import numpy as np
import pytest
import torch

import gencosmo
from gencosmo.errors import Cancelled, GencosmoWarning, InputError, UsageError
from gencosmo.flags import bits
from gencosmo.image import Image
from gencosmo.operators import Binning, Composed, Psf
from gencosmo.operators.profiles import fine_psf, gaussian_psf
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.result import Result
from gencosmo.tasks.fluxes import flux_mode_of
from gencosmo.tasks.super_resolve import deconvolve, super_resolve

SIDE, NOISE = 14, 3.0
PLACE = (34, 34)
"""Where the image lies in its frame: so that the fine grid is in one window of the network."""
FIELD = GaussianPrior.exponential(variance=400.0, length=4.0, nugget=1e-3)


@functools.cache
def sky(side: int = SIDE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scene on the fine grid, the image of it, and the PSF as stars on the image show it."""
    rows, cols = np.indices((side * 2, side * 2)) / 2
    scene = 500 * np.exp(-(((rows - side / 2 + 1) / 1.7) ** 2 + ((cols - side / 2 + 2) / 1.2) ** 2) / 2)
    scene += 300 * np.exp(-((rows - side / 2 - 3) ** 2 + (cols - side / 2 - 3) ** 2) / 3)
    psf = gaussian_psf(2.3, size=9)
    a = Composed(Psf(torch.from_numpy(fine_psf(psf, (2, 2))), scene.shape), Binning((side, side), (2, 2)))
    clean = a.forward(torch.from_numpy(scene / 4).float()).numpy()
    return scene / 4, (clean + NOISE * np.random.default_rng(0).normal(size=clean.shape)).astype(np.float32), psf


@functools.cache
def trained() -> tuple[np.ndarray, np.ndarray, Result]:
    scene, image, psf = sky(24)
    held = Image(image[None], origin=PLACE, planar=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GencosmoWarning)  # the psf and the noise are right
        return scene, image, super_resolve(held, 2, psf=psf, ivar=NOISE**-2, samples=4, steps=8, seed=4)


def test_it_is_closer_to_the_scene_than_the_image_is() -> None:
    scene, image, result = trained()
    plain = np.kron(image, np.ones((2, 2))) / 4
    assert result.mean.shape == result.std.shape == scene.shape
    assert np.sqrt(((result.mean - scene) ** 2).mean()) < 0.4 * np.sqrt(((plain - scene) ** 2).mean())
    assert 0.45 < np.mean(np.abs(result.mean - scene) < result.std) < 0.95
    assert result.target == "scene"
    assert result.meta["scale"] == (2, 2)
    assert result.provenance["steps"] == 8


@pytest.mark.parametrize(
    ("psf", "noise"), [(gaussian_psf(8.0, size=23), NOISE), (gaussian_psf(2.3, size=9), NOISE / 6)]
)
def test_a_psf_or_a_noise_that_is_not_the_images_is_told(psf, noise) -> None:
    with pytest.warns(GencosmoWarning, match="misses the image by chi2") as caught:
        super_resolve(sky(24)[1], 2, psf=psf, ivar=noise**-2, samples=0, steps=4)
    assert "misfit" in {w.message.code for w in caught}  # type: ignore[union-attr]


def test_the_spread_without_samples_has_its_interval() -> None:
    scene, image, psf = sky(24)
    held = Image(image[None], origin=PLACE, planar=True)
    result = super_resolve(held, 2, psf=psf, ivar=NOISE**-2, samples=0, steps=8)
    assert result.samples is None
    low, high = result.interval(0.95)
    within = (low < scene) & (scene < high)
    assert within.mean() > 0.85
    assert 0.5 < np.mean(np.abs(result.mean - scene) < result.std) < 0.9
    # sharp limbs are less known than the sky between
    assert np.median(result.std[scene > 40]) > 3 * np.median(result.std[scene < 1])
    # samples are drawn around the same mean, with the same spread
    other = super_resolve(held, 2, psf=psf, ivar=NOISE**-2, samples=3, steps=8)
    assert np.array_equal(other.mean, result.mean) and np.array_equal(other.std, result.std)
    assert other.samples is not None and other.quantiles == result.quantiles
    away = (other.samples - other.mean) / other.std
    assert 0.7 < away.std() < 1.3


def test_walks_are_samples_of_their_own() -> None:
    _, image, psf = sky()
    held = Image(image[None], origin=PLACE, planar=True)
    result = super_resolve(held, 2, psf=psf, ivar=NOISE**-2, samples=2, steps=4, mode="walk")
    assert result.samples is not None and not result.quantiles
    np.testing.assert_allclose(result.mean, result.samples.mean(0), atol=1e-3 * result.mean.max())
    options = {"psf": psf, "ivar": NOISE**-2, "prior": FIELD, "samples": 2, "steps": 4}
    walk, fast = super_resolve(image, 2, mode="walk", **options), super_resolve(image, 2, **options)
    assert np.array_equal(walk.mean, fast.mean)  # a prior that is exact walks anyway


def test_the_residual_is_the_noise() -> None:
    _, image, result = trained()
    assert result.residual is not None and result.residual.shape == image.shape
    assert result.chi2 is not None and 0.6 < result.chi2 < 1.3


def test_flux_of_a_source_is_kept() -> None:
    scene, _, result = trained()
    inner = slice(8, 40)
    assert abs(result.mean[inner, inner].sum() / scene[inner, inner].sum() - 1) < 0.03


def test_prior_share_is_a_share_and_knows_where_data_are() -> None:
    scene, _, result = trained()
    share = result.prior_share
    assert share is not None
    assert ((share >= 0) & (share <= 1)).all()
    assert np.median(share[scene > 20]) < 0.5


def test_equal_seeds_give_equal_bytes_and_channels_are_their_own() -> None:
    _, image, psf = sky()
    both = np.stack([image, image[::-1]])
    options = {"psf": psf, "ivar": NOISE**-2, "prior": FIELD, "samples": 2, "steps": 4, "seed": 9}
    one, two = super_resolve(both, 2, **options), super_resolve(both, 2, **options)
    assert one.samples is not None and two.samples is not None
    assert one.samples.tobytes() == two.samples.tobytes()
    assert one.mean.shape == (2, 2 * SIDE, 2 * SIDE)
    alone = super_resolve(image, 2, **options)
    assert alone.samples is not None
    assert np.array_equal(alone.samples, one.samples[:, 0])
    other = super_resolve(both, 2, **(options | {"seed": 10}))
    assert not np.array_equal(other.mean, one.mean)


def test_exact_prior_is_covered() -> None:
    """A field drawn from the prior, seen and brought back: coverage through the whole task, margins and all."""
    rng = np.random.default_rng(2)
    big = 2 * SIDE
    unknown = torch.full((big, big), torch.inf)
    lower = np.linalg.cholesky(FIELD.posterior_covariance(unknown).numpy() + 1e-6 * np.eye(big * big))
    scene = (lower @ rng.normal(size=big * big)).reshape(big, big)
    psf = gaussian_psf(2.3, size=9)
    a = Composed(Psf(torch.from_numpy(fine_psf(psf, (2, 2))), (big, big)), Binning((SIDE, SIDE), (2, 2), mean=True))
    image = a.forward(torch.from_numpy(scene).float()).numpy() + NOISE * rng.normal(size=(SIDE, SIDE))
    mask = np.ones((SIDE, SIDE), bool)
    mask[3:-3, 3:-3] = False  # where light from beyond the edge, which was cut off above, does not reach
    result = super_resolve(
        image, 2, psf=psf, ivar=NOISE**-2, mask=mask, prior=FIELD, samples=24, steps=12, flux_mode="sb", max_fill=0.8
    )
    inner = slice(6, -6)
    pull = np.abs(result.mean - scene)[inner, inner] / result.std[inner, inner]
    assert 0.55 < (pull < 1).mean() < 0.8
    assert 0.87 < (pull < 1.96).mean() <= 1
    assert result.prior_share is not None
    assert result.prior_share[:3, :3].mean() > 1.5 * result.prior_share[inner, inner].mean()


def test_flux_modes() -> None:
    _, image, psf = sky()
    options = {"psf": psf, "ivar": NOISE**-2, "prior": FIELD, "samples": 0, "steps": 4}
    flux = super_resolve(image, 2, **options)
    light = super_resolve(image, 2, flux_mode="sb", **options)
    np.testing.assert_array_equal(flux.mean * 4, light.mean)
    np.testing.assert_array_equal(flux.std * 4, light.std)
    assert (flux.meta["flux_mode"], light.meta["flux_mode"]) == ("sum", "sb")
    np.testing.assert_array_equal(flux.residual, light.residual)


@pytest.mark.parametrize(
    ("unit", "mode"),
    [
        ("adu", "sum"), ("ELECTRONS/S", "sum"), ("nanomaggy", "sum"), ("nJy", "sum"), ("electron/s", "sum"),
        ("DN", "sum"),         ("counts", "sum"),
        ("1e-17 erg/s/cm2/Ang", "sum"), ("MJy/sr", "sb"), ("Jy/beam", "sb"), ("mag/arcsec2", "sb"),
        ("erg/s/cm2/arcsec2", "sb"),
        (None, "sum"), ("mJy", "sum"), ("uJy", "sum"),
    ],
)  # fmt: skip
def test_units_say_the_flux_mode(unit: str | None, mode: str) -> None:
    assert flux_mode_of(unit) == mode
    assert flux_mode_of(unit, "sb") == "sb"


def test_unknown_units_ask() -> None:
    _, image, psf = sky()
    held = Image(image[None], unit="ADU?", planar=True)
    with pytest.raises(InputError, match=r"BUNIT='ADU\?' unknown") as caught:
        super_resolve(held, 2, psf=psf, ivar=1.0)
    assert caught.value.code == "flux_mode"


def test_linear_in_flux() -> None:
    """A unit 1024 times smaller: the same picture."""
    _, image, psf = sky()
    options = {"psf": psf, "samples": 1, "steps": 3, "seed": 1}
    one = super_resolve(Image(image[None], origin=PLACE, planar=True), 2, ivar=NOISE**-2, **options)
    bright = Image(image[None] * 1024, origin=PLACE, planar=True)
    other = super_resolve(bright, 2, ivar=(1024 * NOISE) ** -2, **options)
    np.testing.assert_allclose(other.mean / 1024, one.mean, atol=0.02 * NOISE)


def test_scales_that_differ() -> None:
    _, image, psf = sky()
    options = {"psf": psf, "ivar": NOISE**-2, "prior": FIELD, "samples": 1, "steps": 3}
    result = super_resolve(image[:10], (3, 2), **options)
    assert result.mean.shape == (30, 2 * SIDE)
    assert result.residual is not None and result.residual.shape == (10, SIDE)


def test_masked_pixels_are_bridged_and_told() -> None:
    scene, image, psf = sky()
    mask = np.zeros(image.shape, bool)
    mask[4:6, 8:10] = True
    spoiled = image.copy()
    spoiled[4, 9] = 0
    spoiled[5, 8] = 1e7
    held = Image(spoiled[None], origin=PLACE, planar=True)
    result = super_resolve(held, 2, psf=psf, ivar=NOISE**-2, mask=mask, samples=2, steps=6)
    assert np.isfinite(result.mean).all()
    assert np.abs(result.mean - scene).max() < 100
    assert result.filled is not None and result.filled.sum() == 16
    assert result.flags is not None and ((result.flags & bits("FILLED")) != 0).sum() == 16
    assert result.residual is not None and not result.residual[mask].any()


def test_deconvolution_is_scale_one() -> None:
    _, image, psf = sky()
    options = {"ivar": NOISE**-2, "prior": FIELD, "samples": 0, "steps": 4}
    sharp = deconvolve(image, psf, **options)
    assert sharp.mean.shape == image.shape
    np.testing.assert_array_equal(sharp.mean, super_resolve(image, 1, psf=psf, **options).mean)
    assert sharp.mean.max() > image.max()


def test_a_varying_psf_and_one_per_channel() -> None:
    _, image, psf = sky()
    options = {"ivar": NOISE**-2, "prior": FIELD, "samples": 0, "steps": 3}
    one = super_resolve(image, 2, psf=psf, **options)
    grid = super_resolve(image, 2, psf=np.broadcast_to(psf, (2, 3, *psf.shape)), **options)
    np.testing.assert_allclose(grid.mean, one.mean, atol=0.1 * NOISE)
    wide = gaussian_psf(3.0, size=9)
    pair = super_resolve(np.stack([image, image]), 2, psf=np.stack([psf, wide]), **options)
    np.testing.assert_array_equal(pair.mean[0], one.mean)
    assert np.abs(pair.mean[1] - pair.mean[0]).max() > NOISE


def test_psf_on_the_fine_grid() -> None:
    _, image, psf = sky()
    options = {"ivar": NOISE**-2, "prior": FIELD, "samples": 0, "steps": 3}
    fine = super_resolve(image, 2, psf=fine_psf(psf, (2, 2)), psf_sampling=2, **options)
    np.testing.assert_allclose(fine.mean, super_resolve(image, 2, psf=psf, **options).mean, atol=0.05)
    with pytest.raises(UsageError, match="psf_sampling is 3"):
        super_resolve(image, 2, psf=psf, psf_sampling=3, **options)


def test_doubtful_psfs_are_told() -> None:
    _, image, _ = sky()
    options = {"ivar": NOISE**-2, "prior": FIELD, "samples": 0, "steps": 2}
    with pytest.warns(GencosmoWarning, match="sources will move"):
        super_resolve(image, 2, psf=np.roll(gaussian_psf(2.3, size=9), 1, axis=1), **options)
    with pytest.warns(GencosmoWarning, match="not fully known"):
        super_resolve(image, 2, psf=gaussian_psf(1.2, size=7), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error", GencosmoWarning)
        super_resolve(image, 2, psf=gaussian_psf(2.3, size=9), **options)


def test_the_domain_of_the_prior_is_that_of_the_fine_grid() -> None:
    _, image, psf = sky()
    held = Image(image[None], pixel_scale=0.03, origin=PLACE, planar=True)
    with pytest.warns(GencosmoWarning, match="pixel scale 0.015"):
        super_resolve(held, 2, psf=psf, ivar=NOISE**-2, samples=0, steps=2)


def test_faults_are_told() -> None:
    _, image, psf = sky()
    for faulty, code, options in (
        (image, "no_psf", {"ivar": 1.0}),
        (image, "no_noise", {"psf": psf}),
        (image, "bad_psf", {"psf": 2 * psf, "ivar": 1.0}),
        (image, "bad_psf", {"psf": psf[None, None, None], "ivar": 1.0}),
        (image, "bad_psf", {"psf": psf * np.nan, "ivar": 1.0}),
        (np.zeros((SIDE, SIDE)), "no_signal", {"psf": psf, "ivar": 1.0}),
    ):
        with pytest.raises(InputError) as caught:
            super_resolve(faulty, 2, **options)
        assert caught.value.code == code
    for bad in (0, 9, 2.5, "2", (2, 2, 2), True):
        with pytest.raises(UsageError) as wrong:
            super_resolve(image, bad, psf=psf, ivar=1.0)  # type: ignore[arg-type]
        assert wrong.value.code == "bad_scale"
    for options in ({"samples": -1}, {"steps": 1}, {"mode": "best"}, {"seed": -1}, {"flux_mode": "flux"}):
        with pytest.raises(UsageError):
            super_resolve(image, 2, psf=psf, ivar=1.0, **options)  # type: ignore[arg-type]


def test_progress_and_cancel() -> None:
    _, image, psf = sky()
    seen: list[tuple[int, int]] = []
    options = {"psf": psf, "ivar": NOISE**-2, "prior": FIELD, "samples": 1, "steps": 3}
    super_resolve(np.stack([image, image]), 2, progress=lambda done, total: seen.append((done, total)), **options)
    assert seen == [(n, 6) for n in range(1, 7)]
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        super_resolve(image, 2, cancel=stop, **options)


def test_the_door() -> None:
    assert gencosmo.super_resolve is super_resolve
    assert gencosmo.deconvolve is deconvolve
