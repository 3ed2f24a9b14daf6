"""Noise: known answers, accuracy, and what a pixel's noise may and may not depend on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from gencosmo.ops.normal import normal_, normal_reference_, philox_reference

# Counters, keys and outputs of the Random123 distribution's known-answer file for philox4x32-10.
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]  # fmt: skip
GOLDEN = "294125999ae574e1c8aabe4ad9aa6e9d9504aa29e2194f1a2294c35d1b0fa48e"
"""sha256 of 64 x 1024 normals, seed 1234567, step 7, stream 1; the same on every machine and device."""


def noise(
    height: int,
    width: int,
    *,
    seed: int = 1234567,
    row0: int = 0,
    col0: int = 0,
    key: int = 0,
    step: int = 7,
    stream: int = 1,
) -> Tensor:
    out = torch.zeros(height * width)
    layout = torch.tensor([[0, height, width, row0, col0, key]])
    normal_(out, layout, torch.tensor([seed]), torch.tensor(step), torch.tensor(stream))
    return out.view(height, width)


def box_muller(words: tuple[int, ...]) -> list[float]:
    values = []
    for a, b in (words[:2], words[2:]):
        radius, angle = np.sqrt(-2 * np.log(((a >> 1) + 0.5) / 2.0**31)), 2 * np.pi * b / 2.0**32
        values += [radius * np.cos(angle), radius * np.sin(angle)]
    return values


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_reference_knows_the_answers(counter: tuple[int, ...], key: tuple[int, ...], output: tuple[int, ...]) -> None:
    words = philox_reference(
        tuple(np.array([c], np.uint64) for c in counter), tuple(np.array([k], np.uint64) for k in key)
    )
    assert tuple(int(w[0]) for w in words) == output


@pytest.mark.parametrize(("counter", "key", "output"), KNOWN)
def test_kernel_knows_the_answers(counter: tuple[int, ...], key: tuple[int, ...], output: tuple[int, ...]) -> None:
    seed = key[1] << 32 | key[0]
    seed -= (seed >> 63) << 64
    group, row, plane_key, last = counter
    got = noise(1, 4, seed=seed, row0=row, col0=4 * group, key=plane_key, step=last >> 8, stream=last & 255)
    assert np.abs(got.double().numpy().ravel() - box_muller(output)).max() < 6e-7


def test_golden_hash() -> None:
    assert hashlib.sha256(noise(64, 1024).numpy().tobytes()).hexdigest() == GOLDEN


def test_error_against_float64_over_two_million() -> None:
    layout, seed = torch.tensor([[0, 1024, 2048, 0, 0, 0]]), torch.tensor([-987654321])
    got, truth = torch.zeros(1 << 21), torch.zeros(1 << 21, dtype=torch.float64)
    step, stream = torch.tensor(5), torch.tensor(0)
    normal_(got, layout, seed, step, stream)
    normal_reference_(truth, layout, seed, step, stream)
    error = (got.double() - truth).abs()
    assert float(error.max()) < 6e-7
    big = truth.abs() > 1e-3
    assert float((error[big] / truth[big].abs()).max()) < 6e-7
    assert float(truth.abs().max()) <= 6.66


@pytest.mark.parametrize(("row0", "col0"), [(0, 0), (5, 1), (3, 4), (-7, -3), (100, 999)])
@pytest.mark.parametrize("width", [1, 3, 64, 70])
def test_noise_belongs_to_the_absolute_pixel(row0: int, col0: int, width: int) -> None:
    whole = noise(140, 1100, row0=-20, col0=-16)
    part = noise(9, width, row0=row0, col0=col0)
    rows, cols = row0 + 20, col0 + 16
    assert torch.equal(part, whole[rows : rows + 9, cols : cols + width])


def others() -> Iterator[Tensor]:
    yield noise(8, 8, seed=1234568)
    yield noise(8, 8, seed=1234567 + (1 << 32))
    yield noise(8, 8, key=1)
    yield noise(8, 8, key=1 << 8)
    yield noise(8, 8, step=8)
    yield noise(8, 8, stream=2)
    yield noise(8, 8, row0=1)
    yield noise(8, 8, col0=1)


def test_every_part_of_the_counter_counts() -> None:
    base = noise(8, 8)
    for other in others():
        assert float((other - base).abs().min()) > 0


def test_padding_between_planes_is_left_alone() -> None:
    out = torch.full((48,), 9.0)
    layout = torch.tensor([[0, 3, 5, 0, 0, 0], [16, 2, 7, 0, 0, 1]])
    normal_(out, layout, torch.tensor([1, 2]), torch.tensor(0), torch.tensor(0))
    assert out[15] == 9
    assert (out[30:] == 9).all()
    assert (out[:15] != 9).all()
    assert (out[16:30] != 9).all()
