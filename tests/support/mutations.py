"""Artifacts changed at random, with checksums made right again or left as they are."""

import copy
import hashlib
import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 2**70, -(2**63) - 1, 0.5, 1e308, -1e308, 1e-320,
    float("nan"), float("inf"), "", "x", "\0", "\ud800", "1", "../x", "a" * 10_000, [], {}, [[]],
    [None], {"": None}, {"a": {"a": []}}, [1, 2, 3], "float32", "NaN",
)  # fmt: skip
DTYPES = ("F8_E4M3", "F8_E5M2", "BF16", "F4", "I128", "C64", "X", "", "BOOL", "U8", "I64", "F64")
DTYPES += ("F16", "F32", "I32", 1, None)  # type: ignore[assignment]
FLOATS = (
    np.nan,
    np.inf,
    -np.inf,
    1e38,
    -1e38,
    3e38,
    1e20,
    9e14,
    -9e14,
    1e-45,
    -1e-45,
    0.0,
    -0.0,
    1.0,
    -1.0,
)
INTEGERS = (-1, 0, 1, 2**7, 2**15, 2**31 - 1, -(2**31), 2**62, -(2**62))

Tensors = dict[str, np.ndarray]


def checksum_of(body: Any) -> str:
    """Return what a manifest must say of itself."""
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def rewrite(manifest: Path, body: dict[str, Any], data: bytes | None = None) -> None:
    """Write a manifest, and tensors where there are new ones, with checksums that are right."""
    if data is not None:
        sha = hashlib.sha256(data).hexdigest()
        name = f"tensors-{sha[:12]}.safetensors"
        body["file"] = {"name": name, "size": len(data), "sha256": sha}
        (manifest.parent / name).write_bytes(data)
    body.pop("checksum", None)
    try:
        body["checksum"] = checksum_of(body)
    except (TypeError, ValueError):
        body["checksum"] = "0" * 64
    manifest.write_text(json.dumps(body))


def parsed(manifest: Path) -> tuple[dict[str, Any], dict[str, Any], bytes]:
    """Return a manifest, and the header and the rest of its tensors file."""
    body = json.loads(manifest.read_text())
    data = (manifest.parent / body["file"]["name"]).read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return body, json.loads(data[8 : 8 + length]), data[8 + length :]


def packed(header: Any, rest: bytes) -> bytes:
    """Return a tensors file."""
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + rest


def mutate(manifest: Path, chance: random.Random) -> str:
    """Change an artifact at random, its checksums right; return what was done."""
    body, header, rest = parsed(manifest)
    kinds = [change_meta]
    if header:  # the index of a model in parts has no tensors
        kinds += [change_values, change_tensor, change_header, change_bytes]
    before = str(body["checksum"])
    done = chance.choice(kinds)(manifest, body, header, rest, chance)
    if manifest.name != "model.json":
        name_again(manifest, before)
    return f"{manifest.name}: {done}"


def name_again(shard: Path, before: str) -> None:
    """Give a changed shard the name that its checksum makes, and let the index name it."""
    after = str(json.loads(shard.read_text())["checksum"])
    new = shard.with_name(shard.name.replace(before[:12], after[:12]))
    shard.rename(new)
    index = shard.with_name("model.json")
    text = index.read_text().replace(before, after).replace(shard.name, new.name)
    rewrite(index, json.loads(text))


def change_values(
    manifest: Path, body: dict, header: dict, rest: bytes, chance: random.Random
) -> str:
    """Put hostile values into a tensor."""
    tensors = unpacked(header, rest)
    name = chance.choice(sorted(name for name in tensors if tensors[name].size))
    array = tensors[name]
    flat, told = array.reshape(-1), []
    for _ in range(chance.choice([1, 1, 3, 50])):
        place = chance.randrange(len(flat))
        if array.dtype.kind == "f":
            value: Any = chance.choice(FLOATS)
        else:
            value = chance.choice([*INTEGERS, len(flat), int(flat[chance.randrange(len(flat))])])
            value = int(np.array([value]).astype(array.dtype)[0])
        with np.errstate(over="ignore"):
            flat[place] = value
        told.append(value)
    if chance.random() < 0.2:
        flat[:] = chance.choice([flat[0], 0])
        told.append("all alike")
    replaced(manifest, body, tensors)
    return f"values of {name}: {told[:4]}"


def change_tensor(
    manifest: Path, body: dict, header: dict, rest: bytes, chance: random.Random
) -> str:
    """Give a tensor another shape, type or name, drop it, or add one; manifest and file agree."""
    tensors = unpacked(header, rest)
    name, other = chance.choice(sorted(tensors)), chance.choice(sorted(tensors))
    array = tensors[name]
    changes: dict[str, Callable[[], None]] = {
        "drop": lambda: tensors.__delitem__(name),
        "rename": lambda: tensors.update({"renamed": tensors.pop(name)}),
        "add": lambda: tensors.update({"extra": array}),
        "swap": lambda: tensors.update({name: tensors[other], other: array}),
        "shorter": lambda: tensors.update({name: array[:-1]}),
        "longer": lambda: tensors.update({name: np.concatenate([array, array[:1]])}),
        "nothing": lambda: tensors.update({name: array[:0]}),
        "flat": lambda: tensors.update({name: array.reshape(-1)}),
        "deeper": lambda: tensors.update({name: array[..., None]}),
        "turned": lambda: tensors.update({name: array.T.copy()}),
        "backwards": lambda: tensors.update({name: array[::-1].copy()}),
        "double": lambda: tensors.update({name: array.astype(np.float64)}),
        "half": lambda: tensors.update({name: array.astype(np.float16)}),
        "int": lambda: tensors.update({name: array.astype(np.int64)}),
        "bool": lambda: tensors.update({name: array.astype(bool)}),
        "wide": lambda: tensors.update({name: np.tile(array, 2)}),
        "scalar": lambda: tensors.update({name: np.array(0, dtype=array.dtype)}),
    }
    what = chance.choice(sorted(changes))
    with np.errstate(over="ignore", invalid="ignore"):
        changes[what]()
    replaced(manifest, body, tensors)
    return f"{what} {name} {other}"


def change_header(
    manifest: Path, body: dict, header: dict, rest: bytes, chance: random.Random
) -> str:
    """Write something into the header of the tensors file that it does not say."""
    name = chance.choice(sorted(header))
    leaf, what = header[name], chance.choice(["dtype", "shape", "data_offsets", "leaf", "manifest"])
    if what == "dtype":
        leaf["dtype"] = chance.choice(DTYPES)
    elif what == "leaf":
        header[name] = chance.choice(VALUES)
    elif what == "manifest":  # what the manifest says of a tensor
        said = body["tensors"][name]
        said[chance.choice(["shape", "dtype"])] = chance.choice(
            [*VALUES, "bfloat16", "object", "O", "U5", "datetime64", [-1], [2**40, 2**40]]
        )
    elif what == "shape":
        leaf["shape"] = chance.choice([[-1], [2**40], [0], [], [2**32, 2**32], [1.5], "x", None])
    else:
        low, high = leaf["data_offsets"]
        leaf["data_offsets"] = chance.choice(
            [[high, low], [low, high + 8], [0, high], [-8, high - low - 8], [low], [2**63, 2**64],
             [low, low], None, ["0", "8"], [low + 1, high + 1]]
        )  # fmt: skip
    rewrite(manifest, body, packed(header, rest))
    return f"header {what} of {name}: {str(header[name])[:60]}"


def change_bytes(
    manifest: Path, body: dict, header: dict, rest: bytes, chance: random.Random
) -> str:
    """Flip bits of the tensors file, or cut it."""
    data = bytearray((manifest.parent / body["file"]["name"]).read_bytes())
    what = chance.choice(["flip in the header", "flip", "many flips", "cut", "longer", "zeros"])
    if what == "flip in the header":
        place = chance.randrange(len(data) - len(rest))
        data[place] ^= 1 << chance.randrange(8)
    elif what in ("flip", "many flips"):
        for _ in range(1 if what == "flip" else 100):
            place = len(data) - len(rest) + chance.randrange(max(1, len(rest)))
            data[min(place, len(data) - 1)] ^= 1 << chance.randrange(8)
    elif what == "cut":
        del data[chance.randrange(len(data)) :]
    elif what == "longer":
        data += bytes(chance.randrange(1, 100))
    else:
        start = chance.randrange(len(data))
        stop = min(len(data), start + chance.randrange(1, 200))
        data[start:stop] = bytes(stop - start)
    rewrite(manifest, body, bytes(data))
    return what


def change_meta(
    manifest: Path, body: dict, header: dict, rest: bytes, chance: random.Random
) -> str:
    """Replace or drop a plain value of the manifest, at any depth."""
    whole: Any = body
    path: list[Any] = []
    at = whole
    while isinstance(at, dict | list) and len(at) and (len(path) < 2 or chance.random() < 0.7):
        keys = sorted(at) if isinstance(at, dict) else list(range(len(at)))
        keys = [key for key in keys if key != "checksum"]
        path.append(chance.choice(keys))
        at = at[path[-1]]
    holder = whole
    for step in path[:-1]:
        holder = holder[step]
    if chance.random() < 0.2:
        del holder[path[-1]]
        value: Any = "dropped"
    else:
        value = holder[path[-1]] = copy.deepcopy(chance.choice(VALUES))
    rewrite(manifest, body)
    return f"{path}: {str(value)[:40]!r}"


def damage(folder: Path, chance: random.Random) -> str:
    """Change any bytes of any file of a folder, and leave all checksums as they are."""
    path = chance.choice(sorted(folder.iterdir()))
    data = bytearray(path.read_bytes())
    what = chance.choice(["flip", "flips", "cut", "longer", "zeros", "empty", "gone", "moved"])
    place = chance.randrange(len(data))
    if what == "gone":
        path.unlink()
        return f"{what} {path.name}"
    if what in ("flip", "flips"):
        for _ in range(1 if what == "flip" else 20):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif what == "cut":
        del data[place:]
    elif what == "longer":
        data += data[:50]
    elif what == "empty":
        data.clear()
    elif what == "moved":
        data = data[place:] + data[:place]
    else:
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    path.write_bytes(data)
    return f"{what} {path.name} at {place}"


def unpacked(header: dict, rest: bytes) -> Tensors:
    """Return the tensors of a file, writable."""
    kinds = {"F": "float", "I": "int", "U": "uint"}
    found = {}
    for name, leaf in header.items():
        code = leaf["dtype"]
        dtype = np.dtype(bool) if code == "BOOL" else np.dtype(kinds[code[0]] + code[1:])
        low, high = leaf["data_offsets"]
        found[name] = np.frombuffer(rest[low:high], dtype=dtype).reshape(leaf["shape"]).copy()
    return found


def replaced(manifest: Path, body: dict[str, Any], tensors: Tensors) -> None:
    """Write an artifact with these tensors, all that it says of them right."""
    header, rest = {}, b""
    body["tensors"] = {}
    for name in sorted(tensors, key=lambda name: (-tensors[name].itemsize, name)):
        array = tensors[name]
        code = {"b": "BOOL", "f": "F", "i": "I", "u": "U"}[array.dtype.kind]
        code += "" if code == "BOOL" else str(8 * array.itemsize)
        span = [len(rest), len(rest) + array.nbytes]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": span}
        body["tensors"][name] = {"shape": list(array.shape), "dtype": array.dtype.name}
        rest += array.tobytes()
    rewrite(manifest, body, packed(header, rest))
