"""`gencosmo train` as a user meets it: folders, patterns, companions, a kill in the middle."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from typer.testing import CliRunner

from gencosmo.cli import app
from gencosmo.commands.sources import find_files
from gencosmo.commands.train import parse_scale
from gencosmo.errors import InputError, UsageError
from gencosmo.priors import load_prior
from gencosmo.training.pack import read_packed

ROOT = Path(__file__).parent.parent
SMALL = ("--batch", "4", "--tiles", "8", "--calibration", "3", "--device", "cpu")


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def frame(path, seed=0, side=80, **cards):
    rng = np.random.default_rng(seed)
    rows, cols = np.indices((side, side))
    data = 100 + 900 * np.exp(-((rows - 30) ** 2 + (cols - 44) ** 2) / 9) + rng.normal(0, 5, (side, side))
    header = fits.Header()
    header["CTYPE1"], header["CTYPE2"], header["CRVAL1"], header["CRVAL2"] = "RA---TAN", "DEC--TAN", 150.0, 2.0
    header["CD1_1"], header["CD2_2"], header["CRPIX1"], header["CRPIX2"] = -1e-4, 1e-4, 40.0, 40.0
    fits.PrimaryHDU(data.astype(np.float32), header=header).writeto(path)
    return path


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "frames" / "night1"
    inside.mkdir(parents=True)
    for seed in range(3):
        frame(inside / f"f{seed}.fits", seed)
    frame(inside / "f0.weight.fits", 9)
    (inside / "notes.txt").write_text("cloudy")
    (inside / "broken.fits").write_bytes(b"SIMPLE  =    ")
    return tmp_path / "frames"


def test_a_folder_becomes_a_prior(tmp_path, folder):
    words = ("--from", "sky", *SMALL, "--licence", "CC-BY-4.0", "--group", "mine", "--json")
    done = run("train", folder, "-o", tmp_path / "out" / "mine", *words)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["frames"] == 3
    assert {Path(path).name for path in told["left_out"]} == {"f0.weight.fits", "broken.fits"}
    assert done.stderr.count("warning[left_out]") == 2
    assert "training from sky on 3 frames" in done.stderr
    prior = load_prior(tmp_path / "out" / "mine.json")
    prior.self_test()
    assert prior.card.licence == "CC-BY-4.0" and prior.card.training["groups"] == {"mine": 3}
    assert prior.card.pixel_scale == pytest.approx((0.36, 0.36))
    assert prior.network.shape == load_prior("sky").network.shape
    again = run("train", folder, "-o", tmp_path / "out" / "mine", *SMALL)
    assert again.exit_code == 2 and "error[exists]" in again.stderr


def test_packed_files_and_patterns(tmp_path, folder):
    packed = tmp_path / "p.npz"
    assert run("pack", *sorted(folder.glob("night1/f?.fits")), "-o", packed, "--group", "g").exit_code == 0
    files, beside = find_files([str(packed), str(folder / "*" / "f*.fits"), str(folder)])
    assert [Path(path).name for path in files] == ["p.npz", "f0.fits", "f1.fits", "f2.fits", "broken.fits"]
    assert {Path(path).name for path in beside} == {"f0.weight.fits"}
    named, _ = find_files([str(folder / "night1" / "f0.weight.fits")])
    assert len(named) == 1, "a file that is named is taken"
    with pytest.raises(InputError, match="no file of"):
        find_files([str(tmp_path / "*.fits")])


def test_weights_among_named_images_are_left_out_as_in_a_folder(tmp_path, folder):
    """The shell resolves an unquoted pattern, so masks and weights are named with their images."""
    expanded = [str(path) for path in sorted(folder.glob("night1/*.fits"))]
    assert any(path.endswith("f0.weight.fits") for path in expanded)
    files, beside = find_files(expanded)
    assert [Path(path).name for path in beside] == ["f0.weight.fits"] and len(files) == len(expanded) - 1
    stars = [str(tmp_path / name) for name in ("sigma_orionis.fits", "flagstaff.fits", "m13.fits")]
    assert find_files(stars) == (stars, []), "no image is named that they would stand beside"


def test_pack_tells_what_it_leaves_out_and_packs_packed_files_again(tmp_path, folder):
    one, two = tmp_path / "one.npz", tmp_path / "two.npz"
    done = run("pack", folder, "-o", one)
    assert done.exit_code == 0
    assert "f0.weight.fits: stands beside an image" in done.stderr and "broken.fits: " in done.stderr
    assert run("pack", one, folder / "night1" / "f0.fits", "-o", two).exit_code == 0
    assert len(read_packed([two])) == len(read_packed([one])) + 1
    before = two.read_bytes()
    assert run("pack", one, "-o", two).exit_code == 2 and two.read_bytes() == before
    assert run("pack", one, "-o", two, "--overwrite").exit_code == 0 and two.read_bytes() != before
    assert "ends in .npz" in run("pack", one, "-o", tmp_path / "three").stderr
    assert "would overwrite the input" in run("pack", one, "-o", one, "--overwrite").stderr
    assert {path.name for path in tmp_path.glob("*")} >= {"one.npz", "two.npz"} and not list(tmp_path.glob("*.tmp"))


GOOD = {
    "pixels": np.zeros(600, np.float32),
    "shapes": np.array([[20, 20], [10, 20]]),
    "groups": np.array(["a", "b"]),
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"pixels": np.zeros(599, np.float32)}, "shapes ask for 600 pixels in 2 planes, file has 599"),
        ({"pixels": np.zeros(600, np.int64)}, "pixels are int64"),
        ({"pixels": np.array([None])}, "damaged"),
        ({"shapes": np.array([20, 30])}, "shapes int64"),
        ({"shapes": np.array([[-20, -20], [10, 20]])}, "is damaged: shapes ask for"),
        ({"shapes": np.zeros((0, 2), np.int64), "groups": np.zeros(0, "<U1")}, "in 0 planes"),
        ({"groups": np.array(["a"])}, "for 1 groups"),
    ],
)  # fmt: skip
def test_packed_files_that_do_not_hold_together(tmp_path, change, text):
    np.savez(tmp_path / "good.npz", **GOOD)
    assert [frame.flux.shape for frame in read_packed([tmp_path / "good.npz"])] == [(20, 20), (10, 20)]
    np.savez(tmp_path / "bad.npz", **(GOOD | change))
    with pytest.raises(InputError, match=re.escape(text)) as caught:
        read_packed([tmp_path / "bad.npz"])
    assert caught.value.code == "bad_pack"


@pytest.mark.parametrize("kept", [0, 100, 3000])
def test_files_that_are_no_packed_file(tmp_path, kept):
    np.savez(tmp_path / "good.npz", **GOOD)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "good.npz").read_bytes()[:kept])
    np.save(tmp_path / "array.npy", GOOD["pixels"])
    (tmp_path / "array.npz").write_bytes((tmp_path / "array.npy").read_bytes())
    for name in ("cut.npz", "array.npz"):
        done = run("train", tmp_path / name, "-o", tmp_path / "x", *SMALL)
        assert done.exit_code == 3 and "error[bad_pack]" in done.stderr, done.stderr
    with pytest.raises(InputError, match="no such file"):
        read_packed([tmp_path / "none.npz"])


def test_bad_calls_tell_what_to_do(tmp_path, folder):
    path = folder / "night1" / "f0.fits"
    for words, code, text in [
        ((path, "-o", f"{tmp_path}"), 2, "is a folder, expected FOLDER/NAME"),
        ((path, "-o", tmp_path / "x", "--pixel-scale", "big"), 2, "is not a scale or LOW,HIGH"),
        ((path, "-o", tmp_path / "x", "--minutes", "-1"), 2, "minutes is -1"),
        ((path, "-o", tmp_path / "x", "--from", "nobody", *SMALL), 3, "error[model_not_found]"),
        ((folder / "night1" / "broken.fits", "-o", tmp_path / "x", *SMALL), 3, "error["),
        ((tmp_path / "none.fits", "-o", tmp_path / "x", *SMALL), 3, "no such file"),
    ]:
        done = run("train", *words)
        assert done.exit_code == code, (words, done.stderr)
        assert text in done.stderr and "Traceback" not in done.stderr
    with pytest.raises(UsageError):
        parse_scale("0.4,0.1")
    assert parse_scale("0.2") == (0.2, 0.2) and parse_scale(None) is None


STEP = "import gencosmo.training.course as c\nc.LEG = 1\nfrom gencosmo.cli import main\nmain()\n"


def test_sigkill_in_the_middle_loses_nothing(tmp_path, folder):
    """The process is killed without warning after its first leg; the same command ends with the same weights."""
    words = [str(folder), "--from", "sky", *SMALL, "--tiles", "8"]

    def command(name):
        return [sys.executable, "-c", STEP, "train", *words, "-o", str(tmp_path / name)]

    with subprocess.Popen(command("a"), stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        for line in process.stderr:
            if line.startswith("50 %"):
                process.send_signal(signal.SIGKILL)
                break
        process.wait(timeout=60)
    assert process.returncode == -signal.SIGKILL
    assert (tmp_path / "a.checkpoint.pt").exists() and not (tmp_path / "a.json").exists()
    done = subprocess.run(command("a"), capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert "resumed at step" in done.stderr
    # in a process of its own too: what other tests left of torch's threads would show in the last bits
    unbroken = subprocess.run(command("b"), capture_output=True, text=True, cwd=ROOT, check=False)
    assert unbroken.returncode == 0, unbroken.stderr
    assert "resumed" not in unbroken.stderr
    one, other = ((tmp_path / f"{name}.safetensors").read_bytes() for name in "ab")
    assert one == other
