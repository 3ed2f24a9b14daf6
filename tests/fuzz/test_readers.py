"""Readers against bytes that nobody meant: by hypothesis always, by atheris for a few seconds where it is installed."""

import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given, settings
from hypothesis import strategies as st

from gencosmo.io.cards import BLOCK, Cards

from .readers import read_file, read_header, seeds

ROOT = Path(__file__).parent.parent.parent
SECONDS = 4

KEYS = st.text(st.sampled_from("ABCNXZ0123456789-_"), min_size=1, max_size=8)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200),
)
WORDS = ["BITPIX", "NAXIS", "NAXIS1", "NAXIS2", "ZNAXIS1", "ZTILE1", "ZBITPIX", "PCOUNT", "GCOUNT", "BSCALE", "BZERO",
         "BLANK", "TFORM1", "THEAP", "EXTNAME", "CD1_1", "PC1_1", "CDELT1", "CRPIX1", "LTV1", "MP_CR", "MSKN0000",
         "MBIT_0", "A_ORDER", "ZCMPTYPE", "TFIELDS", "NAXIS3", "ZNAXIS3", "ZTILE3", "GCMOF", "GCMOFV",
         "GCMEXACT"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@given(st.dictionaries(KEYS, VALUES, max_size=12))
def test_any_header_that_astropy_writes_is_read_as_astropy_reads_it(words):
    header = fits.Header()
    for key, value in words.items():
        header[key] = value
    text = header.tostring(endcard=False, padding=False)
    cards, again = Cards(text.encode()), fits.Header.fromstring(text)  # astropy rounds long numbers when it writes
    for key in words:
        truth = again[key]
        assert cards.get(key) == truth or (isinstance(truth, str) and cards.text(key) == truth.strip()), key


@given(st.binary(max_size=2000))
def test_any_bytes_are_a_header_or_nothing(raw):
    read_header(raw)


@settings(max_examples=200)
@given(st.integers(0, 7), st.sampled_from(WORDS), VALUES, st.integers(0, 3))
def test_any_value_of_any_card_gives_an_image_or_our_error(folder, seed, key, value, place):
    """One card of a sound file replaced, in each of its headers."""
    raw = seeds()[seed]
    starts = [i for i in range(0, len(raw) - 80, 80) if raw[i : i + 10] == key.encode().ljust(8) + b"= "]
    card = fits.Header([(key, value)]).tostring(endcard=False, padding=False)[:80].encode()
    at = starts[place % len(starts)] if starts else raw.index(b"END     ")
    more = b"" if starts else b"END".ljust(80)
    read_file(raw[:at] + card + more + raw[at + 80 + len(more) :], folder)


@settings(max_examples=150)
@given(st.integers(0, 7), st.data())
def test_any_damage_to_any_layout_gives_an_image_or_our_error(folder, seed, data):
    raw = bytearray(seeds()[seed])
    for _ in range(data.draw(st.integers(1, 8))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    raw = raw[: data.draw(st.integers(0, len(raw)))] if data.draw(st.booleans()) else raw
    read_file(bytes(raw), folder)
    if data.draw(st.booleans()):
        packed = bytearray(gzip.compress(bytes(raw), mtime=0))
        packed[data.draw(st.integers(0, len(packed) - 1))] ^= data.draw(st.integers(0, 255))
        read_file(bytes(packed), folder)


def test_the_seeds_are_sound(folder):
    assert [read_file(raw, folder) for raw in seeds()] == [True] * 8
    assert all(len(raw) % BLOCK == 0 for raw in seeds())
    assert not read_file(b"", folder)
    assert not read_file(np.random.default_rng(0).bytes(5000), folder)


@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed")
def test_atheris_finds_nothing_in_a_few_seconds(tmp_path):
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        f"-max_total_time={SECONDS}",
        f"-artifact_prefix={tmp_path}/",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done" in done.stderr
    assert list(tmp_path.iterdir()) == []
