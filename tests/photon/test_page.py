"""The page on noise: its program runs, and the fields of its table come out as told."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gencosmo.photon import estimate_noise
from tests.house import ROOT
from tests.photon.scenes import cells, counted

PAGE = (ROOT / "docs/microscopy-noise.md").read_text()


@pytest.mark.filterwarnings("ignore::gencosmo.errors.GencosmoWarning")
def test_the_program_of_the_page_runs() -> None:
    program = re.search(r"```python\n(.*?)```", PAGE, re.S)
    assert program is not None
    truth = cells(72, peak=60.0)
    words = {"frame": counted(truth, 0.5, 2.0, 100.0)}
    exec(compile(program[1], "microscopy-noise.md", "exec"), words)
    light = truth / 0.5 + 100
    result = words["result"]
    noise, left = np.std(words["frame"] - light), np.std(result.mean - light)
    assert left < 0.6 * noise
    assert result.target == "scene" and (result.std > 0).all()


def test_the_table_of_the_estimate() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| 2, 1.5"))
    mean, scatter = map(float, re.findall(r"([\d.]+) \+- ([\d.]+)", row)[1])
    (law,) = estimate_noise(counted(cells(640, peak=150.0), 2.0, 1.5, 0.0, 10), offset=0.0)
    assert law.gain / 2 == pytest.approx(mean, abs=3 * scatter)
