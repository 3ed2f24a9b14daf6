"""What the suite shares: ``--results FILE`` keeps a run, ``--compiled`` times torch.compile too."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.ops import measure


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--results", type=Path, help="write the run to this file; benchmarks/results/ keeps some")
    parser.addoption("--compiled", action="store_true", help="time torch.compile of the rivals too (minutes)")


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.no_grad():
        yield
    torch.set_num_threads(before)


@pytest.fixture
def race(request: pytest.FixtureRequest, benchmark):
    """Time an op beside its rivals and copies; see `measure.race`."""
    compiled = request.config.getoption("compiled")

    def run(name: str, op, rivals: dict, pixels: int, moved: int) -> None:
        row = measure.race(name, op, rivals, pixels, moved, compiled)
        benchmark.extra_info.update(row)
        benchmark.pedantic(op, rounds=5, iterations=1, warmup_rounds=1)

    return run


def pytest_sessionfinish(session: pytest.Session) -> None:
    path = session.config.getoption("results")
    if path is not None and measure.ROWS:
        measure.write(path)


def pytest_terminal_summary(terminalreporter) -> None:
    for row in measure.ROWS:
        terminalreporter.write_line(measure.line(row))
