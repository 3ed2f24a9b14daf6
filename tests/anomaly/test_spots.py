"""The comparison's null: tiles with a defect of their own are told apart, by a rule that no star falls under."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.anomaly.compare import show, tables
from benchmarks.anomaly.spots import has_lone_pixel

RNG = np.random.default_rng(4)


def star(width: float, height: float, row: float = 20.3, col: float = 31.5) -> np.ndarray:
    rows, cols = np.indices((64, 64))
    return height * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 2 / width**2)


@pytest.mark.parametrize("width", [0.85, 1.5, 4.0])
def test_no_star_is_a_defect(width: float) -> None:
    for place in ((20.0, 31.0), (20.5, 31.5), (0.0, 63.0)):
        assert not has_lone_pixel(star(width, 1e4, *place) + RNG.standard_normal((64, 64)))


def test_a_hot_pixel_is_one_beside_a_star_and_at_the_edge() -> None:
    for place in ((5, 9), (0, 63)):
        tile = star(1.5, 300.0) + RNG.standard_normal((64, 64))
        tile[place] += 25
        assert has_lone_pixel(tile)


def test_the_limit_is_told_with_and_without_such_tiles() -> None:
    """One null tile of five has a defect and the highest score: without it every injection is found."""
    null = RNG.standard_normal((5, 64, 64))
    null[2, 30, 30] = 40
    scores = {
        "gencosmo": {"null": np.array([0.0, 1, 9, 2, 3]), "trail": np.array([4.0, 5])},
        "  untold": {"null trail": np.zeros(5), "trail": np.array([0.0, 1])},
    }
    found = tables(np.random.default_rng(0), scores, null, ["trail"])
    assert (found["null"], found["null_spotless"]) == (5, 4)
    shares = {name: found[name]["gencosmo"]["trail"]["complete"] for name in ("rows", "spotless")}
    assert shares == {"rows": 0.0, "spotless": 1.0}
    assert found["rows"]["  untold"]["trail"]["complete"] == 0.5
    words = show("viking", found)
    assert "| gencosmo | 0 (0.80) |" in words and "| viking, 4 of 5 null tiles |" in words
    assert "| gencosmo | 100 (1.00) |" in words
