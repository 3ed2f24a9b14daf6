import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from astropy.io import fits

from gencosmo.batch import Hooks, Job, output_path, process_file, process_files, run_file
from gencosmo.batch.job import plane_seed
from gencosmo.errors import Cancelled, InputError, PriorError, UsageError
from gencosmo.image import as_image
from gencosmo.io.fits import ReadOptions
from gencosmo.io.fits_write import WriteOptions

from .io.files import SHAPE, damaged, holes, lsst_file, plain_file, sha, sky, stsci_file
from .stand_in import stand_in  # noqa: F401

pytestmark = pytest.mark.usefixtures("stand_in")
DATED = WriteOptions(date="2026-01-02T03:04:05")


def test_one_file(tmp_path):
    path = stsci_file(tmp_path / "a.fits", versions=2)
    report = process_file(path, tmp_path / "b.fits", seed=3)
    assert (report.status, report.profile) == ("done", "stsci")
    assert report.filled == holes(seed=1).sum() + holes(seed=2).sum()
    assert [plane["masked"] for plane in report.planes] == [holes(seed=1).sum(), holes(seed=2).sum()]
    with fits.open(tmp_path / "b.fits") as hdus:
        row = hdus["GCM_PROV"].data[0]
        assert (row["GCMOP"], row["GCMMODEL"], row["GCMSEED"]) == ("inpaint", "stand-in", "3")
        assert row["GCMPARNT"] == sha(path)
        seeds = hdus["GCM_PROV"].data["GCMPSEED"]
        assert seeds[0] != seeds[1], "planes do not share noise"


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path):
    path = damaged(tmp_path / "a.fits")
    for name, seed in (("b", 0), ("c", 0), ("d", 1)):
        process_file(path, tmp_path / f"{name}.fits", seed=seed, write=DATED)
    assert sha(tmp_path / "b.fits") == sha(tmp_path / "c.fits")
    data = [fits.getdata(tmp_path / f"{name}.fits") for name in "bd"]
    assert (data[0] != data[1])[np.isnan(fits.getdata(path))].all()


def test_the_seed_of_a_plane_depends_on_pixels_and_flags_only():
    image = as_image(sky(), holes())
    assert plane_seed(0, image) == plane_seed(0, image.replace(unit="adu", meta={"path": "x"}))
    others = {
        plane_seed(1, image),
        plane_seed(0, as_image(sky(seed=1), holes())),
        plane_seed(0, as_image(sky())),
    }
    assert plane_seed(0, image) not in others
    assert 0 <= plane_seed(0, image) < 2**63


def test_nothing_masked_is_a_copy(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    report = process_file(path, tmp_path / "b.fits")
    assert report.status == "copied"
    assert sha(path) == sha(tmp_path / "b.fits")
    (told,) = report.warnings
    assert told["code"] == "nothing_to_fill"
    assert "nothing to fill (0 masked pixels)" in told["message"]


@pytest.mark.parametrize("masked", [True, False])
def test_resume_leaves_what_is_done_and_refuses_what_is_not(tmp_path, masked):
    path = damaged(tmp_path / "a.fits") if masked else plain_file(tmp_path / "a.fits")
    out = tmp_path / "b.fits"
    process_file(path, out)
    with pytest.raises(UsageError) as caught:
        process_file(path, out)
    assert caught.value.code == "exists"
    assert "--resume" in caught.value.hint
    before = sha(out)
    assert process_file(path, out, resume=True).status == "skipped"
    assert sha(out) == before
    other = damaged(tmp_path / "c.fits", seed=4)
    with pytest.raises(UsageError, match="is not this job's output"):
        process_file(other, out, resume=True)


def test_resume_refuses_other_options_and_another_mask(tmp_path):
    path, out = damaged(tmp_path / "a.fits"), tmp_path / "b.fits"
    mask = plain_file(tmp_path / "m.fits", holes(seed=7).astype(np.uint8))
    process_file(path, out, read=ReadOptions(mask=mask))
    assert process_file(path, out, read=ReadOptions(mask=mask), resume=True).status == "skipped"
    plain_file(mask, holes(seed=8).astype(np.uint8))
    for options in ({"read": ReadOptions(mask=mask)}, {"seed": 1}, {"prior": "other"}):
        with pytest.raises(UsageError, match="is not this job's output"):
            process_file(path, out, resume=True, **options)


def test_a_dry_run_writes_nothing_and_runs_nothing(tmp_path):
    path = damaged(tmp_path / "a.fits")
    seen = []
    report = process_file(path, tmp_path / "b.fits", dry_run=True, on_plane=lambda *pair: seen.append(pair))
    assert report.status == "planned"
    assert report.planes[0]["masked"] > 0
    assert not seen
    assert os.listdir(tmp_path) == ["a.fits"]


def test_nothing_is_written_when_a_plane_fails(tmp_path):
    data = sky()
    data[:30] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    with pytest.raises(InputError, match="of pixels masked, limit 60 %") as caught:
        process_file(path, tmp_path / "b.fits")
    assert caught.value.code == "nothing_observed"
    assert caught.value.message.startswith("75.0 %")
    assert os.listdir(tmp_path) == ["a.fits"]
    assert process_file(path, tmp_path / "b.fits", max_fill=0.8).status == "done"


def test_strict_refuses_what_a_warning_accepts(tmp_path):
    data = sky()
    data[5:8, :14] = np.nan
    path = plain_file(tmp_path / "a.fits", data)
    with pytest.raises(InputError) as caught:
        process_file(path, tmp_path / "b.fits", strict=True)
    assert caught.value.code == "hole_too_large"
    report = process_file(path, tmp_path / "b.fits")
    assert [entry["code"] for entry in report.warnings] == ["hole_too_large"]
    kinds = fits.getdata(tmp_path / "b.fits", "GCM_FILL")
    assert set(np.unique(kinds)) == {0, 3}, "1 filled + 2 hole too large"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"op": "melt"}, "operation 'melt'"),
        ({"target": "truth"}, "expected frame or scene"),
        ({"samples": -1}, "samples is -1, expected a whole number from 0"),
        ({"steps": 10**9}, "steps is 1000000000"),
        ({"seed": -1}, "seed is -1"),
        ({"max_fill": 0.0}, "max_fill is 0"),
    ],
)
def test_options_out_of_range(tmp_path, options, words):
    with pytest.raises(UsageError, match=words) as caught:
        process_file(tmp_path / "none.fits", tmp_path / "b.fits", **options)
    assert caught.value.exit_code == 2


def test_an_unknown_prior_is_told_before_anything_is_read(tmp_path, monkeypatch):
    monkeypatch.undo()
    with pytest.raises(PriorError) as caught:
        process_file(tmp_path / "none.fits", tmp_path / "b.fits", prior="no-such-prior")
    assert caught.value.code == "model_not_found"


def test_progress_and_planes_are_told(tmp_path):
    seen, steps = [], []
    path = lsst_file(tmp_path / "a.fits")
    process_file(
        path,
        tmp_path / "b.fits",
        on_plane=lambda image, result: seen.append((image.meta["profile"], result.target)),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert seen == [("lsst-v1", "frame")]
    assert steps == [(1, 1)]


@pytest.mark.parametrize("workers", [0, 2])
def test_many_files_go_on_when_one_fails_and_are_the_same_alone(tmp_path, workers):
    paths = [damaged(tmp_path / f"{i}.fits", seed=i) for i in range(4)]
    (tmp_path / "2.fits").write_bytes(b"not a file")
    job = Job(write=DATED)
    executor = ThreadPoolExecutor(workers) if workers else None
    told = []
    reports = process_files(paths, tmp_path / "out", job=job, executor=executor, on_report=told.append)
    assert [report.status for report in reports] == ["done", "done", "failed", "done"]
    assert [report.path for report in reports] == paths
    assert reports[2].error.code == "not_fits"
    assert len(told) == 4
    run_file(paths[3], str(tmp_path / "alone.fits"), job)
    assert sha(tmp_path / "alone.fits") == sha(tmp_path / "out" / "3.fits")
    again = process_files(paths, tmp_path / "out", job=job, resume=True)
    assert [report.status for report in again] == ["skipped", "skipped", "failed", "skipped"]


def test_inputs_of_one_name_are_refused(tmp_path):
    (tmp_path / "x").mkdir()
    paths = [damaged(tmp_path / "a.fits"), damaged(tmp_path / "x" / "a.fits")]
    with pytest.raises(UsageError, match="would both be written to"):
        process_files(paths, tmp_path / "out")
    assert output_path("/x/a.fits.fz", "out") == os.path.join("out", "a.fits")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_stop_keeps_what_is_finished(tmp_path, workers):
    paths = [damaged(tmp_path / f"{i}.fits", seed=i) for i in range(3)]
    stop = threading.Event()
    executor = ThreadPoolExecutor(workers) if workers else None
    with pytest.raises(Cancelled) as caught:
        process_files(
            paths,
            tmp_path / "out",
            executor=executor,
            cancel=stop,
            hooks=Hooks(),
            on_report=lambda report: stop.set(),
        )
    assert caught.value.exit_code == 130
    if executor is None:
        assert os.listdir(tmp_path / "out") == ["0.fits"]
    assert not [name for name in os.listdir(tmp_path / "out") if name.endswith(".part")]


def test_a_killed_run_leaves_no_half_output(tmp_path):
    """SIGKILL in the middle of writing: the output is not there, and a second run makes it whole."""
    import subprocess
    import sys

    path = damaged(tmp_path / "a.fits")
    script = (
        "import os, signal, sys\n"
        "import gencosmo.batch.job as job\n"
        "import gencosmo.io.atomic as atomic\n"
        "from tests.stand_in import biharmonic\n"
        "job.OPS['inpaint'] = biharmonic\n"
        "job.prior_identity = str\n"
        "real = atomic.os.fsync\n"
        "atomic.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        "from gencosmo.batch import process_file\n"
        "process_file(sys.argv[1], sys.argv[2])\n"
    )
    command = [sys.executable, "-c", script, path, str(tmp_path / "b.fits")]
    root = os.path.dirname(os.path.dirname(__file__))
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == -9, done.stderr
    assert not (tmp_path / "b.fits").exists()
    assert process_file(path, tmp_path / "b.fits", resume=True).status == "done"
    assert fits.getdata(tmp_path / "b.fits").shape == SHAPE


def test_progress_of_a_part_is_progress_of_the_file():
    """The second of four units, half done, is three eighths of the file; who asks for no progress gets none."""
    seen = []
    stop = threading.Event()
    part = Hooks(lambda done, of: seen.append(done / of), stop).part(1, 4)
    for done, of in ((0, 6), (3, 6), (6, 6), (0, 0)):
        part.progress(done, of)
    assert seen == [1 / 4, 3 / 8, 2 / 4, 1 / 4]
    assert part.cancel is stop
    assert Hooks().part(1, 4).progress is None
