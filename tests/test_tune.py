"""`gencosmo tune`: what is stored, what is read back, and what counts as slower."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gencosmo import _core
from gencosmo.commands import tune as command
from gencosmo.errors import InputError, UsageError
from gencosmo.ops._tuning import Choice, apply_tuning, cpu_keys, device_key, read_tuning, stored_choice, write_tuning


@pytest.fixture
def restored():
    before = _core.tuned()
    yield
    _core.tune(*before)


def test_it_measures_stores_and_says_what_changed(tmp_path: Path, monkeypatch, restored) -> None:
    other = device_key("another machine", "avx2, 4 threads", "tile")
    path = tmp_path / "deep" / "tuning.json"
    write_tuning(path, {other: {"piece": 7}, cpu_keys()[0]: {"piece": 1, "least": 0}})
    monkeypatch.setattr(command, "_best_choice", lambda old, gpu: (Choice(4096, old.frame, 0, old.threads), ["times"]))
    lines = command.tune(path)
    assert "tile: 1 -> 4096" in lines and "least: 0" in lines and "frame: 16384" in lines
    entries = read_tuning(path)
    assert entries[other] == {"piece": 7}, "entries of other machines stay"
    assert stored_choice(entries) == Choice(4096, 16384, 0, 256)
    assert _core.tuned() == (4096, 16384, 0, 256)


def test_the_measured_choice_is_one_of_the_candidates(restored) -> None:
    choice, times = command._best_choice(Choice(), gpu=False)
    assert choice.tile in command.PIECES and choice.frame in command.PIECES and choice.least in command.LEAST
    assert len(times) == 3


def test_a_new_process_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "tuning.json"
    tile, frame = cpu_keys()
    write_tuning(path, {tile: {"piece": 512, "least": 99}, frame: {"piece": 2048}})
    code = "import gencosmo.ops.moments; from gencosmo import _core; print(*_core.tuned())"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"GENCOSMO_TUNING": str(path), "PATH": ""}, capture_output=True, text=True
    )
    assert done.stdout.split() == ["512", "2048", "99", "256"], done.stderr


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1}', '{"version": 1, "entries": {"a": {"piece": "x"}}}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tuning.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a tuning file"):
        read_tuning(path)


@pytest.mark.parametrize("values", [(0, 1, 0, 256), (1, 1, -1, 256), (1, 1, 0, 33), (1, 1, 0, 512)])
def test_choices_that_cannot_be(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected pieces of at least 1 pixel"):
        apply_tuning(Choice(*values))


def run_file(path: Path, **shares: float) -> Path:
    path.write_text(json.dumps({"rows": [{"name": name, "share_of_copy": share} for name, share in shares.items()]}))
    return path


def test_what_got_slower(tmp_path: Path) -> None:
    base = run_file(tmp_path / "a.json", step=0.5, bin=0.5, gather=0.5, gone=1.0)
    new = run_file(tmp_path / "b.json", step=0.4, bin=0.45, gather=0.7)
    lines, slower = command.compare_runs(base, new)
    assert slower
    told = {line.partition(":")[0]: line for line in lines}
    assert told["step"].endswith("SLOWER") and told["bin"].endswith("same") and told["gather"].endswith("faster")
    assert "only in" in told["gone"]
    assert not command.compare_runs(base, base)[1]
    with pytest.raises(InputError, match="not a run of the benchmarks"):
        command.compare_runs(tmp_path / "none.json", base)


def test_without_the_repository_there_is_no_suite(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(command, "SUITE", tmp_path / "nowhere")
    with pytest.raises(UsageError, match="benchmarks are not installed"):
        command.run_benchmarks(tmp_path / "out.json")
