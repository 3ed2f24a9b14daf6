"""A fill has the same bytes whatever the instruction set, of our kernels or of torch, and the number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import gencosmo
from gencosmo import _core

CODE = "from tests.tasks.test_same_bytes import fingerprint; print(fingerprint({threads}))"
WAYS = [
    ({"GENCOSMO_ISA": "avx2"}, 1),
    ({"GENCOSMO_ISA": "avx2", "ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"}, 2),
    ({"ATEN_CPU_CAPABILITY": "default"}, 3),
]


def fingerprint(threads: int) -> str:
    """Hash of a fill and of samples of a frame with stars, a dead column and small holes, by the shipped prior."""
    torch.set_num_threads(threads)
    rng = np.random.default_rng(4)
    image = rng.normal(100, 5, (150, 140)).astype(np.float32)
    rows, cols = np.indices(image.shape)
    for row, col, height in rng.uniform((0, 0, 50), (150, 140, 3000), (20, 3)):
        image += (height * np.exp(-((rows - row) ** 2 + (cols - col) ** 2) / 6)).astype(np.float32)
    mask = rng.random(image.shape) < 0.003
    mask[:, 100], mask[50:58, 60:68] = True, True
    fill = gencosmo.inpaint(image, mask)
    drawn = gencosmo.inpaint(image[30:94, 40:104], mask[30:94, 40:104], samples=1, steps=3, seed=1)
    digest = hashlib.sha256()
    for part in (fill.mean, fill.std, drawn.mean, drawn.samples):
        digest.update(np.ascontiguousarray(part).tobytes())
    return digest.hexdigest()


@pytest.mark.skipif(_core.isa() != "avx512", reason="this processor has one instruction set to offer")
def test_same_bytes_on_other_processors() -> None:
    before = torch.get_num_threads()
    try:
        here = fingerprint(1)
    finally:
        torch.set_num_threads(before)
    for environment, threads in WAYS:
        command = [sys.executable, "-c", CODE.format(threads=threads)]
        done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
        assert done.stdout.split()[-1] == here, f"{environment}, {threads} threads"
