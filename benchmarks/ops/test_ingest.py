"""`ingest` of big-endian files beside NumPy: floats with a variance, integers with a scale."""

from __future__ import annotations

import numpy as np
import pytest

from gencosmo.ops.ingest import ingest, ingest_reference

SHAPE = (1024, 1024)


@pytest.mark.parametrize("kind", ["float32 and variance", "int16 scaled"])
def test_ingest(race, kind: str) -> None:
    rng = np.random.default_rng(0)
    if kind == "int16 scaled":
        data, options = rng.integers(-3e4, 3e4, SHAPE).astype(">i2"), {"bscale": 0.5, "bzero": 32768.0, "blank": -7}
        moved = 2 + 8
    else:
        data, noise = (rng.normal(5, 1, SHAPE).astype(">f4") for _ in range(2))
        data[::50, ::50], noise[::31, ::31] = np.nan, 0
        options, moved = {"noise": noise, "noise_kind": "variance"}, 8 + 12
    for got, truth in zip(ingest(data, **options), ingest_reference(data, **options), strict=True):
        assert np.array_equal(got, truth)
    rivals = {"numpy": lambda: ingest_reference(data, **options)}
    race(f"ingest, {kind}", lambda: ingest(data, threads=1, **options), rivals, data.size, moved)
