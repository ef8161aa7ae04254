"""Artifacts: a folder with `model.json` and one safetensors file that it names and vouches for.

The tensors file carries the start of its own SHA-256 in its name, so a save never touches the file
in use: renaming `model.json` switches from the old artifact to the new one in a single step, and a
crash at any moment leaves one of them whole. Nothing is ever unpickled.
"""

import hashlib
import json
import re
import shutil
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from trimetric._version import __version__
from trimetric.errors import ArtifactError, OutputError, ParameterError, Superseded
from trimetric.storage import places, published
from trimetric.storage.atomic import locked, output_errors, output_folder, replacing

FORMAT = "trimetric"
VERSION = 1

Expected = Mapping[str, tuple[tuple[int | None, ...], DTypeLike]]

_CODES = {
    "bool": "BOOL",
    **{f"uint{bits}": f"U{bits}" for bits in (8, 16, 32, 64)},
    **{f"int{bits}": f"I{bits}" for bits in (8, 16, 32, 64)},
    **{f"float{bits}": f"F{bits}" for bits in (16, 32, 64)},
}
_DTYPES = {code: np.dtype(name) for name, code in _CODES.items()}
_TENSORS_NAME = re.compile(rb"tensors-[0-9a-f]{12}\.safetensors")
_SHARD_NAME = re.compile(rb"(?:items|users-[0-9]{5,})-[0-9a-f]{12}\.json")
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Loaded:
    """What `load` found.

    Parameters
    ----------
    kind : str
        What was saved, such as "model" or "checkpoint".
    meta : dict
        The plain JSON values saved with it.
    tensors : dict of str to ndarray
        Fresh, writable, C-contiguous arrays by name.
    checksum : str
        SHA-256 of all that the manifest says, the tensors' own included.
    """

    kind: str
    meta: dict[str, Any]
    tensors: dict[str, np.ndarray]
    checksum: str


@dataclass(frozen=True)
class _Manifest:
    kind: str
    meta: dict[str, Any]
    expected: dict[str, tuple[tuple[int, ...], str]]
    file: str
    size: int
    sha256: str
    checksum: str


def save(
    folder: str | Path,
    kind: str,
    meta: Mapping[str, Any],
    tensors: Mapping[str, np.ndarray],
    manifest: str = "model.json",
    *,
    replaces: str | None = None,
    shards: Path | None = None,
    sweep: bool = True,
) -> None:
    """Write an artifact, replacing the one in `folder` in a single step.

    Equal tensors give equal bytes, in the file and in its name. Shards that `model.json` does not
    name, and tensors files that no manifest in the folder names, are removed. Saves into one folder
    wait for each other.

    Parameters
    ----------
    folder : path
        Made if absent, with its parents.
    kind : str
        What it is; `load` can insist on it.
    meta : mapping
        Plain JSON values: finite numbers, strings, booleans, None, lists, dicts with string keys.
    tensors : mapping of str to ndarray
        Booleans, integers and floats of 16 to 64 bits, of any shape.
    manifest : str
        The JSON file's name; several manifests may share a folder.
    replaces : str, optional
        The checksum of what must stand there; otherwise nothing is written.
    shards : Path, optional
        A folder of artifacts on the same disk that belong to this one: see `shard_name`. Their
        files are moved beside it before its manifest, which must name theirs, is written.
    sweep : bool, default True
        Remove what nothing names. That reads every manifest there: whoever fills a folder of their
        own with many artifacts leaves it off.

    Raises
    ------
    ParameterError
        A tensor or meta value cannot be stored.
    Superseded
        What stands there is not what `replaces` says.
    OutputError
        The folder cannot be written, the disk is full, or a JSON file that is not ours stands
        there. The artifact that was there is intact and nothing is left behind.
    """
    folder = places.output(folder)
    if not manifest.endswith(".json"):
        raise ParameterError(f"manifest must end in .json, got {manifest!r}")
    arrays = {name: _storable(name, array) for name, array in tensors.items()}
    body = {"kind": kind, "library": __version__, "meta": dict(meta)}
    _dump(body)  # what cannot be stored is refused before anything is written
    with output_errors(folder), output_folder(folder), locked(folder):
        _refuse_foreign(folder / manifest)
        if replaces is not None and _checksum_there(folder, manifest) != replaces:
            raise Superseded(
                f"another save came to {folder} in the meantime, and stays; run this again"
            )
        try:
            body["tensors"] = {
                name: {"shape": list(array.shape), "dtype": array.dtype.name}
                for name, array in sorted(arrays.items())
            }
            body["file"] = _write_tensors(folder, arrays)
            _take(shards, folder)
            with replacing(folder / manifest) as out:
                out.write(_manifest_text(body).encode())
        finally:
            if sweep:
                _sweep(folder)


def shard_name(folder: Path, name: str) -> str:
    """Rename the manifest `name`.json so that it holds its checksum; return the new name.

    A shard is an artifact that another names. With what it says in its name, the shards of two
    versions can stand in one folder, and equal ones are one.

    Parameters
    ----------
    folder : Path
    name : str
        "items", or "users-" and a number of five digits or more.
    """
    final = f"{name}-{checksum(folder, f'{name}.json')[:12]}.json"
    (folder / f"{name}.json").rename(folder / final)
    return final


def load(
    folder: str | Path,
    kind: str | tuple[str, ...] | None = None,
    manifest: str = "model.json",
    *,
    mapped: bool = False,
) -> Loaded:
    """Read an artifact and check every byte of it.

    Parameters
    ----------
    folder : path or URI
        Where it was saved. What lies in an object store is copied to the cache first.
    kind : str or tuple of str, optional
        The kind it must be, or one of several.
    manifest : str
        The JSON file's name.
    mapped : bool
        Leave tensors in the file, from where the system reads what is used and drops it again;
        what is written to them is private to the process.

    Raises
    ------
    ArtifactError
        It is missing, foreign, of a newer format, of another kind, truncated or damaged; the
        message says which, and of which file.
    """
    path = published.fetched(folder) / manifest
    while True:
        head = _head(path, kind)
        try:
            tensors = _read_tensors(path.parent, head, mapped)
            return Loaded(head.kind, head.meta, tensors, head.checksum)
        except ArtifactError:
            # Another process may have saved between the two reads; then there is a new manifest.
            if _read_manifest(path) == head:
                raise


def meta(
    folder: str | Path, kind: str | None = None, manifest: str = "model.json"
) -> dict[str, Any]:
    """Return the plain values of an artifact without reading its tensors: see `load`."""
    return _head(published.fetched(folder) / manifest, kind).meta


def kind_and_meta(folder: str | Path, manifest: str = "model.json") -> tuple[str, dict[str, Any]]:
    """Return what an artifact is, and its plain values, without reading its tensors."""
    head = _read_manifest(published.fetched(folder) / manifest)
    return head.kind, head.meta


def checksum(folder: str | Path, manifest: str = "model.json") -> str:
    """Return the SHA-256 that an artifact gives of its manifest, its tensors' own included."""
    return _read_manifest(published.fetched(folder) / manifest).checksum


def files_of(folder: Path, manifest: str) -> tuple[str, str]:
    """Return the names of an artifact's files: its tensors, then its manifest."""
    return _read_manifest(folder / manifest).file, manifest


def _checksum_there(folder: Path, manifest: str) -> str | None:
    try:
        return checksum(folder, manifest)
    except ArtifactError:
        return None


def check(tensors: Mapping[str, np.ndarray], expected: Expected, where: str) -> None:
    """Compare tensors with what is expected of them, by name, shape and dtype.

    Parameters
    ----------
    tensors : mapping of str to ndarray
        What there is.
    expected : mapping of str to (shape, dtype)
        What there must be, no more and no less; None in a shape stands for any extent.
    where : str
        Named first in the error.

    Raises
    ------
    ArtifactError
        Names the first tensor that differs, with both sides.
    """
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise ArtifactError(f"{where}: tensor {name!r} is missing; fit and save it again")
        array = tensors[name]
        have = f"{array.dtype.name}{_shown(array.shape)}"
        if name not in expected:
            raise ArtifactError(f"{where}: unexpected tensor {name!r} ({have})")
        shape, dtype = expected[name]
        fits = len(shape) == array.ndim and all(
            want in (None, got) for want, got in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != np.dtype(dtype):
            want = f"{np.dtype(dtype).name}{_shown(shape)}"
            raise ArtifactError(f"{where}: tensor {name!r} is {have}, expected {want}")


def probe(folder: str | Path, size: int = 0, manifest: str = "model.json") -> None:
    """Find out whether `save` could write to `folder`, leaving no trace there.

    Parameters
    ----------
    folder : path
        Where an artifact is to go; it need not exist.
    size : int
        Bytes that will be needed, if known.
    manifest : str
        The JSON file's name.

    Raises
    ------
    OutputError
        As `save` would, or when fewer than `size` bytes are free.
    """
    folder = places.output(folder)
    with output_errors(folder), output_folder(folder):
        _refuse_foreign(folder / manifest)
        with tempfile.TemporaryFile(dir=folder) as out:
            out.write(bytes(4096))
        free = shutil.disk_usage(folder).free
        if free < size:
            raise OutputError(
                f"{folder} has {free / 1e6:.1f} MB free and {size / 1e6:.1f} MB are needed; "
                "free some space there or choose another folder"
            )


def _shown(shape: tuple[int | None, ...]) -> str:
    return "[" + ", ".join("any" if extent is None else str(extent) for extent in shape) + "]"


def _storable(name: str, array: np.ndarray) -> np.ndarray:
    array = np.asarray(array)
    if not isinstance(name, str) or name == "__metadata__":
        raise ParameterError(f"a tensor cannot be named {name!r}")
    if array.dtype.name not in _CODES:
        raise ParameterError(
            f"tensor {name!r} has dtype {array.dtype}; only {', '.join(_CODES)} can be stored"
        )
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _dump(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise ParameterError(f"meta must be plain JSON with finite numbers: {error}") from error


def _checksum(body: Mapping[str, Any]) -> str:
    """Hash the content rather than the bytes, so that re-indenting the file does no harm."""
    text = json.dumps(body, allow_nan=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _manifest_text(body: Mapping[str, Any]) -> str:
    # From text and back first: the checksum is over what a reader will get (lists for tuples).
    whole = json.loads(_dump({"format": FORMAT, "version": VERSION, **body}))
    whole["checksum"] = _checksum(whole)
    lines = ",\n".join(f"  {_dump(key)}: {_dump(value)}" for key, value in whole.items())
    return f"{{\n{lines}\n}}\n"


def _safetensors(arrays: Mapping[str, np.ndarray]) -> Iterator[bytes | memoryview]:
    """Yield the file's bytes piece by piece, without a copy of any tensor.

    Larger items come first, then names in order: every tensor is aligned and equal tensors give
    equal bytes. The layout is that of https://github.com/huggingface/safetensors, "Format".
    """
    order = sorted(arrays, key=lambda name: (-arrays[name].itemsize, name))
    header: dict[str, Any] = {}
    end = 0
    for name in order:
        array = arrays[name]
        start, end = end, end + array.nbytes
        code = _CODES[array.dtype.name]
        header[name] = {"dtype": code, "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield struct.pack("<Q", len(text)) + text
    for name in order:
        flat = arrays[name].reshape(-1).view(np.uint8)
        yield from (flat[at : at + _CHUNK].data for at in range(0, len(flat), _CHUNK))


def _write_tensors(folder: Path, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    digest = hashlib.sha256()
    size = 0
    with replacing(folder / "tensors", lambda: folder / _tensors_name(digest.hexdigest())) as out:
        for piece in _safetensors(arrays):
            digest.update(piece)
            size += out.write(piece)
    sha256 = digest.hexdigest()
    return {"name": _tensors_name(sha256), "size": size, "sha256": sha256}


def _tensors_name(sha256: str) -> str:
    return f"tensors-{sha256[:12]}.safetensors"


def _refuse_foreign(path: Path) -> None:
    if path.exists():
        try:
            with output_errors(path):
                whole = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            whole = None
        if not isinstance(whole, dict) or whole.get("format") != FORMAT:
            raise OutputError(
                f"{path} exists and is not a trimetric artifact's; "
                "move it away or choose another folder"
            )


def _take(shards: Path | None, folder: Path) -> None:
    """Move the artifacts of a folder: tensors first, so that each manifest finds its own."""
    if shards is not None:
        for pattern in ("*.safetensors", "*.json"):
            for path in sorted(shards.glob(pattern)):
                path.replace(folder / path.name)


def _sweep(folder: Path) -> None:
    """Remove the shards and tensors of crashed, failed and superseded saves: nothing names them."""
    with suppress(OSError):
        index = folder / "model.json"
        if index.is_file():  # else there are manifests of other names alone
            shards = set(_SHARD_NAME.findall(index.read_bytes()))
            for path in folder.glob("*-*.json"):
                name = path.name.encode()
                if _SHARD_NAME.fullmatch(name) and name not in shards:
                    path.unlink()
        named = {
            name.decode()
            for path in folder.glob("*.json")
            if path.is_file()
            for name in _TENSORS_NAME.findall(path.read_bytes())
        }
        for path in folder.glob("tensors-*.safetensors"):
            if path.name not in named:
                path.unlink()


def _head(path: Path, kind: str | tuple[str, ...] | None) -> _Manifest:
    head = _read_manifest(path)
    kinds = (kind,) if isinstance(kind, str) else kind
    if kinds is not None and head.kind not in kinds:
        raise ArtifactError(
            f"{path} holds a {head.kind}, not a {kinds[0]}; give the folder of a {kinds[0]}"
        )
    return head


def _read_manifest(path: Path) -> _Manifest:
    whole = _read_json(path)
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        raise ArtifactError(
            f"{path} is not a trimetric artifact's (it does not say format {FORMAT!r}); "
            "give the folder that a model was saved to"
        )
    version = whole.get("version")
    if type(version) is int and version > VERSION:
        wrote = whole.get("library")
        raise ArtifactError(
            f"{path} has artifact format {version} and was saved by trimetric {wrote}; this is "
            f"trimetric {__version__}, which reads up to format {VERSION}: upgrade with "
            f"pip install --upgrade 'trimetric>={wrote}'"
        )
    try:
        checksum = whole.pop("checksum")
        if checksum != _checksum(whole) or type(version) is not int or version < 1:
            raise ValueError
        file = whole["file"]
        head = _Manifest(
            kind=str(whole["kind"]),
            meta=dict(whole["meta"]),
            expected={
                name: (tuple(map(int, leaf["shape"])), np.dtype(leaf["dtype"]).name)
                for name, leaf in whole["tensors"].items()
            },
            file=file["name"],
            size=int(file["size"]),
            sha256=file["sha256"],
            checksum=checksum,
        )
        if any(dtype not in _CODES for _, dtype in head.expected.values()):
            raise ValueError
        if head.file != _tensors_name(head.sha256) or not _TENSORS_NAME.fullmatch(
            head.file.encode()
        ):
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        raise ArtifactError(
            f"{path} is damaged or was edited: its content does not match its own checksum; "
            "restore it from a copy or save the artifact again"
        ) from None
    return head


def _read_json(path: Path) -> Any:
    folder = path.parent
    if not folder.exists():
        raise ArtifactError(f"no such folder: {folder}; give the folder that a model was saved to")
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is a file; give the folder that a model was saved to")
    try:
        return json.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise ArtifactError(
            f"{folder} is not a trimetric artifact: it has no {path.name}; "
            "give the folder that a model was saved to"
        ) from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ArtifactError(
            f"{path} is damaged: it is not JSON ({error}); "
            "restore it from a copy or save the artifact again"
        ) from error


def _tensor(tensors: Any, name: str, path: Path) -> np.ndarray:
    """Return one tensor of an open file; some formats of numbers NumPy does not have."""
    try:
        return tensors.get_tensor(name)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtifactError(
            f"{path}: tensor {name!r} holds numbers of a kind that NumPy lacks ({error}); save the"
            " artifact again"
        ) from error


def _mapped_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of a file that `safe_open` takes, mapped: see `load`."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    header.pop("__metadata__", None)
    data = np.memmap(path, np.uint8, "c")[8 + length :].view(np.ndarray)
    arrays = {}
    for name, leaf in header.items():
        low, high = leaf["data_offsets"]
        dtype = _DTYPES[leaf["dtype"]]
        arrays[name] = data[low:high].view(dtype).reshape(leaf["shape"])
    return arrays


def _read_tensors(folder: Path, head: _Manifest, mapped: bool) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError, safe_open

    path = folder / head.file
    remedy = "restore it from a copy or save the artifact again"
    try:
        size = path.stat().st_size
        if size != head.size:
            word = "truncated" if size < head.size else "too long"
            raise ArtifactError(f"{path} is {word}: {size} bytes of {head.size}; {remedy}")
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        if sha256 != head.sha256:
            raise ArtifactError(
                f"{path} is damaged: its SHA-256 is {sha256[:12]}..., "
                f"expected {head.sha256[:12]}...; {remedy}"
            )
        with safe_open(path, framework="numpy") as tensors:
            if not mapped:
                names = tensors.keys()
                arrays = {name: _tensor(tensors, name, path) for name in names}
        if mapped:
            arrays = _mapped_tensors(path)
    except FileNotFoundError:
        raise ArtifactError(f"{path} is missing; {remedy}") from None
    except OSError as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    except KeyError as error:
        raise ArtifactError(
            f"{path}: {error} is no kind of number that is read; {remedy}"
        ) from None
    except SafetensorError as error:
        raise ArtifactError(f"{path} is not a safetensors file: {error}; {remedy}") from error
    check(arrays, head.expected, str(path))
    return arrays
