"""An OME-TIFF made anew (an estimate of every pixel): instrument, dates, places, wavelengths of its document stay."""

from itertools import permutations

import numpy as np
import pytest
import tifffile

from gencosmo.batch import process_file
from gencosmo.io.camera import Camera
from gencosmo.io.stack_options import StackRead

from .stacks import DATED, SIZE, ome_schema, quick_task, values  # noqa: F401

pytestmark = pytest.mark.usefixtures("denoise_task")

SPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
CHANNELS = "".join(
    f'<Channel ID="Channel:0:{n}" Name="{name}" Color="{color}" EmissionWavelength="{wave}" SamplesPerPixel="1"/>'
    for n, (name, color, wave) in enumerate((("DAPI", 65535, 461.0), ("GFP", 16711935, 509.0)))
)
PLANES = "".join(f'<Plane TheC="{c}" TheZ="0" TheT="0" PositionX="1200.0" ExposureTime="0.{c}"/>' for c in (1, 0))
RICH = (
    f'<OME xmlns="{SPACE}"><Dataset ID="Dataset:0"><ImageRef ID="Image:1"/></Dataset>'
    '<Instrument ID="Instrument:0"><Objective ID="Objective:0" LensNA="1.4"/></Instrument>'
    '<Image ID="Image:0" Name="cells"><AcquisitionDate>2024-05-06T07:08:09</AcquisitionDate>'
    '<InstrumentRef ID="Instrument:0"/><ObjectiveSettings ID="Objective:0"/>'
    '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SignificantBits="12" BigEndian="true" '
    f'SizeX="{SIZE[1]}" SizeY="{SIZE[0]}" SizeC="2" SizeZ="1" SizeT="1" PhysicalSizeX="0.1" PhysicalSizeY="-3">'
    f'{CHANNELS}<TiffData IFD="0" PlaneCount="2"/>{PLANES}</Pixels></Image>'
    '<Image ID="Image:1" Name="other"><Pixels ID="Pixels:1" DimensionOrder="XYCZT" Type="uint16" '
    f'SizeX="{SIZE[1]}" SizeY="{SIZE[0]}" SizeC="1" SizeZ="1" SizeT="1"><Channel ID="Channel:1:0" '
    'SamplesPerPixel="1"/><TiffData IFD="2" PlaneCount="1"/></Pixels></Image></OME>'
)


@pytest.fixture
def denoise_task(quick_task, monkeypatch):  # noqa: F811
    from gencosmo.batch import OPS

    monkeypatch.setitem(OPS, "denoise", OPS["inpaint"])


def made(path, out, **options):
    report = process_file(path, out, op="denoise", read=StackRead(camera=Camera(std=3.0), **options), write=DATED)
    assert report.status == "done"
    with tifffile.TiffFile(out) as file:
        return file.series[0].asarray(), file.series[0].axes, file.ome_metadata, len(file.series)


def test_the_document_of_the_input_goes_with_its_estimate(tmp_path):
    array = values((3, *SIZE))
    tifffile.imwrite(tmp_path / "a.ome.tif", array, photometric="minisblack", metadata=None, description=RICH)
    got, axes, text, series = made(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    np.testing.assert_array_equal(got, array[:2].astype(np.float32))
    assert (axes, series) == ("CYX", 1)
    ome_schema().validate(text)
    for kept in (
        "2024-05-06T07:08:09", 'LensNA="1.4"', 'EmissionWavelength="509.0"', 'PositionX="1200.0"', 'Color="65535"',
        '<ObjectiveSettings ID="Objective:0"', 'Type="float"', 'PhysicalSizeX="0.1"', "GCMOP",
    ):  # fmt: skip
        assert kept in text, kept
    for gone in ('Name="other"', "Dataset", "SignificantBits", "BigEndian", 'PhysicalSizeY="-3"'):
        assert gone not in text, gone


@pytest.mark.parametrize("order", ["".join(one) for one in permutations("TCZ")])
def test_planes_are_where_the_document_says(tmp_path, order):
    """Every order of pages; a name in the document shows that it is the input's."""
    sizes = dict(zip("TCZ", (2, 3, 4), strict=True))
    array = values((*(sizes[a] for a in order), *SIZE))
    told = {"axes": order + "YX", "Name": "mine", "Description": "kept"}
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, photometric="minisblack", metadata=told)
    got, axes, text, _ = made(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    assert axes == order + "YX" and "<Description>kept</Description>" in text
    np.testing.assert_array_equal(got, array.astype(np.float32))
    ome_schema().validate(text)


@pytest.mark.parametrize(("planar", "letters"), [("contig", "ZYXS"), ("separate", "ZSYX")])
def test_colours_stay_colours(tmp_path, planar, letters):
    array = values((2, *SIZE, 3) if planar == "contig" else (2, 3, *SIZE), np.uint8)
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, photometric="rgb", planarconfig=planar,
                     metadata={"axes": letters, "Description": "kept"})  # fmt: skip
    got, axes, text, _ = made(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif")
    assert axes == "ZYXS" and "<Description>kept</Description>" in text
    np.testing.assert_array_equal(got, (array if planar == "contig" else np.moveaxis(array, 1, -1)).astype(np.float32))
    ome_schema().validate(text)


def test_a_document_that_means_other_axes_is_made_anew(tmp_path):
    array = values((3, *SIZE))
    tifffile.imwrite(tmp_path / "a.ome.tif", array, ome=True, photometric="minisblack",
                     metadata={"axes": "CYX", "Description": "of channels"})  # fmt: skip
    got, axes, text, _ = made(tmp_path / "a.ome.tif", tmp_path / "b.ome.tif", axes="ZYX")
    assert axes == "ZYX" and "of channels" not in text
    np.testing.assert_array_equal(got, array.astype(np.float32))
    ome_schema().validate(text)
