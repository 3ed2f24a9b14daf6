"""Documents say what the code does: generated pages are fresh, every option is told, the README's program runs."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys

import numpy as np
import pytest

from tests.house import ROOT

generate = importlib.util.module_from_spec(
    spec := importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
)
spec.loader.exec_module(generate)


@pytest.mark.parametrize("path", generate.pages(), ids=lambda path: path.name)
def test_generated_pages_are_fresh(path):
    assert path.read_text() == generate.pages()[path], "run `make docs`"


def test_every_option_is_told():
    """Against the help that users see, which is made another way than the page."""
    page = (ROOT / "docs/cli.md").read_text()
    listed = subprocess.run(
        [sys.executable, "-m", "gencosmo.cli", "--help"], capture_output=True, text=True, check=True
    )
    commands = re.findall(r"^  (\w+) ", listed.stdout.partition("Commands:")[2], re.M)
    assert commands, listed.stdout
    for command in commands:
        section = page.partition(f"## gencosmo {command}\n")[2].partition("\n## ")[0]
        shown = subprocess.run(
            [sys.executable, "-m", "gencosmo.cli", command, "--help"], capture_output=True, text=True, check=True
        )
        options = set(re.findall(r"^ {2,6}(?:-\w, )?(--[\w-]+)", shown.stdout, re.M)) - {"--help"}
        assert options, shown.stdout
        assert {option for option in options if f"`{option}`" not in section} == set(), command


def test_the_program_of_the_readme_runs(tmp_path, monkeypatch):
    """With the shipped prior, on a small frame; two short samples instead of eight."""
    from astropy.io import fits

    from tests.io.files import holes, sky, stsci_file

    program = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[1]
    monkeypatch.chdir(tmp_path)
    stsci_file("frame.fits")
    array, mask = sky(), holes()
    words = {"array": array, "mask": mask, "ivar": np.full(array.shape, 0.04, np.float32)}
    assert "samples=8" in program
    program = program.replace("samples=8", "samples=2, steps=4")
    exec(compile(program, "README.md", "exec"), words)
    result = words["result"]
    assert result.samples.shape == (2, *array.shape)
    assert np.array_equal(result.mean[~mask], array[~mask])
    before, after = (fits.getdata(name, "SCI") for name in ("frame.fits", "filled.fits"))
    changed = before != after
    assert 0 < changed.sum() < changed.size


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda path: path.stem)
def test_examples_run(path, tmp_path):
    done = subprocess.run([sys.executable, path], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
