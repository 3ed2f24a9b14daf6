"""The script for a new GPU, as far as a CPU can run it: checks find what is wrong, what was skipped is counted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from benchmarks import gpu_first_run
from benchmarks.first_run_ops import Timed, network_step, timed_ops
from benchmarks.gpu_first_run import Skipped, bandwidth_row, check_capture, check_hashes, check_ops, main, run
from tests.ops.cases import CASES, Case


def test_checks_pass_on_a_cpu() -> None:
    assert check_hashes("cpu")
    assert check_ops("cpu").startswith(f"{sum(not case.host_only for case in CASES.values())} ops")
    with pytest.raises(Skipped, match="no graphs"):
        check_capture("cpu")


def test_other_noise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_first_run, "NORMAL_GOLDEN", "0" * 64)
    with pytest.raises(AssertionError, match="normal_"):
        check_hashes("cpu")


def test_a_wrong_op_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    run_right = Case.run

    def wrong(self: Case, arguments: dict[str, object]) -> dict[str, Tensor]:
        return {name: 1.01 * value for name, value in run_right(self, arguments).items()}

    monkeypatch.setattr(Case, "run", wrong)
    with pytest.raises(AssertionError, match=r"error|bytes"):
        check_ops("cpu")


def test_every_op_is_timed_by_the_bytes_it_moves() -> None:
    rows = [bandwidth_row(make(), "cpu", 1e10) for make in timed_ops("cpu", 128)]
    assert {row["name"].partition(",")[0] for row in rows} == {
        name.rstrip("_")
        for name, case in CASES.items()
        if name not in ("biharmonic_fill_", "kriging_fill_", "apply_kernels_backward") and not case.host_only
    }
    row = bandwidth_row(Timed("copy", lambda: sum(range(100_000)), 1000, 8), "cpu", 1e3)
    assert row["share_of_copy"] == pytest.approx(8e3 / (1e3 * row["ns_per_pixel"] * 1e-9 * 1e3), rel=0.2)
    assert row["meets_bar"]


def test_a_step_of_the_sampler_is_the_same_each_time() -> None:
    steps = [network_step("cpu") for _ in range(2)]
    for step in steps:
        step.index.fill_(1)
        step.call()
    for a, b in zip(steps[0].state, steps[1].state, strict=True):
        assert torch.equal(a, b)


def test_report_counts_and_goes_on_after_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(device: str) -> str:
        raise RuntimeError("no such stream")

    monkeypatch.setattr(gpu_first_run, "check_ops", broken)
    monkeypatch.setattr(gpu_first_run, "timed_ops", lambda device, side: [])
    monkeypatch.setattr(gpu_first_run, "check_overhead", lambda device: {})
    monkeypatch.setattr(gpu_first_run, "copy_rate", lambda device: 1e9)
    report = run("cpu", 64)
    assert report["counts"] == {"ok": 2, "skipped": 1, "failed": 1}
    assert "no such stream" in report["checks"]["ops"]["detail"]
    monkeypatch.setattr(sys, "argv", ["gpu_first_run", "--device", "cpu", "--out", str(tmp_path / "run.json")])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert json.loads((tmp_path / "run.json").read_text())["counts"]["failed"] == 1
    assert "1 skipped, 1 failed" in capsys.readouterr().out


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_first_run"])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "no GPU" in capsys.readouterr().err
