"""Plates and slides in order: wells from names, channels apart, heat maps, and what is refused."""

import json
import math

import numpy as np
import pytest
import tifffile
import zarr
from astropy.io import fits
from astropy.table import Table
from typer.testing import CliRunner

from gencosmo.cli import app
from gencosmo.commands.console import print_json
from gencosmo.commands.cutouts import Cutout, cutouts_of
from gencosmo.commands.heat import write_slide
from gencosmo.errors import InputError, TooLargeError, UsageError
from gencosmo.image import Image as AsImage
from gencosmo.io.fits import ReadOptions
from gencosmo.io.stack_options import StackRead
from gencosmo.tasks.few import Later

from .io.stacks import zarr_file

SIDE = 40
WELLS = ("A01", "A02", "B01", "B02", "C03")


class Quick:
    """In the detector's place: the largest deviation from the normals' median, and which share of them has less."""

    def fit(self, images):
        self.level = np.median(np.concatenate([one.read().data.ravel() for one in images]))
        self.normal = np.array([self._deviation(one) for one in images])
        return self

    def _deviation(self, image):
        return float(np.abs(image.read().data - self.level).max())

    def of_normals(self):
        p = np.array([(self.normal >= score).mean() for score in self.normal])
        return self.normal, p, {"peaks": p}

    def evaluate(self, images):
        return [Judged(self._deviation(one), self.normal) for one in images]


class Judged:
    def __init__(self, score, normal):
        self.score, self.p = score, (1 + (normal >= score).sum()) / (1 + normal.size)
        self.views = {"peaks": np.array([self.p])}

    def image_score(self):
        return self.score, self.p


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """What is tested is who is judged by whom, and what is written."""
    monkeypatch.setattr("gencosmo.commands.rank.new_detector", lambda scoring: Quick())
    monkeypatch.setattr("gencosmo.commands.rank.judge_each_other", lambda one, images: one.fit(images).of_normals())


def call(*words, code=0):
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.stderr
    return done


def field(seed, *, hit=False, side=SIDE):
    image = 120 + 5 * np.random.default_rng(seed).standard_normal((side, side))
    if hit:
        image[20:23, 11:14] += 150
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8)


def plate(folder):
    """Two fields of five wells in two channels, as MetaXpress names them; B02, field 2, channel w1 is odd."""
    folder.mkdir()
    seed = 0
    for well in WELLS:
        for site in (1, 2):
            for wave in (1, 2):
                seed += 1
                odd = (well, site, wave) == ("B02", 2, 1)
                tifffile.imwrite(folder / f"Run_{well}_s{site}_w{wave}.TIF", field(seed, hit=odd))
        tifffile.imwrite(folder / f"Run_{well}_s1_w1_thumb.TIF", field(seed)[:16, :16])
    return folder


def test_a_plate_folder_has_a_ranked_table_wells_and_a_heat_map(tmp_path):
    out = tmp_path / "out"
    done = call("rank", plate(tmp_path / "plate"), "-o", out, "--tile", SIDE, "--table", "csv", "--json")
    table = Table.read(out / "ranked.csv", format="ascii.csv")
    assert len(table) == 20 and list(table["rank"][:2]) == [1, 1], "thumbnails do not count, channels are apart"
    first = table[0]
    assert (first["plate"], first["well"], first["field"], first["channel"]) == ("Run", "B02", 2, "w1")
    wells = Table.read(out / "wells.csv", format="ascii.csv")
    assert len(wells) == 10 and set(wells["fields"]) == {2}
    assert wells["well"][0] == "B02" and wells["channel"][0] == "w1"
    assert {one.name for one in out.iterdir()} == {"ranked.csv", "ranked.png", "wells.csv", "plate.png"}
    rows = json.loads(done.stdout)["ranked"]
    assert rows[0]["well"] == "B02" and len(rows) == 20
    from PIL import Image

    heat = np.asarray(Image.open(out / "plate.png").convert("RGB")).astype(int)
    half = heat[: heat.shape[0] // 2]  # w1 is drawn above w2, rows A and B of a plate of 6 wells
    rows, cols = np.nonzero((half == (255, 240, 160)).all(2))
    assert 1500 < rows.size < 1700 and rows.min() == 34 + 12 + 40 and cols.min() == 24 + 40 and cols.max() < 24 + 80
    again = call("rank", tmp_path / "plate", "-o", out, "--table", "csv", code=2)
    assert "exists" in again.stderr


def test_channels_of_files_and_folders_of_wells(tmp_path):
    for number, well in enumerate(("A01", "A02", "A03", "B01", "B02")):
        (tmp_path / "plate" / well).mkdir(parents=True)
        for site in (0, 1):
            array = np.stack(
                [field(20 * number + site), field(20 * number + 10 + site, hit=(well, site) == ("A03", 1))]
            )
            words = {"axes": "CYX", "Channel": {"Name": ["DAPI", "GFP"]}}
            tifffile.imwrite(tmp_path / f"plate/{well}/{site}.ome.tif", array, ome=True, photometric="minisblack",
                             metadata=words)  # fmt: skip
    found = cutouts_of(str(tmp_path / "plate"), ReadOptions(), region=None, side=256)
    assert len(found) == 20 and {one.channel for one in found} == {"DAPI", "GFP"}
    assert {(one.place.well, one.place.plate) for one in found} == {
        (well, "plate") for well in ("A01", "A02", "A03", "B01", "B02")
    }
    call("rank", tmp_path / "plate", "-o", tmp_path / "out", "--tile", SIDE, "--channels", "1", "--table", "csv")
    table = Table.read(tmp_path / "out/ranked.csv", format="ascii.csv")
    assert len(table) == 10 and table["well"][0] == "A03" and table["file"][0] == "1.ome.tif"
    assert set(table["channel"]) == {"GFP"}, "a chosen channel is told as well"


def test_an_ome_zarr_plate(tmp_path):
    root = zarr.open_group(str(tmp_path / "p.zarr"), mode="w", zarr_format=3)
    wells = ("A/1", "A/2", "B/1", "B/2")
    root.attrs.update({"ome": {"version": "0.5", "plate": {"wells": [{"path": name} for name in wells]}}})
    for n, well in enumerate(wells):
        group = root.require_group(well)
        group.attrs.update({"ome": {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}})
        for site in (0, 1):
            zarr_file(tmp_path / f"p.zarr/{well}/{site}", field(10 * n + site, hit=(well, site) == ("B/2", 0)), "YX")
    call("rank", tmp_path / "p.zarr", "-o", tmp_path / "out", "--tile", SIDE, "--table", "csv")
    table = Table.read(tmp_path / "out/ranked.csv", format="ascii.csv")
    assert len(table) == 8 and table["well"][0] == "B02" and table["file"][0] == "p.zarr[B/2/0]"


@pytest.mark.parametrize("ending", ["zarr", "ome.tif"])
def test_a_slide_is_cut_into_pieces_with_a_heat_map(tmp_path, ending):
    slide = field(0, side=130)
    slide[70:73, 100:103] = 250
    if ending == "zarr":
        path = zarr_file(tmp_path / "slide.zarr", slide, "YX", scale=0.5)
    else:
        path = tmp_path / "slide.ome.tif"
        tifffile.imwrite(path, slide, ome=True, metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    out = tmp_path / "out"
    call("rank", path, "-o", out, "--cut", SIDE, "--tile", SIDE, "--table", "csv")
    table = Table.read(out / "ranked.csv", format="ascii.csv")
    assert len(table) == 9 and (table["x"][0], table["y"][0]) == (80, 40)
    with tifffile.TiffFile(out / "heat.ome.tif") as file:
        heat, xml = file.asarray(), file.ome_metadata
    assert heat.shape == (3, 3) and np.unravel_index(heat.argmax(), heat.shape) == (1, 2)
    assert 'PhysicalSizeX="20.0"' in xml, "a pixel of the heat map is a piece of the slide"
    assert (out / "heat.png").is_file() and not (out / "wells.csv").exists()
    call(
        "rank", path, "-o", tmp_path / "b", "--cut", SIDE, "--tile", SIDE, "--region", "0:120,40:120", "--table", "csv"
    )
    table = Table.read(tmp_path / "b/ranked.csv", format="ascii.csv")
    assert len(table) == 6 and (table["x"][0], table["y"][0]) == (80, 40)


def test_a_piece_without_a_score_does_not_stand_out_of_a_heat_map(tmp_path):
    plain = AsImage(data=np.zeros((1, 8, 8), np.float32))
    cutouts = [Cutout("s", Later((1, 8, 8), lambda: plain), corner=(0, 8 * k)) for k in range(3)]
    write_slide(str(tmp_path), cutouts, np.array([-3.0, np.nan, -1.0]), overwrite=False)
    assert tifffile.imread(tmp_path / "heat.ome.tif").ravel().tolist() == [-3.0, -3.0, -1.0]


def test_normals_of_the_same_channel(tmp_path):
    images = plate(tmp_path / "plate")
    normals = tmp_path / "normals"
    normals.mkdir()
    for seed in range(9):
        for wave in (1, 2):
            tifffile.imwrite(normals / f"N_A{seed + 1:02d}_w{wave}.tif", field(100 + 2 * seed + wave))
    call("rank", images, "-o", tmp_path / "out", "--normals", normals, "--tile", SIDE, "--table", "csv")
    table = Table.read(tmp_path / "out/ranked.csv", format="ascii.csv")
    assert table["well"][0] == "B02" and table["channel"][0] == "w1"
    for path in normals.glob("*_w2.tif"):
        path.unlink()
    done = call("rank", images, "-o", tmp_path / "b", "--normals", normals, "--tile", SIDE, code=3)
    assert "normals have the channels w1, the images w1, w2" in done.stderr
    done = call("rank", images, "-o", tmp_path / "c", "--normals", normals, "--save-detector", tmp_path / "d", code=2)
    assert "there are 2 channels" in done.stderr


def test_what_cannot_be_ranked(tmp_path, monkeypatch):
    images = plate(tmp_path / "plate")
    monkeypatch.setattr("gencosmo.commands.cutouts.DISK_PER_PIXEL", 1e12)
    with pytest.raises(TooLargeError, match="has room to rank") as caught:
        cutouts_of(str(images), ReadOptions(), region=None, side=256)
    assert "TMPDIR" in caught.value.hint and "--region" in caught.value.hint
    monkeypatch.undo()
    with pytest.raises(InputError, match="no such file or folder"):
        cutouts_of(str(tmp_path / "nothing"), ReadOptions(), region=None, side=256)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no image"):
        cutouts_of(str(tmp_path / "empty"), ReadOptions(), region=None, side=256)
    (tmp_path / "thumbs").mkdir()
    tifffile.imwrite(tmp_path / "thumbs/a_thumb.tif", field(0))
    with pytest.raises(InputError, match="thumbnails and companions"):
        cutouts_of(str(tmp_path / "thumbs"), ReadOptions(), region=None, side=256)
    path = zarr_file(tmp_path / "z.zarr", np.stack([field(0), field(1)]), "ZYX")
    with pytest.raises(InputError, match="2 times and depths, a slide has one"):
        cutouts_of(path, ReadOptions(), region=None, side=256)
    assert len(cutouts_of(path, StackRead(depths=(1,)), region=None, side=256)) == 1
    with pytest.raises(UsageError, match="--cut 8"):
        cutouts_of(path, StackRead(depths=(1,)), region=None, side=8)


def test_files_that_cannot_be_used_are_told_and_the_others_ranked(tmp_path):
    folder = tmp_path / "cutouts"
    folder.mkdir()
    for k in range(5):
        fits.writeto(folder / f"{k}.fits", np.random.default_rng(k).normal(size=(SIDE, SIDE)).astype("f4"))
    fits.writeto(folder / "small.fits", np.ones((5, SIDE), "f4"))
    (folder / "torn.fits").write_bytes((folder / "0.fits").read_bytes()[:3000])
    done = call("rank", folder, "-o", tmp_path / "out", code=4)
    assert "small.fits is 5 x 40 pixels" in done.output and "torn.fits: " in done.output
    assert "not ranked, 2 of the files: " in done.output
    assert set(Table.read(tmp_path / "out" / "ranked.ecsv", format="ascii.ecsv")["file"]) == {
        f"{k}.fits" for k in range(5)
    }
    for k in range(5):
        (folder / f"{k}.fits").unlink()
    assert "error[too_small]" in call("rank", folder, "-o", tmp_path / "none", code=3).output


def test_json_knows_no_nan(capsys):
    print_json({"ranked": [{"score": math.nan, "p_value": 0.5}], "corner": (1.0, math.inf), "file": "a"})
    assert json.loads(capsys.readouterr().out, parse_constant=pytest.fail) == {
        "ranked": [{"score": None, "p_value": 0.5}], "corner": [1.0, None], "file": "a",
    }  # fmt: skip


def test_maps_of_stacks_are_stacks():
    from gencosmo.commands.score import Outputs

    paths = Outputs("o", maps=True).paths("a.ome.tif")
    assert paths["map"] == "o/a.ome.tif.map.ome.tif" and Outputs("o", maps=True).paths("a.fits")["map"].endswith(
        ".fits"
    )
