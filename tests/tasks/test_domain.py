"""Unseen kinds of images are told, ordinary frames are not; ranges come from the card."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

import gencosmo
from gencosmo.errors import GencosmoWarning
from gencosmo.flags import bits
from gencosmo.image import Image, as_image
from gencosmo.priors.cards import Card, card_path
from gencosmo.priors.looks import MIN_PIXELS, STATISTICS, frame_looks, join_domains, measure_domain, strange_looks
from gencosmo.scaling import measure_scaling
from gencosmo.tasks.domain import REACH, judge_domain, unseen_looks, widest_holes
from tests.tasks.strange import STRANGE, granulation, ordinary, raw_colour

CARD = Card.read(card_path("sky"))


def told(image: Image, card: Card = CARD) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GencosmoWarning)
        judge_domain(image, card)
    return [str(w.message) for w in caught]


@pytest.mark.parametrize("make", STRANGE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_strange_images_are_told_and_why(make, seed):
    (text,) = told(as_image(make(seed)))
    assert STATISTICS[STRANGE[make]] in text, text
    assert "unlike the frames that prior sky was trained on" in text


@pytest.mark.parametrize("seed", range(12))
def test_ordinary_frames_are_not(seed):
    image = ordinary(seed)
    assert told(as_image(image)) == []
    image[:, 70:73] = 6e4  # a bleed column
    image[20:90, 40] = np.nan
    assert told(as_image(image)) == []


def test_the_result_says_so_too():
    mask = np.zeros((160, 160), bool)
    mask[40, 30:40] = True
    image = granulation(4)
    with pytest.warns(GencosmoWarning, match="smooth structure fills the frame"):
        result = gencosmo.inpaint(image, mask, device="cpu")
    assert ((result.flags[mask] & bits("OUT_OF_DOMAIN")) > 0).all()
    assert not (result.flags[~mask] & bits("OUT_OF_DOMAIN")).any()


def test_only_the_strange_channel_is_flagged():
    data = np.stack([ordinary(0), raw_colour(0), raw_colour(1)])
    flags = np.zeros(data.shape, np.uint32)
    flags[:, 5, 5] = 1
    image = Image(data, flags=flags)
    (text,) = told(image)
    assert text.startswith("channel 1 and 1 more: ")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        extra = judge_domain(image, CARD)
    assert [bool(plane[5, 5]) for plane in extra] == [False, True, True] and np.count_nonzero(extra) == 2


def test_a_card_without_ranges_compares_nothing():
    assert told(as_image(granulation(0)), replace(CARD, domain={})) == []


def test_small_and_constant_planes_are_not_judged():
    assert frame_looks(np.zeros((200, 200), np.float32), np.ones((200, 200), bool)) == {}
    side = int(np.sqrt(MIN_PIXELS)) - 1
    image = as_image(raw_colour(0, side))
    assert unseen_looks(image, 0, CARD) == ""


def test_looks_do_not_depend_on_units_and_orientation():
    image = ordinary(3)
    good = np.ones(image.shape, bool)

    def looks(values):
        return frame_looks(measure_scaling(values, good).to_flux(values), good)

    one = looks(image)
    for other in (looks(image * np.float32(1e-9)), looks(np.ascontiguousarray(image.T)), looks(image - 700)):
        assert other == pytest.approx(one, abs=0.02)


def test_ranges_are_those_of_the_frames_and_some_room():
    frames = [measure_scaling(f, np.ones(f.shape, bool)).to_flux(f) for f in map(ordinary, range(3))]
    domain = measure_domain(frames)
    for flux in frames:
        assert strange_looks(frame_looks(flux, np.isfinite(flux)), domain) == []
    assert strange_looks({"mosaic": 50.0, "structure": 2.0}, domain) == ["mosaic", "structure"]
    wider = join_domains(domain, dict.fromkeys(domain, (-9.0, 0.0)))
    assert all(wider[key] == (-9.0, max(high, 0.0)) for key, (_, high) in domain.items())
    assert join_domains({}, domain) == domain and measure_domain([]) == {}


@pytest.mark.skipif(not os.environ.get("GENCOSMO_TEST_DATA"), reason="GENCOSMO_TEST_DATA is not set")
def test_real_frames_raise_no_false_alarm():
    """One file of each group, of training and of test; `benchmarks.quality.domain` counts them all."""
    from benchmarks.quality.domain import STAMPS, frames

    found, count = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for group, name, image in frames(files=1, leave=STAMPS):
            count += image.shape[0]
            found += [f"{group}/{name}: {why}" for c in range(image.shape[0]) if (why := unseen_looks(image, c, CARD))]
    assert count > 12 and found == []


@pytest.mark.skipif(not os.environ.get("GENCOSMO_TEST_DATA"), reason="GENCOSMO_TEST_DATA is not set")
def test_a_real_spectrum_is_told():
    path = os.path.join(os.environ["GENCOSMO_TEST_DATA"], "astro/gmos_cr/gmos.fits")
    assert "spectrum" in unseen_looks(gencosmo.read(path, hdu=1), 0, CARD)


def wide(mask: np.ndarray) -> np.ndarray:
    image = as_image(np.random.default_rng(2).normal(size=mask.shape).astype(np.float32), mask=mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GencosmoWarning)
        return (judge_domain(image, replace(CARD, domain={}))[0] & bits("HOLE_TOO_LARGE")) > 0


def test_only_the_wide_part_of_a_hole_is_too_large():
    """Dead columns, trails and cosmic rays that run into a chip gap are as narrow as before."""
    gap, column = np.zeros((2, 300, 300), bool)
    gap[100:150], column[:, 200:202] = True, True
    assert np.array_equal(wide(gap), gap), "every pixel of a straight gap, at the edges of the frame too"
    found = wide(gap | column)
    assert found[gap].all()
    assert not found[:85, 200].any() and not found[165:, 200].any()
    square = np.zeros((300, 300), bool)
    square[100:140, 100:140] = True
    assert np.array_equal(wide(square), square), "its corners too"


@pytest.mark.parametrize(("width", "expected"), [(16, False), (17, True)])
def test_at_the_edge_of_the_frame_holes_go_on(width, expected):
    """The innermost pixel is as far from good ones as in the middle of a hole twice as wide."""
    assert CARD.largest_hole == 32
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        mask = np.zeros((200, 200), bool)
        mask[edge] = True
        assert wide(mask).any() == expected
    inside = np.zeros((200, 200), bool)
    inside[50 : 50 + 2 * width - 1] = True
    assert wide(inside).any() == expected


def test_a_plane_without_any_good_pixel_is_one_hole():
    assert wide(np.ones((100, 120), bool)).all()
    (text,) = told(as_image(np.eye(100, dtype=np.float32), mask=np.ones((100, 100))), replace(CARD, domain={}))
    assert "200 px wide" in text


def test_the_short_way_finds_what_the_definition_says():
    """Holes are looked at one by one only where a square fits that every wide disc holds."""
    rng = np.random.default_rng(8)
    for limit in (5, 12, 23):
        mask = rng.random((90, 110)) < 0.01
        mask[20:45, 30 : 31 + limit], mask[:, 80] = True, True
        mask[-(limit // 2 + 1) :, :60] = True
        label, count = ndimage.label(mask)
        wide_ones, farthest = np.zeros(mask.shape, bool), 0.0
        for number in range(1, count + 1):
            distance = ndimage.distance_transform_edt(label == number)
            if 2 * distance.max() >= limit + 1:
                farthest = max(farthest, distance.max())
                near = ndimage.distance_transform_edt(2 * distance < limit + 1) <= REACH * limit
                wide_ones |= near & (label == number)
        found, width = widest_holes(mask, limit)
        assert np.array_equal(found, wide_ones) and width == int(2 * farthest) > limit
