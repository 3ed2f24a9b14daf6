"""Denoised FITS files: every pixel an estimate, everything else of the file kept, the noise asked for."""

import os

import numpy as np
import pytest
from astropy.io import fits

import gencosmo
from gencosmo.batch import OPS, Job, process_file, process_files
from gencosmo.errors import InputError, UsageError
from gencosmo.flags import bits
from gencosmo.image import as_image
from gencosmo.io.camera import Camera
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions
from gencosmo.result import Result

from .io.files import SHAPE, decam_files, holes, lsst_file, plain_file, sha, sip_header, sky, stsci_file, write
from .stand_in import biharmonic

SPREAD, LIGHT = 1.5, 7.25


def halved(image, job, seed, hooks):
    """Half of what was seen, `LIGHT` in holes, samples a unit apart."""
    mask = image.mask
    mean = np.where(mask, np.float32(LIGHT), image.data / 2)
    draws = mean[None] + np.arange(job.samples, dtype=np.float32)[:, None, None, None]
    return Result(
        image.restore(mean),
        image.restore(np.full_like(mean, SPREAD)),
        samples=image.restore(draws) if job.samples else None,
        filled=image.restore(mask),
        flags=image.restore(image.flags | np.where(mask, np.uint32(bits("FILLED")), np.uint32(0))),
        target="scene",
        unit=image.unit,
        provenance={"prior": "halved"},
    )


@pytest.fixture(autouse=True)
def _stand_in(monkeypatch):
    monkeypatch.setitem(OPS, "denoise", halved)
    monkeypatch.setitem(OPS, "inpaint", biharmonic)
    monkeypatch.setattr("gencosmo.batch.job.prior_identity", str)


def run(path, out, *, camera=None, **words):
    return process_file(path, out, op="denoise", read=ReadOptions(camera=camera), **words)


def sound(path):
    """The HDUs of an output whose headers and checksums astropy accepts."""
    with fits.open(path, checksum=True) as hdus:
        hdus.verify("exception")
    return fits.open(path)


def counts_file(path, **cards):
    header = sip_header()
    header["BUNIT"] = "adu"
    header.update(cards)
    return plain_file(path, sky(dtype=np.int16), header)


def test_every_pixel_is_an_estimate_and_the_rest_of_the_file_stays(tmp_path):
    path = stsci_file(tmp_path / "a.fits", versions=2)
    report = run(path, tmp_path / "b.fits", samples=2, write=WriteOptions(samples=True))
    assert report.status == "done" and report.filled == 2 * np.prod(SHAPE)
    before = fits.open(path)
    with sound(tmp_path / "b.fits") as after:
        for version in (1, 2):
            mask, stored = holes(seed=version), before["SCI", version].data
            wanted = np.where(mask, np.float32(LIGHT), stored / 2)
            got = after["SCI", version]
            assert np.array_equal(got.data, wanted) and got.data.dtype == ">f4"
            for key in ("CRPIX1", "CD1_1", "A_2_0", "BUNIT", "LONGTEXT", "DATE-OBS"):
                assert got.header[key] == before["SCI", version].header[key]
            assert any("denoise: 2240 px by halved" in line for line in got.header["HISTORY"])
            assert (after["ERR", version].data == np.float32(SPREAD)).all()
            spread = after["GCM_STD", version]
            assert (spread.data == np.float32(SPREAD)).all() and spread.header["GCMTARG"] == "scene"
            assert spread.header["BUNIT"] == "electron/s"
            assert np.array_equal(after["GCM_FILL", version].data, mask)
            estimated = after["DQ", version].data & (1 << 28)
            assert np.array_equal(estimated != 0, mask), "only filled pixels carry the survey's bit"
            assert after["GCM_SAMP", version].data.shape == (2, *SHAPE)
            assert np.array_equal(after["GCM_SAMP", version].data[1], wanted + 1)
        assert np.array_equal(after["CAT"].data["x"], before["CAT"].data["x"])
        (first, second) = after["GCM_PROV"].data
        assert (first["GCMOP"], first["GCMTARG"], first["GCMNFILL"]) == ("denoise", "scene", "2240")
        assert first["GCMPSEED"] != second["GCMPSEED"]
    assert sorted(os.listdir(tmp_path)) == ["a.fits", "b.fits"]


def test_integers_become_floats_and_blank_is_filled(tmp_path):
    data = sky(dtype=np.int16)
    data[4, 5] = -32768
    hdu = fits.PrimaryHDU(data)
    hdu.header["BLANK"], hdu.header["BUNIT"] = -32768, "adu"
    report = run(write(tmp_path / "a.fits", hdu), tmp_path / "b.fits", camera=Camera(std=5.0))
    assert report.planes[0]["masked"] == 1 and report.planes[0]["noise"] == "5 for every pixel"
    with sound(tmp_path / "b.fits") as hdus:
        got = hdus[0]
        assert got.data.dtype == ">f4" and "BLANK" not in got.header and "BZERO" not in got.header
        wanted = (data / np.float32(2)).astype(np.float32)
        wanted[4, 5] = LIGHT
        assert np.array_equal(got.data, wanted)
        assert hdus["GCM_FILL"].data.sum() == 1
        assert hdus["GCM_PROV"].data["GCMNOISE"][0] == "told, std 5"


def test_reference_pixels_and_empty_planes_stay(tmp_path):
    path = stsci_file(tmp_path / "a.fits")
    with fits.open(path, mode="update") as hdus:
        hdus["DQ"].data[:4] = 1 << 31
        hdus["DQ"].data[:4, 17] |= 1
    run(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert np.array_equal(hdus["SCI"].data[:4], fits.getdata(path, "SCI")[:4])
        assert (hdus["GCM_STD"].data[:4] == 0).all() and (hdus["ERR"].data[:4] == 5).all()
        assert (hdus["GCM_STD"].data[4:] == np.float32(SPREAD)).all()
    cube = np.stack([sky(seed=k) for k in range(3)])
    cube[1], cube[2, 3, 4] = np.nan, np.nan
    report = run(plain_file(tmp_path / "c.fits", cube), tmp_path / "d.fits", camera=Camera(std=5.0))
    assert report.filled == 2 * np.prod(SHAPE) and "empty_planes" in {entry["code"] for entry in report.warnings}
    with sound(tmp_path / "d.fits") as hdus:
        got, std, fill = hdus[0].data, hdus["GCM_STD"].data, hdus["GCM_FILL"].data
        assert np.isnan(got[1]).all() and (std[1] == 0).all()
        assert np.array_equal(got[0], cube[0] / 2) and got[2, 3, 4] == LIGHT and (std[[0, 2]] == SPREAD).all()
        assert fill.sum() == 1 and fill[2, 3, 4] == 1


def test_variances_and_masks_of_a_survey_are_kept_up(tmp_path):
    path = lsst_file(tmp_path / "a.fits")
    run(path, tmp_path / "b.fits")
    with sound(tmp_path / "b.fits") as hdus:
        assert np.allclose(hdus["VARIANCE"].data, SPREAD**2)
        changed = hdus["MASK"].data != fits.getdata(path, "MASK")
        assert np.array_equal(changed, hdus["GCM_FILL"].data != 0) and changed.sum() == 19
    os.mkdir(tmp_path / "in")
    os.mkdir(tmp_path / "out")
    image = decam_files(tmp_path / "in")
    report = run(image, tmp_path / "out" / os.path.basename(image))
    assert {entry["code"] for entry in report.warnings} == {"companion"}
    weight = fits.getdata(tmp_path / "out" / "c4d_1_oow_z.fits", 1)
    assert np.allclose(weight, SPREAD**-2)


def test_variances_by_cause_keep_their_shares(tmp_path):
    path = stsci_file(tmp_path / "a.fits")
    with fits.open(path, mode="update") as hdus:
        for name, value in (("VAR_POISSON", 20), ("VAR_RNOISE", 5)):
            hdus.append(fits.ImageHDU(np.full(SHAPE, value, np.float32), name=name))
    run(path, tmp_path / "b.fits")
    with fits.open(tmp_path / "b.fits") as hdus:
        assert np.allclose(hdus["VAR_POISSON"].data, 0.8 * SPREAD**2)
        assert np.allclose(hdus["VAR_RNOISE"].data, 0.2 * SPREAD**2)


def test_compressed_files_come_back_without_loss(tmp_path):
    path = stsci_file(tmp_path / "a.fits.fz", compressed=True)
    (report,) = process_files([path], tmp_path / "out", job=Job(op="denoise"))
    assert os.path.basename(report.out) == "a.fits" and "lossless" in {entry["code"] for entry in report.warnings}
    with sound(report.out) as hdus:
        assert hdus["SCI"].header["BUNIT"] == "electron/s"
        assert np.array_equal(hdus["SCI"].data, np.where(holes(seed=1), LIGHT, fits.getdata(path, "SCI") / 2))


@pytest.mark.parametrize("dry_run", [True, False])
def test_the_noise_must_be_known(tmp_path, dry_run):
    path = plain_file(tmp_path / "a.fits")
    with pytest.raises(InputError, match="noise of the pixels is not known") as caught:
        run(path, tmp_path / "b.fits", dry_run=dry_run)
    assert caught.value.code == "no_noise"
    for words in ("--noise NUMBER", "--noise estimate", "--gain", "--ivar FILE", "--weight-type rms"):
        assert words in caught.value.hint
    assert os.listdir(tmp_path) == ["a.fits"]


def test_the_camera_of_the_header_and_of_the_options(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setitem(OPS, "denoise", lambda image, *rest: seen.append(image) or halved(image, *rest))
    path = counts_file(tmp_path / "a.fits", GAIN=4.0, RDNOISE=2.0)
    report = run(path, tmp_path / "b.fits", camera=Camera(source="file"))
    assert report.planes[0]["noise"] == "gain 4, read noise 2, offset 0 (file)"
    assert [entry["code"] for entry in report.warnings] == ["offset"]
    level = np.median(seen[-1].data)
    assert np.median(seen[-1].ivar ** -0.5) == pytest.approx(np.sqrt(level / 4 + 0.25), rel=0.02)
    run(path, tmp_path / "c.fits", camera=Camera(source="estimate"))
    assert np.median(seen[-1].ivar ** -0.5) == pytest.approx(5, rel=0.2)
    report = run(path, tmp_path / "d.fits", camera=Camera(200.0, 0.0, 1.0))
    (told,) = report.warnings
    assert told["code"] == "noise_doubt" and "6.5 times" in told["message"]
    electrons = counts_file(tmp_path / "e.fits", BUNIT="electron", GAIN=4.0, RDNOISE=2.0)
    run(electrons, tmp_path / "f.fits", camera=Camera(offset=0.0, source="file"))
    assert np.median(seen[-1].ivar ** -0.5) == pytest.approx(np.sqrt(level + 4), rel=0.02)


@pytest.mark.parametrize(
    ("cards", "words"),
    [
        ({"BUNIT": "electron/s", "GAIN": 4.0, "RDNOISE": 2.0}, "the unit of the image is 'electron/s'"),
        ({"RDNOISE": 2.0}, "does not say the GAIN"),
        ({"GAIN": 2.0}, "does not say the RDNOISE"),
    ],
)
def test_headers_that_do_not_say_it(tmp_path, cards, words):
    path = counts_file(tmp_path / "a.fits", **cards)
    with pytest.raises(InputError, match=words) as caught:
        run(path, tmp_path / "b.fits", camera=Camera(source="file"))
    assert caught.value.code == "no_noise" and "--noise" in caught.value.hint
    assert os.listdir(tmp_path) == ["a.fits"]


def test_a_pixel_has_one_noise(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    ivar = plain_file(tmp_path / "w.fits", np.full(SHAPE, 0.04, np.float32))
    with pytest.raises(UsageError, match="are both given"):
        process_file(path, tmp_path / "b.fits", op="denoise", read=ReadOptions(ivar=ivar, camera=Camera(std=3.0)))
    report = process_file(path, tmp_path / "b.fits", op="denoise", read=ReadOptions(ivar=ivar))
    assert report.planes[0]["noise"] == "ivar" and (fits.getdata(ivar) == np.float32(0.04)).all()


def test_resume_overwrite_and_many_files(tmp_path):
    path, out = stsci_file(tmp_path / "a.fits"), tmp_path / "b.fits"
    run(path, out)
    before = sha(out)
    with pytest.raises(UsageError) as caught:
        run(path, out)
    assert caught.value.code == "exists"
    assert run(path, out, resume=True).status == "skipped" and sha(out) == before
    for other in ({"seed": 1}, {"camera": Camera(std=2.0)}, {"passes": 2}):
        with pytest.raises(UsageError, match="is not this job's output"):
            run(path, out, resume=True, **other)
    assert run(path, out, seed=1, write=WriteOptions(overwrite=True)).status == "done" and sha(out) != before
    bare = plain_file(tmp_path / "bare.fits")
    job = Job(op="denoise")
    reports = process_files([path, bare], tmp_path / "out", job=job)
    assert [report.status for report in reports] == ["done", "failed"] and reports[1].error.code == "no_noise"
    assert os.listdir(tmp_path / "out") == ["a.fits"]
    assert process_files([path], tmp_path / "out", job=job, resume=True)[0].status == "skipped"


def test_the_same_seed_gives_the_same_bytes_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    path, dated = stsci_file(tmp_path / "a.fits", versions=2), WriteOptions(date="2026-01-02T03:04:05")
    for name in "bc":
        run(path, tmp_path / f"{name}.fits", write=dated)
    assert sha(tmp_path / "b.fits") == sha(tmp_path / "c.fits")
    made = []

    def broken(image, *rest):
        made.append(halved(image, *rest))
        if len(made) == 2:
            made[1].mean[0, 0] = np.inf
        return made[-1]

    monkeypatch.setitem(OPS, "denoise", broken)
    with pytest.raises(InputError, match="1 of 2240 pixels came out non-finite"):
        run(path, tmp_path / "d.fits")
    assert sorted(os.listdir(tmp_path)) == ["a.fits", "b.fits", "c.fits"]


def test_results_wait_on_disk_without_a_name(tmp_path, monkeypatch):
    kept = []
    from gencosmo.io import fits_session

    keep = fits_session.keep_filled
    monkeypatch.setattr(fits_session, "keep_filled", lambda *a, **k: kept.append(keep(*a, **k)) or kept[-1])
    run(stsci_file(tmp_path / "a.fits"), tmp_path / "b.fits", samples=2, write=WriteOptions(samples=True))
    (item,) = kept
    assert all(isinstance(array, np.memmap) for array in (item.mean, item.std, item.kinds, item.samples))
    assert item.places == slice(None)


def test_what_was_filled_before_is_still_told_and_twice_is_warned_of(tmp_path):
    data = sky()
    data[3:6, 7:9] = np.nan
    process_file(plain_file(tmp_path / "a.fits", data), tmp_path / "b.fits")
    report = run(tmp_path / "b.fits", tmp_path / "c.fits", camera=Camera(std=5.0))
    assert report.warnings == []
    with fits.open(tmp_path / "c.fits") as hdus:
        assert np.array_equal(hdus["GCM_FILL"].data == 1, np.isnan(data))
        assert [row["GCMOP"] for row in hdus["GCM_PROV"].data] == ["inpaint", "denoise"]
        assert (hdus["GCM_STD"].data == np.float32(SPREAD)).all()
    report = run(tmp_path / "c.fits", tmp_path / "d.fits", camera=Camera(std=5.0))
    assert [entry["code"] for entry in report.warnings] == ["denoised"]


def test_a_result_is_written_whole_into_a_copy(tmp_path):
    path = stsci_file(tmp_path / "a.fits")
    image = gencosmo.read(path)
    result = halved(image, Job(op="denoise"), 0, None)
    gencosmo.write(tmp_path / "b.fits", result, like=path, image=image)
    with sound(tmp_path / "b.fits") as hdus:
        assert np.array_equal(hdus["SCI"].data, result.mean) and (hdus["GCM_STD"].data == np.float32(SPREAD)).all()


class TestPasses:
    """With the task itself, and `gencosmo.denoise` replaced by one that remembers the noise it was told."""

    @pytest.fixture(autouse=True)
    def _task(self, monkeypatch):
        from gencosmo.batch.job import _denoise

        self.asked = []
        monkeypatch.setitem(OPS, "denoise", _denoise)
        monkeypatch.setattr(
            "gencosmo.tasks.inpaint.denoise",
            lambda image, **words: self.asked.append(image) or halved(image, Job(), 0, None),
        )

    def test_the_second_takes_the_variance_at_the_light_of_the_first(self, tmp_path):
        path, camera = counts_file(tmp_path / "a.fits"), Camera(2.0, 1.0, 3.0)
        run(path, tmp_path / "b.fits", camera=camera)
        assert len(self.asked) == 1
        run(path, tmp_path / "c.fits", camera=camera, passes=2)
        _, first, second = self.asked
        light = np.maximum(first.data / 2 - 1, 0)
        assert np.allclose(1 / second.ivar, light / 2 + (3 / 2) ** 2, rtol=1e-5)
        assert np.array_equal(first.ivar, self.asked[0].ivar) and not np.allclose(first.ivar, second.ivar)
        with fits.open(tmp_path / "c.fits") as hdus:
            assert hdus["GCM_PROV"].data["GCMPASS"][0] == "2"

    def test_of_a_block_only_the_part_that_counts(self, tmp_path):
        from gencosmo.batch.job import _seen_again
        from gencosmo.photon import PhotonNoise, with_noise

        law = PhotonNoise(0.5, 2.0)
        image = with_noise(as_image(sky(), np.zeros(SHAPE, bool)), law)
        image = image.replace(meta={"laws": (law,), "core": np.s_[:, 8:20, 8:20]})
        again = _seen_again(image, halved(image, Job(), 0, None)).ivar
        inside = np.zeros(again.shape, bool)
        inside[:, 8:20, 8:20] = True
        assert np.allclose(1 / again[inside], image.data[inside] / 4 + 2, rtol=1e-5)
        assert np.array_equal(again[~inside], image.ivar[~inside])

    def test_noise_told_pixel_by_pixel_has_no_second(self, tmp_path):
        for path, camera in ((stsci_file(tmp_path / "a.fits"), None), (plain_file(tmp_path / "p.fits"), Camera(std=2))):
            with pytest.raises(UsageError, match="a second pass needs the law of the camera") as caught:
                run(path, tmp_path / "b.fits", camera=camera, passes=2)
            assert caught.value.code == "bad_noise"
        with pytest.raises(UsageError, match="passes is 0, expected a whole number from 1 to 8"):
            Job(op="denoise", passes=0)
