"""The house rules: floors, sizes, words, and documents that name what exists. Reads the sources, runs nothing."""

from __future__ import annotations

import ast
import inspect
import re
import sys
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from tests.house import (
    PACKAGE,
    ROOT,
    Module,
    body_lines,
    core_files,
    home,
    modules,
    python_files,
)

FLOORS = (
    ("_core", "errors", "flags", "given", "image", "result", "schedules"),
    ("ops",),
    ("finders", "operators", "photon", "priors", "scaling", "windows"),
    ("anomaly", "sampling", "training"),
    ("io", "tasks"),
    ("batch", "report", "strips"),
    ("", "cli", "commands", "demo", "napari", "service"),
)
"""From the ground up; `""` is the package's own `__init__`, the door. A module imports from its floor or below."""

STRANGERS = ({"io", "tasks"}, {"operators", "priors"})
"""Neighbours on one floor that do not know each other."""

THIRD_PARTY = {
    "astropy": {"demo", "io", "report"},
    "rich": {"commands"},
    "typer": {"cli", "commands"},
    "PIL": {"demo", "io", "report", "strips"},
    "tifffile": {"io"},
    "zarr": {"io"},
    "bioio": {"io"},
    "magicgui": {"napari"},
    "qtpy": {"napari"},
    "torch": {"anomaly", "commands", "ops", "operators", "priors", "sampling", "tasks", "training", "windows"},
}
"""Where these may be imported; so the ground floor and `io` are torch-free, and only files know FITS."""

MAX_LINES, MAX_BODY = 400, 60

HOST_ONLY = ("convolve", "ingest", "shrink")
"""Ops without CUDA code: one reads files, to the others GPUs have cuDNN."""

BANNED = {
    "good_mask": "mask (True = bad)",
    "observed_mask": "mask (True = bad)",
    "badpix": "mask",
    "model_output": "mean",
    "prev_sample": "z_next",
    "nll": "log_prob",
    "superres": "super_resolve",
    "sr": "super_resolve",
    "utils": "the name of what is in it",
    "helpers": "the name of what is in it",
}
"""Words with another word in this house (DESIGN: one word, one meaning)."""

NOISE_WORDS = {"err", "error_map", "noise_std", "uncertainty", "variance", "weight", "weights"}
"""Noise of a pixel is `ivar` once a file is read: these name no argument on the floors in `IVAR_ONLY`."""
IVAR_ONLY = {"", "image", "result", "tasks"}

floor_of = {name: floor for floor, names in enumerate(FLOORS) for name in names}


def upward(module: Module) -> Iterator[str]:
    """Imports that break the floors."""
    mine = home(module.name)
    for dotted in sorted(module.imports):
        if dotted.split(".")[0] != "gencosmo":
            continue
        theirs = home(dotted)
        if floor_of[theirs] > floor_of[mine]:
            yield f"{module.name} ({mine}) imports {dotted} from a floor above"
        if any({mine, theirs} == pair for pair in STRANGERS):
            yield f"{module.name} imports {dotted}: {mine} and {theirs} do not know each other"


def test_every_part_has_a_floor():
    parts = {home(module.name) for module in modules()}
    assert parts <= floor_of.keys()
    assert not (PACKAGE / "utils.py").exists()


def test_imports_go_down():
    assert [fault for module in modules() for fault in upward(module)] == []


def test_upward_imports_are_seen(tmp_path):
    source = (
        "from typing import TYPE_CHECKING\nfrom importlib import import_module\n"
        "if TYPE_CHECKING:\n    from gencosmo.priors.base import Denoiser\n"
        "def f():\n    from gencosmo.sampling import sample\n    import gencosmo.cli\n"
        "    from .. import windows\n    return import_module('gencosmo.io.fits')\n"
    )
    path = tmp_path / "bad.py"
    path.write_text(source)
    told = " ".join(upward(Module("gencosmo.ops.bad", path)))
    assert all(name in told for name in ("priors.base", "sampling.sample", "cli", "windows", "io.fits"))
    assert list(upward(Module("gencosmo.cli", path))) == []


def test_no_file_waits_for_itself():
    """Modules can be put in an order in which each loads only earlier ones."""
    waiting = {module.name: set(module.loads) for module in modules()}
    while free := [name for name, needs in waiting.items() if not needs & waiting.keys()]:
        for name in free:
            del waiting[name]
    assert waiting == {}, "these import each other in a circle"


def test_third_party_packages_stay_in_their_rooms():
    used = {(module.name, dotted.split(".")[0]) for module in modules() for dotted in module.imports}
    strays = [(name, guest) for name, guest in used if home(name) not in THIRD_PARTY.get(guest, {home(name)})]
    assert strays == []


def test_imported_packages_are_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = ("anomaly", "bench", "bioio", "find", "micro", "napari")
    lines = [*project["dependencies"], *(line for name in named for line in extras[name])]
    declared = {re.match(r"[\w-]+", line)[0].lower() for line in lines}
    names = {"skimage": "scikit-image", "PIL": "pillow", "cv2": "opencv-python-headless"}
    used = {dotted.split(".")[0] for module in modules() for dotted in module.imports}
    foreign = used - set(sys.stdlib_module_names) - {"gencosmo", ""}
    assert {names.get(name, name) for name in foreign} - declared == set()


def test_files_are_short():
    """Too long? Split it by what it knows."""
    sizes = {str(path.relative_to(ROOT)): path.read_text().count("\n") for path in [*python_files(), *core_files()]}
    assert {path: lines for path, lines in sizes.items() if lines > MAX_LINES} == {}


def test_functions_are_short():
    sizes = {f"{module.name}.{f.name}": body_lines(f) for module in modules() for f in module.functions}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_BODY} == {}


def test_files_and_public_names_are_documented():
    assert [module.name for module in modules() if not ast.get_docstring(module.tree)] == []
    public = [(module.name, node) for module in modules() for node in module.public]
    assert [f"{name}.{node.name}" for name, node in public if not ast.get_docstring(node)] == []


def test_public_names_are_listed_sorted_and_real():
    for module in modules():
        if module.exported is not None:
            assert sorted(module.exported, key=_sort_key) == module.exported, module.name
            assert set(module.exported) <= module.bound | _typed(module), module.name


def _typed(module: Module) -> set[str]:
    """Names that type checkers see; the door's names exist only there and in `_HOMES`."""
    return {dotted.rpartition(".")[2] for dotted in module.imports}


def _sort_key(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def test_the_door_leads_to_every_public_name():
    door = next(module for module in modules() if module.name == "gencosmo")
    homes = next(
        ast.literal_eval(node.value)
        for node in door.tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "_HOMES"
    )
    assert sorted(homes, key=_sort_key) == door.exported
    assert homes.keys() <= _typed(door), "type checkers do not see these"


def test_public_functions_explain_every_argument():
    import gencosmo

    for name in gencosmo.__all__:
        thing = getattr(gencosmo, name)
        if isinstance(thing, type) or not callable(thing):
            continue
        arguments = [a for a in thing.__annotations__ if a != "return"]
        section = inspect.cleandoc(thing.__doc__).partition("Parameters\n")[2].partition("Returns\n")[0]
        heads = [line.partition(" : ")[0] for line in section.splitlines() if line[:1].isalpha()]
        told = set(re.findall(r"\w+", " ".join(heads)))
        assert not [a for a in arguments if a not in told], f"gencosmo.{name} leaves arguments unexplained"


def names_in(module: Module) -> Iterator[str]:
    """Names that the code of a file gives: definitions, arguments, variables, attributes it sets."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr


def test_words_of_the_house():
    used = [(module.name, name) for module in modules() for name in (*names_in(module), module.path.stem)]
    assert {f"{where}.{name}": f"say {BANNED[name]}" for where, name in used if name in BANNED} == {}


def test_the_noise_of_a_pixel_is_ivar():
    strict = [module for module in modules() if home(module.name) in IVAR_ONLY]
    arguments = {(m.name, a.arg) for m in strict for a in ast.walk(m.tree) if isinstance(a, ast.arg)}
    assert [(where, name) for where, name in sorted(arguments) if name in NOISE_WORDS] == []


OPS = sorted(path.stem for path in (PACKAGE / "ops").glob("[a-z]*.py"))


@pytest.mark.parametrize("op", OPS)
def test_an_op_is_complete(op):
    """Formula, CPU, CUDA (but for `HOST_ONLY`), contract, reference, test, a line in ARCHITECTURE."""
    endings = ("hpp", "cpp") if op in HOST_ONLY else ("hpp", "cpp", "cu")
    assert [e for e in endings if not (ROOT / f"csrc/{op}.{e}").is_file()] == []
    module = next(m for m in modules() if m.name == f"gencosmo.ops.{op}")
    defined = {node.name for node in module.public}
    assert {op, f"{op}_"} & defined
    assert {f"{op}_reference", f"{op}_reference_"} & defined
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))
    assert re.search(rf"from gencosmo\.ops\.{op} import", tests), "no test uses it"
    assert re.search(rf"\| `{op}`", (ROOT / "ARCHITECTURE.md").read_text()), "no row in ARCHITECTURE.md"


def test_the_core_knows_no_framework():
    """No torch header anywhere; Python only where arguments are taken apart."""
    for path in core_files():
        included = re.findall(r'^\s*#\s*include\s*[<"]([^>"]+)', path.read_text(), re.M)
        assert not [name for name in included if re.match(r"(torch|ATen|c10)/", name)], path.name
        python = [name for name in included if name.startswith(("pybind11/", "Python.h"))]
        assert not python or path.name.startswith(("bindings", "view.")), path.name


def test_no_borrowed_source():
    for path in [*core_files(), *python_files()]:
        if path.name != "test_house.py":
            assert not re.search(r"copyright|SPDX-License|all rights reserved", path.read_text(), re.I), path.name


DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def paths_named(text: str) -> Iterator[str]:
    """Paths in backticks, with `{a,b}` written out; patterns such as `<op>.py` are passed over."""
    for word in re.findall(r"`([^`\s]+)`", text):
        if not re.fullmatch(r"[\w.{},/-]+", word) or not re.search(r"\w\w/|\.(py|md|toml|hpp|cpp|cu|txt)$", word):
            continue
        parts = [part.split(",") for part in re.split(r"[{}]", word)]
        yield from ("".join(choice) for choice in product(*parts))


def test_paths_are_read_from_text():
    assert list(paths_named("`csrc/step.{hpp,cu}` `ops/<op>.py` `a b/c` `Image.data` `x.py`")) == [
        "csrc/step.hpp", "csrc/step.cu", "x.py",
    ]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_documents_name_what_exists(document):
    made = ("/", "demo-output", "runs/", ".venv", "dist/")  # absolute, or made by a command
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.S)
    named = [path for path in paths_named(text) if not path.startswith(made)]
    places = (ROOT, PACKAGE, ROOT / "csrc", document.parent)
    assert [path for path in named if not any((place / path).exists() for place in places)] == []


def test_sources_name_what_exists():
    """Paths from the root in comments and docstrings; a decision may be named by its number."""
    missing = []
    for path in {*python_files(), *core_files(), ROOT / "CMakeLists.txt"} - {Path(__file__)}:
        for named in re.findall(
            r"(?<![\w/])(?:docs|tests|benchmarks|csrc|examples)/[\w/-]+(?:\.\w+)*", path.read_text()
        ):
            if not (ROOT / named).exists() and not list(ROOT.glob(f"{named}-*")):
                missing.append(f"{path.relative_to(ROOT)}: {named}")
    assert missing == []


def test_documents_keep_their_size():
    for name, most in (("ARCHITECTURE.md", 150), ("CONTRIBUTING.md", 60)):
        assert (ROOT / name).read_text().count("\n") <= most, name


def test_every_make_target_is_told():
    targets = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.M)[1].split())
    told = set(re.findall(r"make (\w+)", (ROOT / "CONTRIBUTING.md").read_text()))
    assert targets == told
