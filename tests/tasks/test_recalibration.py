"""Spreads measured on the image itself: right where the prior is right, corrected where it is not, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from scipy import ndimage
from typer.testing import CliRunner

from gencosmo import inpaint
from gencosmo.batch import Job, process_file
from gencosmo.batch.spreads import Spreads
from gencosmo.cli import app
from gencosmo.image import Image, as_image
from gencosmo.io.fits_write import WriteOptions
from gencosmo.io.stack_options import StackRead
from gencosmo.priors.gaussian import GaussianPrior
from gencosmo.sampling import Posterior
from gencosmo.tasks import recalibration
from gencosmo.tasks.prepared import prepare
from gencosmo.tasks.recalibration import DOUBT, MOST, Recalibration, corrected, recalibrate
from gencosmo.tasks.shares import LEAST, NO_SHARES, Hidden, Shares, fit_shares
from gencosmo.windows import Canvas
from tests.io.stacks import mask_file, zarr_file
from tests.tasks.test_inpaint import Float, frame, holes

tasks_inpaint = import_module("gencosmo.tasks.inpaint")
NORMAL = {0.68: 0.9945, 0.95: 1.96}
zarr = pytest.importorskip("zarr")


class Boastful(GaussianPrior):
    """States a third of its standard deviations."""

    def denoise_(self, canvas, plan, world) -> None:
        super().denoise_(canvas, plan, world)
        canvas.var /= 9


def field(prior: GaussianPrior, channels: int = 4, side: int = 48) -> Image:
    """Draws of a prior, with a scaling that leaves them as they are."""
    blank = [torch.zeros(side, side)] * channels
    canvas = Canvas.from_planes(blank, blank, seeds=list(range(channels)))
    prior.generate_(canvas, "frame")
    data = np.stack([canvas.plane("z", channel).numpy() for channel in range(channels)])
    mask = np.random.default_rng(3).random(data.shape) < 0.08
    return as_image(data, mask).replace(meta={"scaling": [(0.0, 1.0)] * channels})


@pytest.mark.parametrize(("kind", "expected"), [(GaussianPrior, 1.0), (Boastful, 3.0)])
def test_factors_are_those_of_the_prior(kind, expected: float) -> None:
    prior = kind.exponential(variance=4.0, length=3.0)
    found = recalibrate(prepare(field(prior), "frame", seed=0, device="cpu"), prior, NORMAL)
    assert found is not None and found.pixels > 1500
    trust = found.pixels / len(found.factors) / (found.pixels / len(found.factors) + DOUBT)
    assert np.allclose(np.log(found.factors) / trust, np.log(expected), atol=0.12), found
    # what the factors leave out of doubt, the widths hold
    mean = np.exp(np.mean(np.log(found.factors)))
    assert np.allclose(mean * np.array(list(found.widths.values())), expected, rtol=0.06), found


def hidden(pull: Float, base: float = 0.0, smooth: float = 0.0) -> Hidden:
    """Predictions of 0 with a standard deviation of 1 that miss by `pull`; surfaces at multiples of a fixed draw."""
    other = np.random.default_rng(9).standard_normal(pull.size)
    nothing, one = np.zeros(pull.size), np.ones(pull.size)
    return Hidden(mean=nothing, std=one, base=base * other, smooth=smooth * other[::-1], truth=pull)


def test_intervals_hold_what_they_say_of_the_deviations_they_are_fitted_to() -> None:
    pulls = [scale * np.random.default_rng(0).laplace(size=40_000) for scale in (0.4, 1.7)]
    found = recalibration._fitted([hidden(pull) for pull in pulls], [NO_SHARES] * 2, NORMAL)
    for pull, factor in zip(pulls, found.factors, strict=True):
        assert np.std(pull) / factor == pytest.approx(1, abs=0.02)
        for level, width in NORMAL.items():
            assert np.mean(np.abs(pull) < factor * width * found.widths[level]) == pytest.approx(level, abs=0.01)


def test_one_star_is_not_the_image() -> None:
    calm = np.random.default_rng(1).standard_normal(2000)
    spreads = [recalibration._spread(pull) for pull in (calm, np.append(calm, 1e6))]
    assert spreads[1] == pytest.approx(spreads[0], rel=0.01)


@pytest.mark.parametrize("share", [(0.0, 0.0), (0.3, 0.0), (0.2, 0.5), (-0.4, 0.3), (0.8, 0.9)])
def test_shares_are_those_by_which_the_means_miss(share: tuple[float, float]) -> None:
    one = hidden(np.zeros(80_000), base=2.0, smooth=3.0)
    noise = 0.5 * np.random.default_rng(2).standard_normal(80_000)
    found = fit_shares(replace(one, truth=share[0] * one.base + share[1] * one.smooth + noise)).sure
    assert min(found) >= 0 and sum(found) <= 1 + 1e-12
    if min(share) >= 0 and sum(share) <= 1:
        assert np.allclose(found, share, atol=0.02)
    elif min(share) < 0:
        assert found == pytest.approx((0, share[1]), abs=0.02)


def test_sure_and_unsure_pixels_have_shares_of_their_own() -> None:
    one = hidden(np.zeros(60_000), base=2.0)
    unsure = np.arange(60_000) % 3 == 0
    one = replace(one, std=np.where(unsure, 4.0, 1.0), truth=np.where(unsure, 0.1, 0.7) * one.base)
    found = fit_shares(one)
    assert found.ends == (1, 4, 4)
    assert found.sure[0] == pytest.approx(0.7, abs=0.02) and found.unsure[0] == pytest.approx(0.1, abs=0.02)
    rows = (torch.from_numpy(row) for row in (one.mean, one.std, one.base, one.smooth))
    assert np.sqrt(np.mean((found.moved(*rows).numpy() - one.truth) ** 2)) < 0.05


def test_beyond_all_that_was_seen_shares_fall() -> None:
    told = Shares((0.5, 0.0), (0.5, 0.0), (1.0, 2.0, 4.0))
    std = torch.tensor([1.0, 4.0, 8.0, 40.0])
    found = told.moved(torch.zeros(4), std, torch.full((4,), 16.0), torch.zeros(4))
    assert found.tolist() == pytest.approx([8, 8, 2, 0.08])


def test_few_pixels_and_surfaces_that_are_not_there_move_no_mean() -> None:
    one = hidden(np.full(2000, 3.0))
    assert fit_shares(replace(one, base=np.full(2000, np.nan))).told() == [0, 0, 0, 0]
    assert fit_shares(hidden(np.ones(LEAST - 1), base=1.0, smooth=1.0)) is NO_SHARES
    assert fit_shares(replace(one, std=np.zeros(2000))) is NO_SHARES


def test_hidden_truth_decides_how_much_of_a_surface_is_taken() -> None:
    """A canvas whose mean is 1 off and whose surface is right: the correction goes there, and nowhere else."""
    values, levels = torch.zeros(4, 4), torch.zeros(4, 4)
    levels[1, 2] = torch.inf
    canvas = Canvas.from_planes([values], [levels], seeds=[0])
    canvas.plane("base", 0).fill_(5.0)
    mean, std = torch.ones(canvas.size), torch.where(canvas.sigma_obs.isinf(), 2.0, 0.0)
    told = Recalibration((Shares((0.25, 0.0), (0.5, 0.0), (2.0, 4.0, 8.0)),), (3.0,), {0.68: 1.0}, 100)
    after = corrected(Posterior(mean, std, None, 1), canvas, told)
    assert after.mean.view(4, 4)[1, 2] == 2 and after.std.view(4, 4)[1, 2] == 6
    assert (after.mean == 1).sum() == 15 and (after.std == 0).sum() == 15


def test_hidden_pixels_are_good_ones_in_the_shapes_of_the_holes() -> None:
    mask = np.zeros((60, 80), bool)
    mask[20:26, 40:43], mask[:, 70] = True, True
    chosen = recalibration._moved(mask)
    assert not (chosen & mask).any() and chosen.any()
    sizes = {cut[0].stop - cut[0].start for cut in ndimage.find_objects(ndimage.label(chosen)[0])}
    assert sizes == {6, 60}
    dense = np.random.default_rng(0).random((64, 64)) < 0.35
    assert np.count_nonzero(recalibration._moved(dense) | dense) <= MOST * dense.size


def test_pieces_lie_where_the_holes_are() -> None:
    mask = np.zeros((1000, 700), bool)
    mask[900, 650] = True
    ((rows, cols),) = recalibration._pieces(mask, 4)
    assert rows.stop == 1000 and cols.stop == 700
    mask[::50, ::50] = True
    boxes = recalibration._pieces(mask, 4)
    assert len(boxes) == 4 and all(mask[box].any() for box in boxes)
    assert recalibration._pieces(np.zeros((9, 9), bool), 4) == []


def test_good_pixels_stay_and_the_provenance_tells_what_changed() -> None:
    image, mask = frame(), holes()
    own, plain = inpaint(image, mask), inpaint(image, mask, recalibrate=False)
    assert np.array_equal(own.mean[~mask], image[~mask]) and (own.std[~mask] == 0).all()
    (factor,), (shares,) = own.provenance["std_factors"], own.provenance["surface_shares"]
    assert own.provenance["recalibration_pixels"] >= LEAST and factor != 1
    assert np.allclose(own.std, factor * plain.std, rtol=1e-6)
    assert (own.mean.tobytes() == plain.mean.tobytes()) == (not any(shares))
    assert "std_factors" not in plain.provenance
    assert own.quantiles[0.68] != plain.quantiles[0.68]
    assert own.std.tobytes() == inpaint(image, mask).std.tobytes()


def test_two_channels_have_factors_of_their_own() -> None:
    calm, mask = frame(), holes()
    smooth = ndimage.gaussian_filter(calm, 2.0)
    result = inpaint(np.stack([calm, smooth]), np.stack([mask, mask]))
    first, second = result.provenance["std_factors"]
    assert first != second and result.std.shape == (2, 80, 80)


@pytest.mark.parametrize("options", [{}, {"samples": 2, "steps": 2}])
def test_scenes_keep_the_calibration_of_the_prior(options) -> None:
    image, mask = frame(), holes()
    own, plain = (inpaint(image, mask, recalibrate=on, target="scene", ivar=1 / 49, **options) for on in (True, False))
    assert own.std.tobytes() == plain.std.tobytes() and own.quantiles == plain.quantiles


@pytest.mark.parametrize("count", [1, 3])
def test_mean_and_spread_are_those_of_one_pass_beside_samples_too(count, monkeypatch) -> None:
    monkeypatch.setattr("gencosmo.sampling.posterior.predict", None)  # the pass is made once
    image, mask = np.stack([frame(), ndimage.gaussian_filter(frame(), 1.0)]), holes()
    once, before = (inpaint(image, mask, recalibrate=on) for on in (True, False))
    own, plain = (inpaint(image, mask, recalibrate=on, samples=count, steps=3) for on in (True, False))
    assert own.provenance["std_factors"] == once.provenance["std_factors"] and own.quantiles == once.quantiles
    assert np.array_equal(own.mean, once.mean) and np.array_equal(own.std, once.std)
    assert np.array_equal(plain.mean, before.mean) and np.array_equal(plain.std, before.std)
    assert own.samples.shape == (count, *image.shape) and np.array_equal(own.samples, plain.samples)
    assert (own.samples == image)[:, :, ~mask].all() and (own.samples != own.mean)[:, :, mask].any()


def test_few_holes_tell_nothing() -> None:
    image, mask = frame(), np.zeros((80, 80), bool)
    mask[30, 30] = True
    result = inpaint(image, mask)
    assert "std_factors" not in result.provenance and result.std[30, 30] > 0


def test_a_surface_is_taken_where_the_prior_knows_less() -> None:
    """Smooth beyond what any frame is: there the surfaces are right, and the network adds its own."""
    rows, cols = np.indices((200, 200)) / 40
    noise = 0.02 * np.random.default_rng(0).standard_normal(rows.shape)
    truth = (1e3 + 300 * np.sin(rows) * np.cos(cols) + noise).astype(np.float32)
    mask = ndimage.binary_dilation(np.random.default_rng(4).random(truth.shape) < 0.003, iterations=2)
    found = (inpaint(np.where(mask, np.float32(0), truth), mask, recalibrate=on) for on in (False, True))
    before, after = (np.abs(result.mean - truth)[mask] for result in found)
    assert np.median(after) < 0.9 * np.median(before)
    assert np.sqrt(np.mean(after**2)) < 0.95 * np.sqrt(np.mean(before**2))


def test_intervals_hold_on_an_image_that_the_prior_misjudges() -> None:
    """Noise that was smoothed by a drizzle with large drops; the truth under the holes is known here."""
    rng = np.random.default_rng(5)
    truth = 100 + ndimage.gaussian_filter(rng.standard_normal((300, 300)), 1.6).astype(np.float32) * 40
    mask = ndimage.binary_dilation(rng.random(truth.shape) < 0.004, iterations=2)
    off = []
    for on in (False, True):
        result = inpaint(np.where(mask, np.float32(0), truth), mask, recalibrate=on)
        low, high = result.interval(0.68)
        off.append(abs(np.mean(((low < truth) & (truth < high))[mask]) - 0.68))
    assert off[1] < 0.02 < off[0], off


def test_a_block_is_told_what_its_plane_tells() -> None:
    image = as_image(frame(), holes())
    told = Recalibration((NO_SHARES,), (2.0,), {0.68: 1.0, 0.95: 1.5}, 500)
    plain = inpaint(image, recalibrate=False)
    block = inpaint(image.replace(meta={"core": np.s_[:, :, :], "recalibration": told}))
    assert np.allclose(block.std, 2 * plain.std) and block.quantiles[0.95] == 1.5 * plain.quantiles[0.95]
    untold = inpaint(image.replace(meta={"core": np.s_[:, :, :]}))
    assert untold.std.tobytes() == plain.std.tobytes()


def test_all_blocks_of_a_plane_have_one_factor(tmp_path, monkeypatch) -> None:
    for word, value in (("WHOLE", 1000), ("BLOCK", 64), ("MARGIN", 32)):
        monkeypatch.setattr(f"gencosmo.io.blocks.{word}", value)
    array, mask = frame(160), holes(160)
    path = zarr_file(tmp_path / "in.zarr", array, "YX", chunks=(64, 64))
    spreads = []
    for on in (True, False):
        out = tmp_path / f"{on}.zarr"
        read = StackRead(mask=mask_file(tmp_path, mask))
        process_file(path, out, recalibrate=on, read=read, write=WriteOptions(floating=True))
        group = zarr.open_group(out, mode="r")
        spreads.append(group["gcm_std/s0"][...])
    ratio = spreads[0][mask] / spreads[1][mask]
    assert np.ptp(ratio) < 1e-5 and abs(ratio[0] - 1) > 1e-3
    assert Job().digest() != Job(recalibrate=False).digest()


def test_blocks_are_told_what_the_fullest_says_whichever_comes_first(monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(tasks_inpaint, "recalibration_of", lambda image, prior, **how: asked.append(image) or "told")
    images = {name: as_image(frame()).replace(meta={"core": np.s_[:, :, :], "name": name}) for name in "abc"}

    class Session:
        name = staticmethod(lambda unit: "plane")
        densest = staticmethod(lambda unit: "b")
        read = staticmethod(images.__getitem__)

    for first in ("a", "b"):
        spreads = Spreads(Session(), Job())
        told = [spreads.told(unit, images[unit]).meta["recalibration"] for unit in (first, "c")]
        assert told == ["told", "told"]
    assert [image.meta["name"] for image in asked] == ["b", "b"]
    assert "recalibration" not in Spreads(Session(), Job(recalibrate=False)).told("a", images["a"]).meta


def test_many_channels_share_the_pieces(monkeypatch) -> None:
    """What it costs does not grow with the channels of an image beyond one piece of each."""
    planes = []
    monkeypatch.setattr(recalibration, "_answers", lambda canvas, *_: planes.append(len(canvas.layout)) or 1 / 0)
    for channels in (1, 2, 6):
        mask = np.broadcast_to(np.random.default_rng(0).random((520, 520)) < 0.05, (channels, 520, 520))
        prepared = prepare(as_image(np.stack([frame(520)] * channels), mask), "frame", seed=0, device="cpu")
        with pytest.raises(ZeroDivisionError):
            recalibrate(prepared, GaussianPrior.exponential(), NORMAL)
    assert planes == [4, 4, 6]


def test_the_command_writes_the_factor(tmp_path) -> None:
    from astropy.io import fits

    image, mask = frame(), holes()
    fits.writeto(tmp_path / "in.fits", np.where(mask, np.float32(np.nan), image))
    factors = []
    for word in ("--recalibrate", "--no-recalibrate"):
        out = tmp_path / f"{word}.fits"
        done = CliRunner().invoke(app, ["inpaint", str(tmp_path / "in.fits"), "-o", str(out), word])
        assert done.exit_code == 0, done.output
        factors.append(fits.getdata(out, "GCM_PROV")["GCMSTDF"][0])
    (factor,) = inpaint(np.where(mask, np.float32(np.nan), image)).provenance["std_factors"]
    assert factors == [f"{factor:.3f}", ""]
