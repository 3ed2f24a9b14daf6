"""What is wrong with stacks beyond broken files (`test_tiff_bad`, `test_zarr`): metadata, noise, colours, masks."""

import gzip
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from gencosmo.batch import process_file
from gencosmo.errors import GencosmoError, GencosmoWarning, InputError, UsageError
from gencosmo.io import read
from gencosmo.io.camera import Camera
from gencosmo.io.stack_options import StackRead

from .stacks import SIZE, codes, holes, mask_file, quick_task, run, values, zarr_file  # noqa: F401

pytestmark = pytest.mark.usefixtures("quick_task")


def edited(path, change):
    """An OME-Zarr whose description was changed by `change(multiscales entry)`."""
    zarr_file(path, values(SIZE), "YX")
    words = json.loads((path / "zarr.json").read_text())
    change(words["attributes"]["ome"]["multiscales"][0])
    (path / "zarr.json").write_text(json.dumps(words))
    return path


def scaled(*numbers):
    def change(entry):
        entry["datasets"][0]["coordinateTransformations"][0]["scale"] = list(numbers)

    return change


@pytest.mark.parametrize(
    ("change", "told", "scale"),
    [
        (scaled(-1, 0.4), ["Y = -1.0 micrometer is absurd"], 0.4),
        (scaled(0, 1e12), ["Y = 0.0", "X = 1000000000000.0"], None),
        (scaled("a", 0.4), ["Y = nan"], 0.4),
        (scaled(0.4), ["Y = nan", "X = nan"], None),
        (lambda entry: entry["axes"][0].update(unit="parsec"), ["Y has the unit 'parsec', not a length"], 0.4),
    ],
)
def test_absurd_sizes_of_ome_zarr_are_told_and_taken_as_unknown(tmp_path, change, told, scale):
    path = edited(tmp_path / "x.zarr", change)
    report = run(tmp_path, path, "out.zarr")
    assert report.status == "done" and report.planes[0]["pixel_scale"] == scale
    found = [entry["message"] for entry in report.warnings if entry["code"] == "pixel_size"]
    assert len(found) == len(told) and all(part in text for part, text in zip(told, found, strict=True))


DESCRIPTIONS = [
    (lambda entry: entry.pop("axes"), "axes"),
    (lambda entry: entry.update(axes=[{"name": name} for name in "abtczyx"]), "axes"),
    (lambda entry: entry.update(axes=[{"name": "x"}, {"name": "x"}]), "axes"),
    (lambda entry: entry.update(datasets=[]), "bad_header"),
    (lambda entry: entry["datasets"][0].update(path="nope"), "bad_header"),
    (lambda entry: entry["datasets"][0].update(path="../../secret"), "bad_header"),
]


@pytest.mark.parametrize(("change", "code"), DESCRIPTIONS)
def test_descriptions_that_do_not_hold(tmp_path, change, code):
    path = edited(tmp_path / "x.zarr", change)
    with pytest.raises(InputError) as caught:
        run(tmp_path, path, "out.zarr")
    assert caught.value.code == code and str(path) in caught.value.message
    assert not (tmp_path / "out.zarr").exists()
    if code == "axes":
        assert "--axes YX" in caught.value.hint and run(tmp_path, path, "b.zarr", axes="YX").status == "done"


@pytest.mark.parametrize("dtype", ["complex64", "bool", "float16"])
def test_types_of_ome_zarr_that_are_not_worked_on(tmp_path, dtype):
    path = tmp_path / "x.zarr"
    zarr_file(path, values(SIZE), "YX")
    zarr.create_array(str(path / "s0"), shape=SIZE, dtype=dtype, overwrite=True)
    with pytest.raises(InputError, match=f"{dtype} images are not supported") as caught:
        process_file(path, tmp_path / "out.zarr")
    assert caught.value.code == "dtype"


def colours(path, **words):
    tifffile.imwrite(path, values((*SIZE, 3), np.uint8), photometric="rgb", **words)
    return path


@pytest.mark.parametrize("option", ["mask", "ivar", "weight"])
def test_colours_do_not_go_into_one_channel(tmp_path, option):
    rgb = str(colours(tmp_path / "rgb.tif"))
    tifffile.imwrite(tmp_path / "one.tif", values(SIZE))
    with pytest.raises(InputError, match="is RGB, the image has 1 sample per pixel") as caught:
        process_file(tmp_path / "one.tif", tmp_path / "out.tif", read=StackRead(**{option: rgb}, weight_type="rms"))
    assert caught.value.code == "channels" and caught.value.hint == "give one value per pixel"
    with pytest.raises(UsageError) as caught:
        process_file(rgb, tmp_path / "out.tif", read=StackRead(channels=(3,)))
    assert caught.value.code == "channels" and "the channels 0 red, 1 green, 2 blue" in caught.value.message
    assert caught.value.hint == "samples of RGB count as channels"


@pytest.mark.parametrize("letters", ["ZYX", "CYX", "TYX"])
def test_a_mask_of_three_planes_is_not_rgb(tmp_path, letters):
    """What `tifffile.imwrite` makes of an array (3, H, W) of bytes: red, green and blue in planes of their own."""
    tifffile.imwrite(tmp_path / "in.ome.tif", values((3, *SIZE)), metadata={"axes": letters})
    mask = np.stack([np.zeros(SIZE, np.uint8), holes().astype(np.uint8), np.zeros(SIZE, np.uint8)])
    tifffile.imwrite(tmp_path / "mask3.tif", mask, photometric="rgb", planarconfig="separate")
    read = StackRead(mask=str(tmp_path / "mask3.tif"))
    report = process_file(tmp_path / "in.ome.tif", tmp_path / "out.ome.tif", read=read)
    assert report.filled == holes().sum()
    changed = (tifffile.imread(tmp_path / "out.ome.tif") != values((3, *SIZE))).any((1, 2))
    assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_colours_are_channels_however_they_are_stored(tmp_path, planar):
    array = values((*SIZE, 3), np.uint8)
    stored = array if planar == "contig" else np.moveaxis(array, -1, 0)
    tifffile.imwrite(tmp_path / "rgb.tif", stored, photometric="rgb", planarconfig=planar)
    run(tmp_path, tmp_path / "rgb.tif", channels=(1,))
    got = tifffile.imread(tmp_path / "out.tif")
    assert got.shape == stored.shape
    green = got[..., 1] if planar == "contig" else got[1]
    assert np.array_equal(green != array[..., 1], holes() & (green != array[..., 1])) and (green != array[..., 1]).any()
    others = (0, 2) if planar == "contig" else ([0, 2],)
    kept, before = (got[..., others], stored[..., others]) if planar == "contig" else (got[others], stored[others])
    assert np.array_equal(kept, before)


def test_noise_that_is_none_counts_as_masked(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    weight = np.full(SIZE, 0.1, np.float32)
    weight[0, :5] = [-1, 0, np.nan, np.inf, 1e-30]
    tifffile.imwrite(tmp_path / "w.tif", weight)
    report = process_file(tmp_path / "in.tif", tmp_path / "out.tif", read=StackRead(ivar=str(tmp_path / "w.tif")))
    assert report.planes[0]["masked"] == 4 and report.planes[0]["flags"] == {"BAD": 4, "NO_NOISE": 4}
    tifffile.imwrite(tmp_path / "none.tif", np.zeros(SIZE, np.float32))
    with pytest.raises(InputError) as caught:
        process_file(tmp_path / "in.tif", tmp_path / "b.tif", read=StackRead(ivar=str(tmp_path / "none.tif")))
    assert caught.value.code == "nothing_observed"


def test_masks_of_nothing_and_of_everything(tmp_path):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    report = run(tmp_path, tmp_path / "in.tif", mask=np.zeros(SIZE, bool))
    (told,) = report.warnings
    assert (report.status, told["code"]) == ("copied", "nothing_to_fill") and "--mask FILE" in told["message"]
    with pytest.raises(InputError, match=r"100\.0 % of pixels masked") as caught:
        run(tmp_path, tmp_path / "in.tif", "b.tif", mask=np.ones(SIZE, bool))
    assert caught.value.code == "nothing_observed" and "non-zero means bad" in caught.value.hint


def hyperstack(path, text):
    """ImageJ's description over four pages."""
    head = f"ImageJ=1.54f\nimages=4\n{text}"
    tifffile.imwrite(path, values((4, *SIZE)), photometric="minisblack", description=head, metadata=None)
    return path


def test_imagej_counts_that_do_not_hold(tmp_path):
    path = hyperstack(tmp_path / "a.tif", "channels=2\nslices=2\nhyperstack=true\n")
    assert run(tmp_path, path, "b.tif").status == "done"
    assert read(path, z=0).shape == (2, *SIZE)
    wrong = hyperstack(tmp_path / "c.tif", "channels=3\nslices=5\nhyperstack=true\n")
    with pytest.raises(InputError, match="names its first axis: time, channel or depth") as caught:
        run(tmp_path, wrong, "d.tif")
    assert caught.value.code == "axes" and "--axes CYX" in caught.value.hint
    assert run(tmp_path, wrong, "d.tif", axes="ZYX").status == "done"


def test_an_ome_tiff_whose_other_files_are_missing(tmp_path):
    tifffile.imwrite(tmp_path / "w.ome.tif", values((2, *SIZE)), ome=True, photometric="minisblack",
                     metadata={"axes": "CYX"})  # fmt: skip
    with tifffile.TiffFile(tmp_path / "w.ome.tif") as file:
        words = file.ome_metadata
    other = '<TiffData FirstC="1" IFD="0"><UUID FileName="gone.ome.tif">urn:uuid:1</UUID></TiffData>'
    words = words.replace('<TiffData IFD="0" PlaneCount="2"/>', f'<TiffData FirstC="0" IFD="0" PlaneCount="1"/>{other}')
    tifffile.imwrite(tmp_path / "x.ome.tif", values(SIZE), description=words, metadata=None)
    with pytest.raises(InputError, match="part of an image in several files") as caught:
        run(tmp_path, tmp_path / "x.ome.tif", "out.ome.tif")
    assert caught.value.code == "multifile" and not (tmp_path / "out.ome.tif").exists()


def test_a_picture_that_claims_to_be_huge(tmp_path):
    """A PNG of a hundred bytes with 60 000 x 60 000 pixels in its header."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    with pytest.raises(GencosmoError) as caught:
        process_file(tmp_path / "x.png", tmp_path / "out.tif", read=StackRead(find=("hot",)))
    assert caught.value.code == "too_large"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none(tmp_path, value):
    tifffile.imwrite(tmp_path / "in.tif", values(SIZE))
    with pytest.raises(UsageError, match="saturation is"):
        process_file(tmp_path / "in.tif", tmp_path / "out.tif", read=StackRead(saturation=value))
    for words in ({"std": value}, {"gain": value, "read_noise": 1.0}, {"gain": 1.0, "read_noise": value}):
        with pytest.raises(UsageError) as caught:
            Camera(**words)
        assert caught.value.code == "bad_noise"
    assert [one.name for one in Path(tmp_path).iterdir()] == ["in.tif"]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_chunk_that_holds_more_than_its_description_is_not_unpacked(tmp_path, version, monkeypatch):
    """Much of nothing in little gzip, where 960 values belong."""
    path = Path(zarr_file(tmp_path / "a.zarr", values(SIZE), "YX", version=version, chunks=(30, 32)))
    name = path / "s0" / ("1/0" if version == "0.4" else "c/1/0")
    name.write_bytes(gzip.compress(bytes(1 << 27), 9))
    monkeypatch.setattr("zarr.Array.__getitem__", None)  # nothing may be unpacked
    with pytest.raises(InputError, match=r"bytes, and holds 67 \d\d\d at most by its description") as caught:
        run(tmp_path, path, "b.zarr")
    assert caught.value.code == "too_large" and str(name) in str(caught.value)


def test_values_beyond_float32_are_masked_and_told(tmp_path):
    data = np.full((40, 40), 7.0)
    data[::2] = 9
    data[3, 4], data[5, 6] = 1e39, -1e40
    tifffile.imwrite(tmp_path / "a.tif", data)
    with pytest.warns(
        GencosmoWarning, match="2 pixels beyond 3.4e38, the range of float32, treated as masked"
    ) as caught:
        image = read(tmp_path / "a.tif")
    assert caught[0].message.code == "non_finite"
    assert sorted(map(tuple, np.argwhere(image.mask[0]).tolist())) == [(3, 4), (5, 6)]
