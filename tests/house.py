"""The source tree read with `ast`: modules, what they import, their functions and public names. Nothing is run."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "gencosmo"


@dataclass(frozen=True)
class Module:
    """One Python file of the package."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(), filename=str(self.path))

    @property
    def package(self) -> str:
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    @cached_property
    def imports(self) -> frozenset[str]:
        """Dotted names of everything imported anywhere in the file: at its top, inside functions, for type checking
        only, and by a module's name in a string (`import_module`, tables of modules).
        """
        texts = (n.value for n in ast.walk(self.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        named = {text for text in texts if is_module(text)}
        return frozenset(named.union(*(self._names(node) for node in ast.walk(self.tree))))

    @cached_property
    def loads(self) -> frozenset[str]:
        """Modules of the package that are loaded when this one is, by statements of its top level."""
        named = set[str]().union(*(self._names(node) for node in self.tree.body))
        known = {module.name for module in modules()}
        return frozenset(name if name in known else name.rpartition(".")[0] for name in named) & known - {self.name}

    def _names(self, node: ast.AST) -> set[str]:
        if isinstance(node, ast.Import):
            return {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            return {f"{_absolute(node, self.package)}.{alias.name}" for alias in node.names}
        return set()

    @cached_property
    def public(self) -> list[ast.FunctionDef | ast.ClassDef]:
        """Functions and classes of the file's top level that are in `__all__`, or, without one, have no underscore."""
        named = self.exported
        defined = [n for n in self.tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
        return [n for n in defined if (n.name in named if named is not None else not n.name.startswith("_"))]

    @cached_property
    def bound(self) -> set[str]:
        """Names that the file's top level defines."""
        found: set[str] = set()
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found.update(n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
        return found

    @cached_property
    def exported(self) -> list[str] | None:
        """`__all__`, or None."""
        for node in self.tree.body:
            if isinstance(node, ast.Assign) and any(getattr(t, "id", "") == "__all__" for t in node.targets):
                return list(ast.literal_eval(node.value))
        return None

    @cached_property
    def functions(self) -> list[ast.FunctionDef]:
        return [n for n in ast.walk(self.tree) if isinstance(n, ast.FunctionDef)]


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parts = package.split(".")
    base = parts[: len(parts) - node.level + 1]
    return ".".join([*base, node.module] if node.module else base)


def is_module(name: str) -> bool:
    """Whether this is the dotted name of a module of the package."""
    head, *rest = name.split(".")
    path = PACKAGE.joinpath(*rest)
    return head == "gencosmo" and bool(rest) and (path.is_dir() or path.with_suffix(".py").is_file())


@lru_cache
def modules() -> tuple[Module, ...]:
    """All modules of the package."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found.append(Module(".".join(parts[:-1] if parts[-1] == "__init__" else parts), path))
    return tuple(found)


def home(dotted: str) -> str:
    """The part of the package that a dotted name belongs to: `gencosmo.io.fits.read_fits` is in `io`.

    A name of the package itself (`gencosmo.Image`) is in ``""``.
    """
    rest = dotted.split(".")[1:]
    return rest[0] if rest and (is_module(f"gencosmo.{rest[0]}") or rest[0] == "_core") else ""


def body_lines(function: ast.FunctionDef) -> int:
    """Lines of a function without its signature and its docstring."""
    body = function.body
    if ast.get_docstring(function) is not None:
        body = body[1:]
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0  # type: ignore[operator]


def python_files() -> list[Path]:
    """All Python files of the repository that belong to it."""
    folders = ("gencosmo", "tests", "benchmarks", "docs", "examples")
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def core_files() -> list[Path]:
    """All C++ and CUDA sources."""
    return sorted(path for path in (ROOT / "csrc").iterdir() if path.is_file())
