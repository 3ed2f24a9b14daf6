"""OME-Zarr in and out: 0.4 and 0.5, chunks and shards, levels; blocks; files that cannot be used."""

import json
import warnings

import numpy as np
import pytest
import tifffile
import zarr

from gencosmo.batch import process_file
from gencosmo.errors import GencosmoError, InputError
from gencosmo.io import read
from gencosmo.io.stack_options import StackRead, StackWrite

from .stacks import (  # noqa: F401
    SIZE,
    codes,
    filled,
    holes,
    mask_file,
    ome_schema,
    quick_task,
    run,
    small_blocks,
    tree,
    values,
    zarr_file,
)

pytestmark = pytest.mark.usefixtures("quick_task")


@pytest.mark.parametrize(
    ("version", "letters", "chunks", "shards"),
    [
        ("0.4", "TCZYX", None, None), ("0.5", "CZYX", None, None), ("0.5", "CYX", (1, 16, 16), (1, 32, 48)),
        ("0.5", "ZYX", (3, 7, 13), None), ("0.4", "YX", (48, 64), None), ("0.5", "CYX", (2, 16, 16), (2, 48, 64)),
    ],
)  # fmt: skip
def test_a_copy_with_filled_pixels_at_all_levels(tmp_path, version, letters, chunks, shards):
    shape = tuple({"T": 2, "C": 2, "Z": 3, "Y": SIZE[0], "X": SIZE[1]}[a] for a in letters)
    array = values(shape)
    path = zarr_file(tmp_path / "in.zarr", array, letters, version=version, chunks=chunks, shards=shards, levels=3)
    before = tree(path)
    report = run(tmp_path, path, "out.zarr")
    assert tree(path) == before and report.profile == "ome-zarr"
    assert report.planes[0]["pixel_scale"] == 0.4
    was, now = zarr.open_group(path, mode="r"), zarr.open_group(tmp_path / "out.zarr", mode="r")
    for level in range(3):
        old, new = was[f"s{level}"], now[f"s{level}"]
        for name in ("shape", "dtype", "chunks", "shards"):
            assert getattr(new, name) == getattr(old, name)
        touched = np.zeros(new.shape[-2:], bool)
        rows, cols = np.nonzero(holes())
        touched[rows >> level, cols >> level] = True
        assert np.array_equal(new[...][..., ~touched], old[...][..., ~touched])
        if level == 0:
            assert (new[...][..., touched] == filled()[touched]).all()
            continue
        below = now[f"s{level - 1}"][...].astype(float).reshape(-1, *now[f"s{level - 1}"].shape[-2:])
        flat = new[...].reshape(-1, *new.shape[-2:])
        for r, c in np.argwhere(touched)[:40]:
            assert flat[-1, r, c] == np.rint(below[-1, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2].mean())
    attributes = dict(now.attrs)
    assert attributes["mine"] == [1, 2] and attributes["gencosmo"][0]["GCMOP"] == "inpaint"
    old = dict(was.attrs)
    assert (attributes["ome"] if version == "0.5" else attributes["multiscales"]) == (
        old["ome"] if version == "0.5" else old["multiscales"]
    )


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_std_and_fill_lie_inside_as_an_image_and_labels(tmp_path, version):
    path = zarr_file(tmp_path / "in.zarr", values((2, *SIZE)), "CYX", version=version, levels=2)
    run(tmp_path, path, "out.zarr", channels=(1,))
    group = zarr.open_group(tmp_path / "out.zarr", mode="r")
    words = dict(group["labels"].attrs)
    assert (words["ome"] if version == "0.5" else words)["labels"] == ["gcm_fill"]
    words = dict(group["labels/gcm_fill"].attrs)
    words = words["ome"] if version == "0.5" else words
    assert words["image-label"]["source"] == {"image": "../../"}
    assert [row["path"] for row in words["multiscales"][0]["datasets"]] == ["s0", "s1"]
    fill, std = group["labels/gcm_fill/s0"], group["gcm_std/s0"]
    assert (fill.dtype, std.dtype) == (np.uint8, np.float32)
    assert np.array_equal(fill[1] == 1, holes()) and not fill[0].any()
    assert np.array_equal(std[1] == 2, holes())
    assert np.array_equal(group["gcm_std/s1"][1] == 2, _any_of_four(holes()))


def _any_of_four(mask):
    return mask.reshape(mask.shape[0] // 2, 2, mask.shape[1] // 2, 2).any((1, 3))


def test_chunks_without_filled_pixels_stay_byte_for_byte(tmp_path):
    path = zarr_file(tmp_path / "in.zarr", values((2, *SIZE)), "CYX", levels=2)
    mask = np.zeros(SIZE, bool)
    mask[3, 4] = True
    run(tmp_path, path, "out.zarr", mask=mask)
    old, new = tree(path), tree(tmp_path / "out.zarr")
    same = {name: digest for name, digest in old.items() if new[name.replace("in.zarr", "out.zarr")] == digest}
    changed = sorted(name for name in old.keys() - same.keys() if "/c/" in name)
    assert changed == [f"in.zarr/s{level}/c/{channel}/0/0" for level in range(2) for channel in range(2)]


def test_tiff_becomes_zarr_and_zarr_tiff(tmp_path):
    array = values((3, 2, *SIZE))
    metadata = {"axes": "ZCYX", "PhysicalSizeX": 0.3, "PhysicalSizeZ": 2.0, "Channel": {"Name": ["a", "b"]}}
    tifffile.imwrite(tmp_path / "in.ome.tif", array, ome=True, metadata=metadata, photometric="minisblack")
    run(tmp_path, tmp_path / "in.ome.tif", "out.ome.zarr")
    group = zarr.open_group(tmp_path / "out.ome.zarr", mode="r")
    ome = dict(group.attrs)["ome"]
    assert ome["version"] == "0.5" and [a["name"] for a in ome["multiscales"][0]["axes"]] == ["c", "z", "y", "x"]
    scale = ome["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"]
    assert scale[1] == 2.0 and scale[3] == 0.3
    assert [row["label"] for row in ome["omero"]["channels"]] == ["a", "b"]
    got = group["0"][...]
    assert np.array_equal(got.swapaxes(0, 1)[..., ~holes()], array[..., ~holes()])
    run(tmp_path, tmp_path / "out.ome.zarr", "back.ome.tif", mask=np.zeros(SIZE, bool))
    with tifffile.TiffFile(tmp_path / "back.ome.tif") as file:
        assert file.series[0].axes == "CZYX" and np.array_equal(file.asarray(), got)
        assert 'PhysicalSizeX="0.3"' in file.ome_metadata and 'Name="b"' in file.ome_metadata
        ome_schema().validate(file.ome_metadata)


def test_another_version_on_request_and_floats(tmp_path):
    path = zarr_file(tmp_path / "in.zarr", values((2, *SIZE)), "CYX", version="0.5", names=("x", "y"))
    run(tmp_path, path, "old.zarr", write=StackWrite(ngff="0.4"))
    words = json.loads((tmp_path / "old.zarr/.zattrs").read_text())
    assert words["multiscales"][0]["version"] == "0.4" and words["omero"]["channels"][1]["label"] == "y"
    assert (tmp_path / "old.zarr/0/.zarray").is_file() and (tmp_path / "old.zarr/0/0/0/0").is_file()
    run(tmp_path, tmp_path / "old.zarr", "new.zarr", write=StackWrite(ngff="0.5", floating=True))
    group = zarr.open_group(tmp_path / "new.zarr", mode="r")
    assert group.metadata.zarr_format == 3 and group["0"].dtype == np.float32
    assert np.array_equal(group["0"][...][..., ~holes()], values((2, *SIZE))[..., ~holes()])
    assert (group["0"][...][..., holes()] == filled(dtype=np.float32)[holes()]).all()


def test_labels_of_the_same_file_are_a_mask(tmp_path):
    path = zarr_file(tmp_path / "in.zarr", values((2, *SIZE)), "CYX")
    zarr_file(tmp_path / "in.zarr/labels/dust", holes().astype(np.uint8) * 7, "YX")
    report = process_file(path, tmp_path / "out.zarr", read=StackRead(mask=f"{path}[labels/dust]"))
    assert report.filled == 2 * holes().sum()
    assert zarr.open_group(tmp_path / "out.zarr", mode="r")["labels/dust/s0"][17, 17] == 7


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("chunks", [(1, 48, 64), (2, 11, 13), (1, 32, 32)])
def test_blocks_give_the_same_pixels_whatever_the_chunks(tmp_path, chunks):
    array = values((2, *SIZE))
    path = zarr_file(tmp_path / "in.zarr", array, "CYX", chunks=chunks, levels=2)
    report = run(tmp_path, path, "out.zarr")
    assert report.filled == 2 * holes().sum() == sum(plane["masked"] for plane in report.planes)
    assert len(report.planes) == 8, "two planes of four blocks"
    got = zarr.open_group(tmp_path / "out.zarr", mode="r")["s0"][...]
    assert np.array_equal(got[:, ~holes()], array[:, ~holes()])
    assert (got[:, holes()] == filled()[holes()]).all()


@pytest.mark.usefixtures("small_blocks")
def test_blocks_of_a_tiff_and_blocks_without_masked_pixels(tmp_path):
    array = values(SIZE)
    tifffile.imwrite(tmp_path / "in.tif", array, tile=(16, 16), compression="zlib")
    mask = np.zeros(SIZE, bool)
    mask[40, 50:60] = True
    report = run(tmp_path, tmp_path / "in.tif", mask=mask)
    assert len(report.planes) == 1, "three of four blocks were never read for the task"
    got = tifffile.imread(tmp_path / "out.tif")
    assert np.array_equal(got[~mask], array[~mask]) and (got[mask] == filled()[mask]).all()
    with pytest.raises(InputError) as caught:
        run(tmp_path, tmp_path / "in.tif", "b.tif", mask=np.ones(SIZE, bool) & (np.arange(64) != 3))
    assert caught.value.code == "nothing_observed" and "98.4 %" in caught.value.message


def plate(path):
    zarr_file(path / "A/1/0", values(SIZE), "YX")
    zarr_file(path / "A/2/0", values(SIZE), "YX")
    zarr.open_group(path, mode="a").attrs["ome"] = {"version": "0.5", "plate": {"wells": []}}


def no_group(path):
    path.mkdir()


def broken_json(path):
    zarr_file(path, values(SIZE), "YX")
    (path / "zarr.json").write_text('{"attributes": {"ome": ')


def broken_chunk(path):
    zarr_file(path, values(SIZE), "YX")
    (path / "s0/c/0/0").write_bytes(b"nonsense")


def missing_array(path):
    zarr_file(path, values(SIZE), "YX")
    (path / "s0/zarr.json").unlink()


def bare_array(path):
    zarr.create_array(path, shape=(4, *SIZE), dtype="u2")


def bomb(path):
    zarr_file(path, values(SIZE), "YX")
    words = json.loads((path / "s0/zarr.json").read_text())
    words["shape"] = [10**6, 10**6]
    (path / "s0/zarr.json").write_text(json.dumps(words))


def fat_chunk(path):
    zarr_file(path, values(SIZE), "YX")
    words = json.loads((path / "s0/zarr.json").read_text())
    words["chunk_grid"]["configuration"]["chunk_shape"] = [10**5, 10**5]
    (path / "s0/zarr.json").write_text(json.dumps(words))


def strange_codec(path):
    zarr_file(path, values(SIZE), "YX")
    words = json.loads((path / "s0/zarr.json").read_text())
    words["codecs"][-1]["name"] = "quux"
    (path / "s0/zarr.json").write_text(json.dumps(words))


TABLE = [
    (plate, "no_image"), (no_group, "not_zarr"), (broken_json, "bad_header"), (broken_chunk, "truncated"),
    (missing_array, "bad_header"), (bare_array, "axes"), (bomb, "too_large"), (fat_chunk, "too_large"),
    (strange_codec, "compression"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "code"), TABLE, ids=[row[0].__name__ for row in TABLE])
def test_bad_hierarchies_are_refused_with_a_code_and_leave_nothing(tmp_path, make, code):
    path = tmp_path / "x.zarr"
    make(path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(GencosmoError) as caught:
        process_file(path, tmp_path / "out.zarr")
    assert caught.value.code == code, caught.value
    assert sorted(tmp_path.iterdir()) == before
    if make is plate:
        assert "--hdu A/1/0" in caught.value.hint
        assert read(path, hdu="A/2/0").shape == (1, *SIZE)
    if make is bare_array:
        assert read(path, axes="ZYX", z=2).shape == (1, *SIZE)


def test_consolidated_metadata_know_the_new_groups(tmp_path):
    for version, number in (("0.4", 2), ("0.5", 3)):
        path = zarr_file(tmp_path / f"{number}.zarr", values(SIZE), "YX", version=version)
        zarr.consolidate_metadata(path, zarr_format=number)
        with warnings.catch_warnings():
            warnings.simplefilter("error", zarr.errors.ZarrUserWarning)  # no word of ours: the input has them too
            run(tmp_path, path, f"out{number}.zarr")
        group = zarr.open_group(tmp_path / f"out{number}.zarr", mode="r", use_consolidated=True)
        assert np.array_equal(group["gcm_std/s0"][...] > 0, holes())


def test_nothing_masked_is_a_copy_and_a_folder_is_replaced_only_when_asked(tmp_path):
    path = zarr_file(tmp_path / "in.zarr", values(SIZE), "YX")
    report = process_file(path, tmp_path / "out.zarr")
    assert report.status == "copied" and codes(report) == ["nothing_to_fill"]
    assert [*tree(path).values()] == [*tree(tmp_path / "out.zarr").values()]
    assert process_file(path, tmp_path / "out.zarr", resume=True).status == "skipped"
    with pytest.raises(GencosmoError) as caught:
        run(tmp_path, path, "out.zarr")
    assert caught.value.code == "exists"
    for out in ("in.zarr", "in.zarr/inner.zarr", "."):
        with pytest.raises(GencosmoError):
            process_file(path, tmp_path / out)
    run(tmp_path, path, "out.zarr", write=StackWrite(overwrite=True))
    assert zarr.open_group(tmp_path / "out.zarr", mode="r")["s0"][17, 17] == filled()[17, 17]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.zarr", "mask.tif", "out.zarr"]
