"""The command as a process of its own: what it imports, signals, closed pipes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .io.files import damaged, stsci_file

ROOT = Path(__file__).parent.parent


def test_help_is_quick_and_imports_nothing_heavy():
    script = (
        "import sys\n"
        "from gencosmo.cli import main\n"
        "sys.argv = ['gencosmo', '--help']\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code\n"
        "bad = {'torch', 'astropy', 'numpy', 'scipy'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    for command in ("inpaint", "check", "info", "doctor", "demo", "pack"):
        assert command in done.stdout


def test_reading_loads_no_torch(tmp_path):
    script = (
        "import sys\nimport gencosmo.io as gio\n"
        "assert 'astropy' not in sys.modules\n"
        "gio.read(sys.argv[1])\nassert 'torch' not in sys.modules\n"
    )
    command = [sys.executable, "-c", script, stsci_file(tmp_path / "a.fits")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr


SLOW = """
import sys, time
import gencosmo.batch.job as job
from gencosmo.errors import Cancelled
def slow(image, job, seed, hooks):
    print("running", flush=True)
    for _ in range(600):
        time.sleep(0.05)
        if hooks.cancel.is_set():
            raise Cancelled("stopped in the task")
job.OPS["inpaint"] = slow
job.prior_identity = str
from gencosmo.cli import main
sys.argv[0] = "gencosmo"
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_work_and_exits_130(tmp_path, number):
    path = damaged(tmp_path / "a.fits")
    command = [sys.executable, "-c", SLOW, "inpaint", path, "-o", str(tmp_path / "b.fits")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout.readline() == "running\n"
        start = time.perf_counter()
        process.send_signal(number)
        _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert time.perf_counter() - start < 10
    assert "error[cancelled]: stopped in the task" in told
    assert os.listdir(tmp_path) == ["a.fits"]


def test_a_closed_pipe_is_no_fault():
    command = f"{sys.executable} -m gencosmo.cli info | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.startswith("gencosmo ")
    assert done.stderr == ""
