"""What all tests share: skips that are counted, and inputs that are the same in every run."""

from __future__ import annotations

import os
from collections import Counter
from functools import lru_cache

import pytest
from hypothesis import settings

# A failure seen once must be seen again, and a busy machine is not a failure.
settings.register_profile("gencosmo", derandomize=True, deadline=None)
settings.load_profile("gencosmo")


@lru_cache
def why_no_gpu() -> str:
    """The reason why tests marked `gpu` cannot run here; empty when they can."""
    import torch

    from gencosmo import _core

    if not torch.cuda.is_available():
        return "torch sees no GPU"
    return "" if _core.has_cuda else "gencosmo was built without CUDA"


def pytest_report_header() -> str:
    return f"real frames (GENCOSMO_TEST_DATA): {os.environ.get('GENCOSMO_TEST_DATA') or 'not set'}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and why_no_gpu():
            item.add_marker(pytest.mark.skip(reason=why_no_gpu()))


def pytest_terminal_summary(terminalreporter) -> None:
    """Say how many tests did not run, by reason."""
    reasons = Counter(
        report.longrepr[2].removeprefix("Skipped: ")
        for report in terminalreporter.getreports("skipped")
        if isinstance(report.longrepr, tuple)
    )
    for reason, number in reasons.most_common():
        terminalreporter.write_line(f"not run: {number} tests, {reason}")
