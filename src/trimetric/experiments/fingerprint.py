"""A fingerprint of code: the same whatever its words, its layout and the version of Python."""

import ast
import hashlib
from pathlib import Path

COMPUTING = ("counter.py", "training.py", "data", "engine", "evaluation", "models", "space")
"""The files and folders of the package that decide what a fit and its evaluation give."""


def fingerprint(package: Path) -> str:
    """Return a fingerprint of the code that trains and evaluates.

    It does not change with comments, docstrings and layout, nor with the version of Python.

    Parameters
    ----------
    package : Path
        The folder of the package's sources.
    """
    digest = hashlib.sha256()
    for name in COMPUTING:
        place = package / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            tree = ast.parse(path.read_bytes())
            for node in ast.walk(tree):
                _strip(node)
            digest.update(f"{path.relative_to(package)}\n{_form(tree)}\n".encode())
    return digest.hexdigest()[:16]


def _form(node: object) -> str:
    """Return a syntax tree as text.

    `ast.dump` gives another text from Python 3.12, which has a field for type parameters, and from
    Python 3.13, which leaves out what is empty.
    """
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        return f"{type(node).__name__}({', '.join(f'{n}={_form(v)}' for n, v in fields)})"
    if isinstance(node, list):
        return f"[{', '.join(map(_form, node))}]"
    return repr(node)


def _strip(node: ast.AST) -> None:
    """Remove a docstring, and the empty texts that Python 3.12 puts into some formatted ones."""
    if isinstance(node, ast.JoinedStr):
        node.values = [v for v in node.values if not isinstance(v, ast.Constant) or v.value]
    kinds = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
    if isinstance(node, kinds) and ast.get_docstring(node, clean=False) is not None:
        node.body[0] = ast.Pass()
