"""Finders on injected defects: they flag what was put in, and little else."""

import sys

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from gencosmo.errors import GencosmoWarning, UsageError
from gencosmo.finders import FINDERS, check_finders, find_defects
from gencosmo.flags import bits
from gencosmo.image import as_image
from gencosmo.scaling import difference_noise

SIZE = (160, 200)
FULL = 60000.0
WIDTH = 1.4


def field(seed=0, stars=60, bright=()):
    """Sky of noise 5 with stars of FWHM 3.3 px and their shot noise; bright ones have broad wings."""
    rng = np.random.default_rng(seed)
    rows, cols = np.indices(SIZE)
    image = np.zeros(SIZE)
    for _ in range(stars):
        y, x = rng.uniform(0, SIZE[0]), rng.uniform(0, SIZE[1])
        image += rng.uniform(50, 4000) * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / (2 * WIDTH**2))
    for y, x, peak in bright:
        radius = np.hypot(rows - y, cols - x)
        image += peak * (1 + (radius / 3.0) ** 2) ** -2.5
    return (image + 200 + rng.normal(0, 1, SIZE) * np.sqrt(25 + image)).astype(np.float32)


def flagged(image, name):
    return (image.flags[0] & bits(name)) != 0


def test_saturation_by_level_and_by_plateau():
    data = np.minimum(field(bright=[(80, 100, 4e5)]), FULL).astype(np.float32)
    full = data >= FULL
    assert full.sum() > 10
    for options in ({"saturation": FULL}, {}):
        image = find_defects(as_image(data), ["sat"], **options)
        assert np.array_equal(flagged(image, "SATURATED"), full)
        assert image.meta["found"] == {"sat": int(full.sum())}


def test_a_frame_without_saturation_gets_no_flag_and_a_word():
    with pytest.warns(GencosmoWarning, match="no saturation level in the header") as caught:
        image = find_defects(as_image(field()), ["sat"])
    assert caught[0].message.code == "saturation"
    assert image.flags.max() == 0


@pytest.mark.parametrize("turned", [False, True])
def test_bleed_trails_are_found_and_symmetric_wings_are_not(turned):
    data = field(bright=[(50, 60, 5e5), (110, 140, 5e5)])
    trail = np.zeros(SIZE, bool)
    trail[8:92, 59:62] = True
    data[trail] += 9000
    data = np.minimum(data, FULL).astype(np.float32)
    if turned:
        data, trail = np.ascontiguousarray(data.T), trail.T
    image = find_defects(as_image(data), ["sat", "bleed"], saturation=FULL)
    hit = flagged(image, "BLEED")
    open_trail = trail & (data < FULL)
    assert hit[open_trail].mean() > 0.95
    other = np.zeros(SIZE, bool)
    other[85:135, 115:165] = True
    assert not hit[other.T if turned else other].any(), "the star without a trail"


def test_hot_pixels_are_found_and_stars_are_not():
    data = field(stars=200)
    rng = np.random.default_rng(1)
    hot = rng.random(SIZE) < 0.002
    data[hot] += rng.uniform(150, 5000, int(hot.sum())).astype(np.float32)
    image = find_defects(as_image(data), ["hot"])
    hit = flagged(image, "HOT")
    assert hit[hot].mean() > 0.75, "those on stars are hidden"
    assert (hit & ~hot).sum() <= 1


def test_hot_pixels_in_pure_noise_are_none():
    noise = np.random.default_rng(3).normal(0, 5, (400, 400)).astype(np.float32)
    assert find_defects(as_image(noise), ["hot"]).meta["found"] == {"hot": 0}


def test_grey_levels_on_dark_ground_are_no_defects():
    """Most neighbours of such 8-bit fluorescence are equal, so that the noise of their differences is zero."""
    rng = np.random.default_rng(5)
    rows, cols = np.mgrid[:200, :200]
    cells = sum(60 * np.exp(-((rows - y) ** 2 + (cols - x) ** 2) / 40) for y, x in rng.uniform(0, 200, (8, 2)))
    level = np.rint(cells) + rng.choice((-1, 0, 1, 2), cells.shape, p=(0.03, 0.92, 0.04, 0.01))
    data = np.clip(level + 3, 0, 255).astype(np.float32)
    assert difference_noise(data, np.ones_like(data, bool)) == 0
    hot = np.zeros(data.shape, bool)
    hot[17, 40] = hot[120, 3] = True
    data[hot] = 200
    image = find_defects(as_image(data), ["hot", "dead"])
    assert image.meta["found"] == {"hot": 2, "dead": 0}
    assert flagged(image, "HOT")[hot].all()


def cosmic_rays(seed=2, number=15):
    rng = np.random.default_rng(seed)
    hits = np.zeros(SIZE, np.float32)
    for _ in range(number):
        y, x, angle = rng.uniform(10, 150), rng.uniform(10, 190), rng.uniform(0, np.pi)
        for step in range(rng.integers(4, 15)):
            row, col = int(y + step * np.sin(angle)), int(x + step * np.cos(angle))
            if row < SIZE[0] and col < SIZE[1]:
                hits[row, col] = rng.uniform(300, 2000)
    return hits


@pytest.mark.parametrize("told", [False, True])
def test_cosmic_rays_are_found_and_stars_are_not(told):
    hits = cosmic_rays()
    data = field(stars=80) + hits
    ivar = 1 / (25 + np.clip(data - 200, 0, None)) if told else None
    image = find_defects(as_image(data, ivar=ivar), ["cr"])
    hit = flagged(image, "COSMIC_RAY")
    assert hit[hits > 0].mean() > 0.9
    near = gaussian_filter((hits > 0).astype(float), 1.5) > 0.01
    assert (hit & ~near).mean() < 0.004, "a few stars that touch each other"


def test_what_is_masked_is_left_alone_and_channels_are_on_their_own():
    data = np.stack([field(0, stars=0), field(1, stars=0)])
    data[0, 20, 20] += 3000
    data[1, 30, 30] += 3000
    mask = np.zeros(data.shape, bool)
    mask[0, 20, 20] = True
    image = find_defects(as_image(data, mask), ["hot"])
    assert image.flags[0, 20, 20] == bits("USER")
    assert image.flags[1, 30, 30] == bits("HOT")
    assert image.meta["found"]["hot"] == 1


def test_finders_that_do_not_exist_or_cannot_run(monkeypatch):
    with pytest.raises(UsageError, match="expected sat, bleed, hot, dead, cr") as caught:
        find_defects(as_image(field()), ["ghosts"])
    assert (caught.value.code, caught.value.exit_code) == ("finder", 2)
    monkeypatch.setitem(sys.modules, "astroscrappy", None)
    with pytest.raises(UsageError) as caught:
        check_finders(["cr"])
    assert caught.value.code == "extra"
    assert "gencosmo[find]" in caught.value.hint
    check_finders([name for name in FINDERS if name != "cr"])


def test_dead_pixels_are_lone_and_dark():
    rng = np.random.default_rng(8)
    rows, cols = np.mgrid[:120, :120]
    light = 20 + 400 / (1 + np.exp((np.hypot(rows - 60, cols - 60) - 35) / 2))
    data = (rng.poisson(light) + 100).astype(np.float32)
    dead = [(60, 60), (50, 71), (70, 52)]
    for row, col in dead:
        data[row, col] = 101
    data[55:58, 40:43] = 102
    image = find_defects(as_image(data), ["dead"])
    found = {(int(r), int(c)) for r, c in np.argwhere(image.mask[0])}
    assert found == set(dead)
    assert image.meta["found"] == {"dead": 3}


def test_hot_and_dead_pixels_at_the_edge():
    """The outermost rows and columns are looked at as all others: a pixel is not its own neighbour."""
    data = np.random.default_rng(10).normal(100, 6, (60, 80)).astype(np.float32)
    hot, dead = [(0, 20), (59, 79), (30, 0)], [(0, 0), (59, 40), (12, 79)]
    for value, places in ((400, hot), (0, dead)):
        for row, col in places:
            data[row, col] = value
    for kind, places in (("hot", hot), ("dead", dead)):
        found = {(int(r), int(c)) for r, c in np.argwhere(find_defects(as_image(data), [kind]).mask[0])}
        assert found == set(places)


def test_dead_pixels_on_dark_ground():
    """Above a black level of 100 a pixel that gives 0 is dead, however little light there is; noise is not."""
    rng = np.random.default_rng(9)
    data = rng.normal(100, 6, (200, 200)).astype(np.float32)
    dead = [(50, 40), (0, 0), (120, 199)]
    for row, col in dead:
        data[row, col] = 0
    data[90:92, 70:72] = 20  # a dark thing, not a pixel
    data[150, 30] = 70  # five noises
    found = {(int(r), int(c)) for r, c in np.argwhere(find_defects(as_image(data), ["dead"]).mask[0])}
    assert found == set(dead)
