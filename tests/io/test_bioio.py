"""What bioio reads: by a stand-in for its plugins, by LIF files made here, by CZI written with the makers' library."""

import datetime
import importlib.machinery
import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import tifffile

from gencosmo.batch import Job, process_files
from gencosmo.errors import FormatError, GencosmoError, GencosmoWarning, InputError
from gencosmo.io import read
from gencosmo.io.bioio import BioStack
from gencosmo.io.stack_options import StackRead

from .leica import write_lif
from .stacks import SIZE, holes, mask_file, ome_schema, quick_task, run, values  # noqa: F401

LIMIT = 1 << 20


class FakeLazy:
    """As much of a dask array as the reader asks for."""

    def __init__(self, array):
        self.array, self.dtype, self.shape = array, array.dtype, array.shape

    def reshape(self, shape):
        return FakeLazy(self.array.reshape(shape))

    def __getitem__(self, index):
        return FakeLazy(self.array[index])

    def compute(self):
        if self.array.min() == self.array.max():
            raise OSError("read 3 bytes, expected 6144\nand more lines")
        return self.array


class UnsupportedFileFormatError(Exception):
    """Named as that of bioio."""


class FakeReader:
    """The interface of the readers of bioio 1 to 3 that is used: named axes, sizes in micrometres."""

    letters, scenes, tiles = "TCZYX", ("first", "second"), False
    current_scene_index = 0
    time_interval = datetime.timedelta(milliseconds=500)
    channel_names = ("red", "green")
    physical_pixel_sizes = types.SimpleNamespace(X=0.2, Y=0.2, Z=-1.0)
    array = values((1, 2, 3, *SIZE))

    def set_scene(self, number):
        self.current_scene_index = number

    @property
    def current_scene(self):
        return self.scenes[self.current_scene_index]

    @property
    def dims(self):
        return types.SimpleNamespace(order=self.letters)

    @property
    def xarray_dask_data(self):
        return types.SimpleNamespace(dims=tuple(self.letters), data=FakeLazy(self.array + self.current_scene_index))

    @property
    def mosaic_xarray_dask_data(self):
        if not self.tiles:
            raise NotImplementedError
        whole = np.concatenate(list(self.array), -1)
        return types.SimpleNamespace(dims=tuple(self.letters.replace("M", "")), data=FakeLazy(whole))


class FakeBioImage:
    reader_class = FakeReader

    def __init__(self, path):
        if Path(path).read_bytes()[:4] != b"FAKE":
            raise UnsupportedFileFormatError("no plugin, and a page of advice")
        self.reader = self.reader_class()


@pytest.fixture
def fake(monkeypatch):
    """A bioio whose reader has the attributes that are given."""

    def install(**attributes):
        module = types.ModuleType("bioio")
        module.BioImage = type("BioImage", (FakeBioImage,), {"reader_class": type("R", (FakeReader,), attributes)})
        module.__spec__ = importlib.machinery.ModuleSpec("bioio", None)
        monkeypatch.setitem(sys.modules, "bioio", module)

    return install


@pytest.fixture
def path(tmp_path):
    (tmp_path / "in.czi").write_bytes(b"FAKE image")
    return tmp_path / "in.czi"


def test_other_kinds_come_through_bioio_when_it_is_there(tmp_path, path, quick_task, fake):  # noqa: F811
    fake(scenes=("first",))
    (report,) = process_files(
        [path], tmp_path / "out", job=Job(read=StackRead(mask=mask_file(tmp_path), channels=(1,)))
    )
    assert report.status == "done" and report.profile == "bioio" and report.filled == 3 * holes().sum()
    assert [entry["code"] for entry in report.warnings].count("pixel_size") == 1
    assert "several_images" not in [entry["code"] for entry in report.warnings]
    with tifffile.TiffFile(tmp_path / "out/in.ome.tif") as file:
        got, xml = file.asarray(), file.ome_metadata
    ome_schema().validate(xml)
    assert 'Name="green"' in xml and 'PhysicalSizeX="0.2"' in xml and "PhysicalSizeZ" not in xml
    assert 'TimeIncrement="0.5"' in xml and 'TimeIncrementUnit="s"' in xml
    assert np.array_equal(got[..., ~holes()], values((1, 2, 3, *SIZE))[0][..., ~holes()])


def test_what_to_install_is_said(tmp_path, path, fake, monkeypatch):
    monkeypatch.setitem(sys.modules, "bioio", None)
    for name, code, hint in (
        ("in.czi", "extra", "pip install 'gencosmo[bioio]' bioio-czi"),
        ("in.LIF", "extra", "pip install 'gencosmo[bioio]' bioio-lif"),
        ("in.dat", "not_fits", "pip install 'gencosmo[bioio]'"),
    ):
        (tmp_path / name).write_bytes(b"any bytes")
        with pytest.raises(FormatError) as caught:
            read(tmp_path / name)
        assert caught.value.code == code and hint in caught.value.hint
    fake()
    monkeypatch.setattr("gencosmo.io.bioio.find_spec", lambda name: None)
    for name, hint in (("in.LIF", "pip install bioio-lif"), ("in.dat", "bioio-bioformats")):
        with pytest.raises(FormatError) as caught:
            read(tmp_path / name)
        assert caught.value.code == "not_readable" and hint in caught.value.hint
        assert "advice" not in str(caught.value)
    monkeypatch.setattr("gencosmo.io.bioio.find_spec", lambda name: name == "bioio_lif")
    with pytest.raises(FormatError, match="cannot be read by bioio-lif") as caught:
        read(tmp_path / "in.LIF")
    assert "re-transfer" in caught.value.hint


def test_scenes_are_told_and_chosen_by_number_or_name(path, fake):
    fake()
    with pytest.warns(GencosmoWarning, match="2 scenes, this is the first; --hdu .*1 \\(second\\)") as told:
        first = read(path, z=0)
    assert any(one.message.code == "several_images" for one in told)
    for name in ("1", "second"):
        with pytest.warns(GencosmoWarning) as told:
            image = read(path, z=0, hdu=name)
        assert all(one.message.code == "pixel_size" for one in told)
        assert np.array_equal(image.data, first.data + 1)
    for name in ("2", "third", "-1"):
        with pytest.raises(InputError, match="it has 2: 0 \\(first\\), 1 \\(second\\)") as caught:
            read(path, z=0, hdu=name)
        assert caught.value.code == "hdu_not_found"


def test_axes_are_those_of_the_file(path, fake):
    """The standard order of bioio drops all but the first of other axes, and asks for names of channels."""
    views = values((3, 2, *SIZE))
    fake(letters="VCYX", array=views, channel_names=None, scenes=("one",))
    with pytest.raises(InputError, match="beyond TCZYXS: V 3; all of them are VCYX, 3x2x48x64") as caught:
        BioStack(str(path), None, None, LIMIT)
    assert caught.value.code == "axes" and "--axes" in caught.value.hint
    with BioStack(str(path), "TCYX", None, LIMIT) as stack:
        assert stack.axes.letters == "TCYX" and stack.details.channel_names == ()
        for plane in stack.axes.planes():
            assert np.array_equal(stack.read(plane), views[plane.t, plane.c])
    fake(letters="CTZYX", array=values((2, 1, 3, *SIZE)), channel_names=(np.int64(0), np.int64(1)))
    with BioStack(str(path), None, None, LIMIT) as stack:
        assert stack.axes.inside[:3] == (1, 2, 3) and stack.details.channel_names == ("0", "1")


def test_tiles_are_put_together_where_the_plugin_can(path, fake):
    fake(letters="MYX", array=values((2, *SIZE)), tiles=True)
    with BioStack(str(path), None, None, LIMIT) as stack:
        assert stack.axes.shape == (SIZE[0], 2 * SIZE[1])
    fake(letters="MYX", array=values((2, *SIZE)))
    with pytest.raises(InputError, match="M 2"):
        BioStack(str(path), None, None, LIMIT)


def test_what_a_plugin_cannot_decode_is_an_error_of_the_file(path, fake):
    fake(array=np.zeros((1, 1, 1, *SIZE), np.uint16))
    with pytest.raises(FormatError, match=r"read 3 bytes, expected 6144 \(") as caught:
        read(path)
    assert caught.value.code == "not_readable"


def test_the_bits_of_the_camera_say_what_is_full(path, fake):
    array = values((1, 2, 1, *SIZE)) % 4000
    array[0, :, 0, ::16, ::16], array[0, 1, 0, 4, 4] = 4095, 9000
    pixels = types.SimpleNamespace(pixels=types.SimpleNamespace(significant_bits=12))
    fake(array=array, scenes=("one",), ome_metadata=types.SimpleNamespace(images=[pixels]))
    with pytest.warns(GencosmoWarning, match="Z = -1.0"):
        image = read(path, find=("sat",))
    assert image.mask[0, ::16, ::16].all() and image.mask[0].sum() == 12
    # The second channel has values that 12 bits cannot hold: what the file claims is wrong there.
    assert not image.mask[1].any()


def test_a_lif_by_the_plugin_itself(tmp_path, quick_task):  # noqa: F811
    pytest.importorskip("bioio_lif")
    array, other = values((2, 2, 3, *SIZE)), values((1, 1, 1, 32, 40)).astype(np.uint8)
    write_lif(tmp_path / "in.lif", {"Series 1": array, "overview": other, "lambda": values((4, 32, 40))})
    report = run(tmp_path, tmp_path / "in.lif", "out.ome.tif", channels=("red",), times=(1,))
    assert report.status == "done" and report.profile == "bioio" and report.filled == 3 * holes().sum()
    assert [one["code"] for one in report.warnings].count("several_images") == 1
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        got, xml = file.asarray(), file.ome_metadata
        assert file.series[0].axes == "TCZYX"
    for words in ('Name="Red"', 'PhysicalSizeZ="1.0"', 'Name="Series 1"'):
        assert words in xml
    assert float(re.findall(r'PhysicalSizeX="([0-9.]+)"', xml)[0]) == pytest.approx(0.2)
    changed = (got != array).any((3, 4))
    assert changed[1, 1].all() and changed.sum() == 3 and np.array_equal(got[..., ~holes()], array[..., ~holes()])
    assert np.array_equal(read(tmp_path / "in.lif", hdu="overview").data, other[0, 0])
    with pytest.raises(FormatError) as caught:  # wavelengths, which the plugin does not know
        read(tmp_path / "in.lif", hdu="lambda")
    assert caught.value.code == "not_readable"


def test_a_lif_that_ends_early(tmp_path):
    pytest.importorskip("bioio_lif")
    write_lif(tmp_path / "in.lif", {"one": values((1, 1, 4, *SIZE))})
    whole = (tmp_path / "in.lif").read_bytes()
    for share in (0.9, 0.05):
        (tmp_path / "in.lif").write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(GencosmoError) as caught:
            read(tmp_path / "in.lif", z=3)
        assert caught.value.code == "not_readable"


def test_a_czi_by_the_plugin_itself(tmp_path, quick_task):  # noqa: F811
    """Written by the library of the makers; both packages are of the extra and are often not there."""
    czi = pytest.importorskip("pylibCZIrw.czi")
    pytest.importorskip("bioio_czi")
    array = values((2, 3, 2, *SIZE))
    with czi.create_czi(str(tmp_path / "in.czi")) as file:
        for t, c, z in np.ndindex(array.shape[:3]):
            file.write(array[t, c, z][..., None], plane={"T": t, "C": c, "Z": z})
        names = {0: "DAPI", 1: "Tubulin", 2: "Actin"}
        file.write_metadata("a well", channel_names=names, scale_x=0.65e-6, scale_y=0.65e-6, scale_z=2e-6)
    report = run(tmp_path, tmp_path / "in.czi", "out.ome.tif", channels=("tubulin",), times=(1,))
    assert report.status == "done" and report.profile == "bioio" and report.filled == 2 * holes().sum()
    with tifffile.TiffFile(tmp_path / "out.ome.tif") as file:
        got, xml = file.asarray(), file.ome_metadata
        assert file.series[0].axes == "TCZYX"
    for words in ('Name="Tubulin"', 'PhysicalSizeX="0.65"', 'PhysicalSizeZ="2.0"'):
        assert words in xml
    changed = (got != array).any((3, 4))
    assert changed[1, 1].all() and changed.sum() == 2 and np.array_equal(got[..., ~holes()], array[..., ~holes()])
