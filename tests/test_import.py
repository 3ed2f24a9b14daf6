"""What importing the package loads, looked at from a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def loaded_after(code: str) -> set[str]:
    """Top-level names of the modules that a fresh interpreter has loaded after this code."""
    script = f"{code}\nimport json, sys\nprint(json.dumps(sorted({{n.split('.')[0] for n in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_import_is_light():
    assert loaded_after("import gencosmo; dir(gencosmo); gencosmo.__version__") & {
        "astropy", "numpy", "rich", "scipy", "torch", "typer",
    } == set()  # fmt: skip


def test_the_error_tree_is_light():
    assert (
        loaded_after("import gencosmo; gencosmo.GencosmoError, gencosmo.GencosmoWarning")
        & {"astropy", "numpy", "torch"}
        == set()
    )


def test_the_command_line_starts_light():
    assert loaded_after("import gencosmo.cli") & {"astropy", "numpy", "torch"} == set()


@pytest.mark.parametrize("name", ["read", "write", "Image", "Result"])
def test_files_and_words_need_no_torch(name):
    assert "torch" not in loaded_after(f"import gencosmo; gencosmo.{name}")


def test_a_file_is_read_without_torch(tmp_path):
    code = (
        "import gencosmo, numpy as np\nfrom astropy.io import fits\n"
        f"path = {str(tmp_path / 'frame.fits')!r}\n"
        "fits.writeto(path, np.arange(400, dtype='>i2').reshape(20, 20))\n"
        "image = gencosmo.read(path)\nassert image.shape == (1, 20, 20), image"
    )
    assert "torch" not in loaded_after(code)


@pytest.mark.parametrize("module", ["gencosmo.training.trainer", "gencosmo.training.export", "gencosmo.priors.network"])
def test_training_needs_no_file_format(module):
    """A training machine has torch, NumPy and SciPy only."""
    code = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('astropy', 'skimage', 'typer', 'rich'):\n"
        "            raise ModuleNotFoundError(name + ' is blocked in this test', name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        f"import {module}"
    )
    assert "astropy" not in loaded_after(code)


def test_unknown_names_say_so():
    import gencosmo

    with pytest.raises(AttributeError, match="no attribute 'superresolve'"):
        gencosmo.superresolve  # noqa: B018
