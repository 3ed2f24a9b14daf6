"""Bad files: each with its code and its text, before a pixel is touched."""

import gzip
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

import gencosmo.io as gio
from gencosmo.errors import FormatError, GencosmoError, InputError, TooLargeError
from gencosmo.io.cards import BLOCK
from gencosmo.io.fits import read_fits
from gencosmo.io.hdus import Limits, open_fits

from .files import SHAPE, plain_file, sky, stsci_file, write


def header(*cards: str) -> bytes:
    raw = "".join(f"{card:80}" for card in (*cards, "END")).encode()
    return raw.ljust(-(-len(raw) // BLOCK) * BLOCK)


def image_header(bitpix=-32, width=56, height=40, more=()) -> bytes:
    words = {"SIMPLE": "T", "BITPIX": bitpix, "NAXIS": 2, "NAXIS1": width, "NAXIS2": height}
    return header(*(f"{key:8}= {value!s:>20}" for key, value in words.items()), *more)


BAD = [
    ("empty", b"", FormatError, "not_fits", "it is empty"),
    ("png", b"\x89PNG\r\n\x1a\n" + bytes(3000), FormatError, "not_fits", "it starts with b'\\x89PNG"),
    ("no_end", b"SIMPLE  =".ljust(BLOCK), FormatError, "not_fits", "missing END card (2880 bytes read)"),
    ("garbage", b"SIMPLE  =" + bytes(9000), FormatError, "not_fits", "missing END card (9009 bytes read)"),
    ("bitpix", image_header(7), InputError, "bad_header", "BITPIX=7 is not one of 8,16,32,64,-32,-64"),
    ("negative", image_header(width=-5), InputError, "bad_header", "NAXIS1=-5 is not a length"),
    ("missing_axis", image_header().replace(b"NAXIS2", b"NAXISX"), InputError, "bad_header", "NAXIS2=None"),
    ("zero", image_header(width=0), InputError, "empty_image", "image has zero pixels (NAXIS1=0)"),
    ("short", image_header() + bytes(8959), InputError, "truncated", "8 960 bytes of data, file has 8 959"),
    ("bscale", image_header(more=["BSCALE  = 0"]) + bytes(8960), InputError, "bad_header", "BSCALE=0"),
    ("text", image_header(more=["BZERO   = 'abc'"]) + bytes(8960), InputError, "bad_header", "BZERO='abc'"),
    ("nothing", header("SIMPLE  = T", "BITPIX  = 8", "NAXIS   = 0"), InputError, "no_image",
     "no image HDU; HDUs: 0 PRIMARY (empty)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "raw", "kind", "code", "text"), BAD, ids=[row[0] for row in BAD])
def test_bad_files(tmp_path, name, raw, kind, code, text):
    path = tmp_path / "x.fits"
    path.write_bytes(raw)
    with pytest.raises(kind) as caught:
        read_fits(str(path))
    assert caught.value.code == code
    assert text in caught.value.message
    assert caught.value.exit_code == 3
    assert caught.value.http_status == (415 if code == "not_fits" else 422)


def test_no_such_file_and_a_folder(tmp_path):
    for path in (tmp_path / "none.fits", tmp_path):
        with pytest.raises(InputError) as caught:
            gio.read(path)
        assert caught.value.code == "not_found"


def test_trap_23_first_image_hdu_is_taken_and_hdus_are_listed_on_failure(tmp_path):
    image = fits.ImageHDU(sky(), name="SKY")
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), image)
    assert gio.read(path).shape == (1, *SHAPE)
    with pytest.raises(InputError) as caught:
        gio.read(path, hdu="SCI")
    assert caught.value.code == "hdu_not_found"
    assert caught.value.message == "no HDU 'SCI'; image HDUs: 'SKY'"
    assert caught.value.hint == "use --hdu SKY"


def test_missing_padding_at_the_end_is_no_fault(tmp_path):
    path = tmp_path / "a.fits"
    path.write_bytes(image_header() + sky().astype(">f4").tobytes())
    assert np.array_equal(gio.read(path).data[0], sky())


def test_bytes_after_the_last_hdu_are_no_part_of_the_file(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    with open(path, "ab") as file:
        file.write(bytes(5000))
    assert gio.read(path).shape == (1, *SHAPE)


def bombs(folder) -> dict[str, str]:
    """A plain header, a compressed header, a gzip stream and a cube in one that ask for gigabytes; a cut file."""
    big = image_header(-64, 60000, 60000)
    (folder / "plain.fits").write_bytes(big)
    with gzip.open(folder / "stream.fits.gz", "wb", compresslevel=9) as file:
        file.write(big)
        for _ in range(300):
            file.write(bytes(1 << 20))
    write(folder / "tile.fits", fits.PrimaryHDU(), fits.CompImageHDU(sky((8, 8)), tile_shape=(8, 8)))
    raw = (folder / "tile.fits").read_bytes()
    for axis in (b"1", b"2"):
        for word in (b"ZNAXIS", b"ZTILE"):
            key = (word + axis).ljust(8) + b"= "
            at = raw.index(key)
            raw = raw[:at] + key + b"60000".rjust(20) + raw[at + 30 :]
    (folder / "tile.fits").write_bytes(raw)
    cards = ("SIMPLE  = T", "BITPIX  = -64", "NAXIS   = 3", "NAXIS1  = 100", "NAXIS2  = 100", "NAXIS3  = 9000000")
    (folder / "cube.fits.gz").write_bytes(gzip.compress(header(*cards) + bytes(1 << 20)))
    (folder / "cut.fits").write_bytes(Path(plain_file(folder / "whole.fits")).read_bytes()[:6000])
    return {"plain": "truncated", "stream": "too_large", "tile": "too_large", "cube": "too_large", "cut": "truncated"}


def test_trap_26_27_bombs_are_refused_quickly_in_little_memory(tmp_path):
    """Under an address-space cap: decoding any of them would die."""
    codes = bombs(tmp_path)
    assert (tmp_path / "tile.fits").stat().st_size < 20_000
    script = (
        "import sys, resource, time\n"
        "from gencosmo.io.fits import read_fits\n"
        "from gencosmo.errors import GencosmoError\n"
        "resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))\n"
        "for path in sys.argv[1:]:\n"
        "    start = time.perf_counter()\n"
        "    try:\n"
        "        read_fits(path)\n"
        "    except GencosmoError as error:\n"
        "        print(error.code, time.perf_counter() - start, error.message)\n"
    )
    paths = [str(tmp_path / f"{name}.fits{'.gz' if name in ('stream', 'cube') else ''}") for name in codes]
    done = subprocess.run([sys.executable, "-c", script, *paths], capture_output=True, text=True, check=False)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(codes.values()), done.stderr
    assert all(float(line.split()[1]) < 1 for line in lines)
    assert "decoded image is 3.6e+09 pixels" in lines[2]
    assert "HDU PRIMARY needs 8 960 bytes of data, file has 3 120" in lines[4]
    assert resource.getrlimit(resource.RLIMIT_AS) != (2 << 30, 2 << 30), "the cap is the child's only"


@pytest.mark.parametrize("wide", [False, True])
def test_a_tile_that_unpacks_to_more_than_its_header_says(tmp_path, monkeypatch, wide):
    """A small image whose only tile is a bomb: refused before the decoder unpacks it."""
    from gencosmo.io import compress
    from gencosmo.io.cards import Cards
    from gencosmo.io.fits import ReadOptions

    monkeypatch.setattr(compress, "_shuffled", lambda plane: bytes(50 << 20))
    cards = Cards(fits.ImageHDU(sky((8, 8))).header.tostring(endcard=False, padding=False).encode())
    chunks = compress.compressed_hdu(cards, sky((8, 8)), "gzip")
    path = tmp_path / "a.fits"
    primary = header(
        "SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0"
    )
    path.write_bytes(primary + b"".join(chunks))
    assert path.stat().st_size < 100_000
    limits = Limits(unpacked=(100 << 20) if wide else (10 << 20))
    with pytest.raises(InputError) as caught:
        read_fits(str(path), ReadOptions(limits=limits))
    assert caught.value.code == ("damaged" if wide else "too_large"), "within the limit the decoder judges"


def test_limits_count_pixels(tmp_path):
    path = plain_file(tmp_path / "a.fits")
    with pytest.raises(TooLargeError, match="limit 1e"):
        read_fits(path, gio_options(1000))
    assert read_fits(path, gio_options(SHAPE[0] * SHAPE[1])).shape == (1, *SHAPE)


def gio_options(pixels):
    from gencosmo.io.fits import ReadOptions

    return ReadOptions(limits=Limits(pixels=pixels))


def test_tiles_that_do_not_belong_to_the_header(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.CompImageHDU(sky()))
    raw = Path(path).read_bytes()
    at = raw.index(b"ZNAXIS2 =")
    (tmp_path / "b.fits").write_bytes(raw[:at] + b"ZNAXIS2 = " + b"400".rjust(20) + raw[at + 30 :])
    with pytest.raises(InputError, match="has 40 rows, its ZNAXIS and ZTILE cards ask for 400 tiles"):
        gio.read(tmp_path / "b.fits")


def test_a_damaged_tile_is_told(tmp_path):
    path = write(tmp_path / "a.fits", fits.PrimaryHDU(), fits.CompImageHDU(sky(), compression_type="GZIP_1"))
    raw = bytearray(Path(path).read_bytes())
    raw[-BLOCK : -BLOCK + 2000] = b"\xff" * 2000
    (tmp_path / "b.fits").write_bytes(raw)
    with pytest.raises(InputError) as caught:
        gio.read(tmp_path / "b.fits")
    assert caught.value.code == "damaged"


@pytest.mark.parametrize("cut", [10, 3000, 5000])
def test_a_truncated_gzip_file(tmp_path, cut):
    raw = gzip.compress(Path(plain_file(tmp_path / "a.fits")).read_bytes())
    (tmp_path / "b.fits.gz").write_bytes(raw[:cut])
    with pytest.raises(InputError) as caught:
        gio.read(tmp_path / "b.fits.gz")
    assert caught.value.code in ("truncated", "not_fits")


def test_a_gzip_stream_is_unpacked_to_its_limit_only(tmp_path):
    path = plain_file(tmp_path / "a.fits.gz")
    with pytest.raises(TooLargeError, match="unpacks to more than 8 000 bytes"):
        open_fits(path, Limits(unpacked=8000))
    with open_fits(path, Limits(unpacked=20000)) as file:
        assert file.images()


def test_gzip_of_several_members(tmp_path):
    raw = Path(plain_file(tmp_path / "a.fits")).read_bytes()
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress(raw[:4000]) + gzip.compress(raw[4000:]))
    assert np.array_equal(gio.read(tmp_path / "b.fits.gz").data[0], sky())


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_any_damage_gives_our_error_or_an_image(tmp_path_factory, data):
    """Flip bytes in headers and structure of a real layout: nothing but our own errors may come out."""
    folder = tmp_path_factory.getbasetemp()
    path = folder / "whole.fits"
    if not path.exists():
        stsci_file(path)
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, 40000)) % len(raw)
        raw[place] = data.draw(st.sampled_from(list(b"\x00\xff 0123456789-TF='/NAXIS")))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    broken = folder / "broken.fits"
    broken.write_bytes(raw)
    told: list[GencosmoError] = []
    start = time.perf_counter()
    try:
        read_fits(str(broken), gio_options(1 << 20))
    except GencosmoError as error:
        told.append(error)
    assert all(error.message and error.code for error in told)
    assert time.perf_counter() - start < 5


def test_open_files_tell_what_is_in_them(tmp_path):
    with open_fits(stsci_file(tmp_path / "a.fits")) as file:
        assert [hdu.kind for hdu in file.hdus] == ["empty", "image", "image", "image", "table"]
        assert file.select("SCI,1").index == file.select("2").index == file.select(2).index == 2
        assert "4 CAT (table)" in file.listing()
