"""Artifacts survive crashes and full disks whole, and damage never passes for content."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trimetric.errors import ArtifactError, OutputError, ParameterError
from trimetric.storage import artifact

TENSORS = {
    "users": np.arange(12, dtype=np.float32).reshape(3, 4),
    "ids": np.array([2**53 + 1, -1, 7]),
    "flags": np.array([True, False, True]),
}
META = {"dim": 4, "lr": 0.05, "ids": ["é", "\ud800", "1"], "big": 2**63 + 1, "none": None}


def saved(folder: Path) -> Path:
    artifact.save(folder, "model", META, TENSORS)
    return folder


def tensors_file(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def rewrite(folder: Path, **changes: object) -> None:
    """Change fields of model.json and make its checksum agree, as a forger would."""
    path = folder / "model.json"
    whole = json.loads(path.read_text()) | changes
    whole.pop("checksum")
    whole["checksum"] = artifact._checksum(whole)
    path.write_text(json.dumps(whole))


def refused(folder: Path, words: str, **options: str) -> None:
    with pytest.raises(ArtifactError, match=words):
        artifact.load(folder, **options)


@contextmanager
def tmpfs(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("needs the right to mount a tmpfs")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


# --- what comes back


def test_round_trip_keeps_every_value_shape_and_dtype(tmp_path: Path) -> None:
    found = artifact.load(saved(tmp_path / "a" / "b"), "model")
    assert (found.kind, found.meta) == ("model", META)
    artifact.check(found.tensors, {n: (a.shape, a.dtype) for n, a in TENSORS.items()}, "it")
    for name, array in TENSORS.items():
        np.testing.assert_array_equal(found.tensors[name], array)
        assert found.tensors[name].flags.writeable


DTYPES = st.sampled_from(["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", ">i8", ">f4"])
ARRAYS = DTYPES.flatmap(lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, min_side=0)))
REUSED = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


@REUSED
@given(st.dictionaries(st.text(max_size=5), ARRAYS, max_size=4))
def test_any_tensors_come_back_bit_for_bit(tmp_path: Path, tensors: dict) -> None:
    artifact.save(tmp_path, "model", {}, tensors)
    found = artifact.load(tmp_path).tensors
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype.newbyteorder("=")
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.astype(array.dtype.newbyteorder("<")).tobytes()


def test_transposed_and_strided_tensors_are_stored_by_value(tmp_path: Path) -> None:
    whole = np.arange(24.0).reshape(4, 6)
    artifact.save(tmp_path, "model", {}, {"t": whole.T, "s": whole[::2, ::3]})
    found = artifact.load(tmp_path).tensors
    np.testing.assert_array_equal(found["t"], whole.T)
    np.testing.assert_array_equal(found["s"], whole[::2, ::3])


def test_equal_tensors_give_equal_bytes_in_any_order(tmp_path: Path) -> None:
    backwards = dict(reversed(TENSORS.items()))
    artifact.save(tmp_path / "b", "model", META, backwards)
    assert listing(saved(tmp_path / "a")) == listing(tmp_path / "b")


def test_the_tensors_file_is_named_by_its_content_and_read_by_others(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tensors_file(saved(tmp_path))
    assert path.name[8:20] == hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    others = load_file(path)
    assert others.keys() == TENSORS.keys()
    np.testing.assert_array_equal(others["users"], TENSORS["users"])


def test_a_manifest_may_be_indented_anew(tmp_path: Path) -> None:
    path = saved(tmp_path) / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()), indent=4, sort_keys=True))
    assert artifact.load(tmp_path).meta == META


def test_saving_again_replaces_and_two_manifests_share_a_folder(tmp_path: Path) -> None:
    saved(tmp_path)
    artifact.save(tmp_path, "checkpoint", {}, {"w": np.ones(3)}, manifest="last.json")
    artifact.save(tmp_path, "model", {"n": 2}, {"w": np.zeros(2)})
    assert artifact.load(tmp_path).meta == {"n": 2}
    assert artifact.load(tmp_path, "checkpoint", "last.json").tensors["w"].shape == (3,)
    assert len(list(tmp_path.iterdir())) == 4


# --- what is refused at the door


@pytest.mark.parametrize(
    "array", [np.array([{}]), np.array(["a"]), np.array([1j]), np.zeros(1, "M8[s]")]
)
def test_objects_text_and_the_like_are_refused_before_writing(
    tmp_path: Path, array: np.ndarray
) -> None:
    with pytest.raises(ParameterError, match="tensor 'x' has dtype"):
        artifact.save(tmp_path / "m", "model", {}, {"x": array})
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, np.int64(1), b"x"])
def test_meta_must_be_plain_json(tmp_path: Path, value: object) -> None:
    with pytest.raises(ParameterError, match="plain JSON"):
        artifact.save(tmp_path / "m", "model", {"value": value}, {})
    assert not (tmp_path / "m").exists()


def test_names_that_cannot_be_stored(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="__metadata__"):
        artifact.save(tmp_path, "model", {}, {"__metadata__": np.ones(1)})
    with pytest.raises(ParameterError, match=r"must end in \.json"):
        artifact.save(tmp_path, "model", {}, {}, manifest="model")


# --- damage, each with an error of its own


def test_missing_folder_file_in_its_place_and_no_artifact(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", "no such folder")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "is a file")
    refused(tmp_path, r"not a trimetric artifact: it has no model\.json")


def test_a_folder_for_a_manifest(tmp_path: Path) -> None:
    (tmp_path / "model.json").mkdir()
    refused(tmp_path, "cannot be read: Is a directory")


@pytest.mark.parametrize("text", ["{}", "[1]", '{"format": "keras"}', "null"])
def test_foreign_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "model.json").write_text(text)
    refused(tmp_path, "not a trimetric artifact's")


@pytest.mark.parametrize("text", [b"", b'{"format": ', b"\xff\xfe", b"[" * 100_000])
def test_damaged_json(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "model.json").write_bytes(text)
    refused(tmp_path, "damaged: it is not JSON")


def test_a_newer_format_says_which_version_to_install(tmp_path: Path) -> None:
    rewrite(saved(tmp_path), version=2, library="9.1.0", unheard_of=[1])
    refused(tmp_path, r"format 2 and was saved by trimetric 9\.1\.0.*pip install.*>=9\.1\.0")


@pytest.mark.parametrize("version", [0, -1, "1", None, 1.5, True])
def test_no_version_at_all(tmp_path: Path, version: object) -> None:
    rewrite(saved(tmp_path), version=version)
    refused(tmp_path, "damaged or was edited")


@pytest.mark.parametrize(
    "changes",
    [
        {"file": None},
        {"file": {"name": "../../secret", "size": 1, "sha256": "0" * 64}},
        {"file": {"name": "tensors-../../x.safetensors", "size": 1, "sha256": "../../x"}},
        {"tensors": [1]},
        {"tensors": {"users": {"shape": 3, "dtype": "float32"}}},
        {"tensors": {"users": {"shape": [3, 4], "dtype": "no such"}}},
        {"meta": None},
    ],
)
def test_forged_manifests_are_refused(tmp_path: Path, changes: dict) -> None:
    rewrite(saved(tmp_path), **changes)
    refused(tmp_path, "damaged or was edited")


def test_an_edited_value_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path) / "model.json"
    path.write_text(path.read_text().replace('"dim": 4', '"dim": 5'))
    refused(tmp_path, "damaged or was edited")


def test_wrong_kind(tmp_path: Path) -> None:
    refused(saved(tmp_path), "holds a model, not a checkpoint", kind="checkpoint")


def test_missing_tensors(tmp_path: Path) -> None:
    tensors_file(saved(tmp_path)).unlink()
    refused(tmp_path, r"tensors-\w+\.safetensors is missing")


def test_truncated_anywhere(tmp_path: Path) -> None:
    path = tensors_file(saved(tmp_path))
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(tmp_path, f"is truncated: {length} bytes of {len(whole)}")
    path.write_bytes(whole + b"\0")
    refused(tmp_path, "is too long")


def test_a_truncated_manifest(tmp_path: Path) -> None:
    path = saved(tmp_path) / "model.json"
    whole = path.read_bytes()
    for length in range(len(whole) - 2):
        path.write_bytes(whole[:length])
        refused(tmp_path, "damaged: it is not JSON")


@REUSED
@given(st.booleans(), st.floats(0, 1, exclude_max=True), st.integers(0, 7))
def test_a_flipped_bit_is_noticed_or_harmless(
    tmp_path: Path, in_tensors: bool, where: float, bit: int
) -> None:
    saved(tmp_path)
    path = tensors_file(tmp_path) if in_tensors else tmp_path / "model.json"
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[int(where * len(whole))] ^= 1 << bit
    path.write_bytes(flipped)
    try:
        found = artifact.load(tmp_path)
    except ArtifactError:
        pass
    else:
        assert not in_tensors
        assert (found.kind, found.meta) == ("model", META)
        assert all(np.array_equal(found.tensors[n], a) for n, a in TENSORS.items())
    finally:
        path.write_bytes(whole)


def test_a_manifest_that_disagrees_with_its_tensors(tmp_path: Path) -> None:
    described = json.loads((saved(tmp_path) / "model.json").read_text())["tensors"]
    rewrite(tmp_path, tensors=described | {"users": {"shape": [3, 5], "dtype": "float32"}})
    refused(tmp_path, r"'users' is float32\[3, 4\], expected float32\[3, 5\]")
    rewrite(tmp_path, tensors=described | {"more": {"shape": [], "dtype": "int8"}})
    refused(tmp_path, "'more' is missing")


def test_a_tensors_file_that_is_none(tmp_path: Path) -> None:
    content = b"\xff" * 64
    sha256 = hashlib.sha256(content).hexdigest()
    name = f"tensors-{sha256[:12]}.safetensors"
    (saved(tmp_path) / name).write_bytes(content)
    rewrite(tmp_path, file={"name": name, "size": 64, "sha256": sha256})
    refused(tmp_path, "not a safetensors file")


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        ({"w": ((None, 4), "f4")}, None),
        ({"w": ((3, 5), "f4")}, r"tensor 'w' is float32\[3, 4\], expected float32\[3, 5\]"),
        ({"w": ((None,), "f4")}, r"expected float32\[any\]"),
        ({"w": ((3, 4), "f8")}, r"expected float64\[3, 4\]"),
        ({"w": ((3, 4), "f4"), "v": ((), "f4")}, "tensor 'v' is missing"),
        ({}, r"unexpected tensor 'w' \(float32\[3, 4\]\)"),
    ],
)
def test_check_names_the_leaf_that_differs(expected: dict, words: str | None) -> None:
    tensors = {"w": np.zeros((3, 4), np.float32)}
    if words is None:
        artifact.check(tensors, expected, "m")
    else:
        with pytest.raises(ArtifactError, match=f"^m: .*{words}"):
            artifact.check(tensors, expected, "m")


# --- writing where one cannot


@pytest.mark.parametrize("below", ["", "deeper", "deeper/still"])
def test_a_file_in_the_way(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").write_text("mine")
    for write in (artifact.probe, saved):
        with pytest.raises(OutputError, match=r"file.*a file stands where a folder is needed"):
            write(tmp_path / "file" / below)
    assert listing(tmp_path) == {"file": b"mine"}


def test_a_foreign_model_json_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text('{"format": "layers-model"}')
    for write in (artifact.probe, saved):
        with pytest.raises(OutputError, match="not a trimetric artifact's"):
            write(tmp_path)
    assert listing(tmp_path) == {"model.json": b'{"format": "layers-model"}'}


def test_a_folder_where_the_manifest_goes(tmp_path: Path) -> None:
    (tmp_path / "m" / "model.json").mkdir(parents=True)
    for write in (artifact.probe, saved):
        with pytest.raises(OutputError, match=r"model\.json: Is a directory"):
            write(tmp_path / "m")
    assert [path.name for path in (tmp_path / "m").iterdir()] == ["model.json"]


def test_probe_leaves_no_trace(tmp_path: Path) -> None:
    artifact.probe(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    before = listing(saved(tmp_path))
    artifact.probe(tmp_path)
    assert listing(tmp_path) == before
    with pytest.raises(OutputError, match=r"MB free and 1000000000000\.0 MB are needed"):
        artifact.probe(tmp_path, size=10**18)


def test_a_read_only_file_system(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=1m") as disk:
        before = listing(saved(disk / "m"))
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        for write in (artifact.probe, saved):
            for folder in (disk / "m", disk / "new"):
                with pytest.raises(OutputError, match=r"disk/\w+.*Read-only.*can be written"):
                    write(folder)
        assert listing(disk / "m") == before
        assert artifact.load(disk / "m").meta == META


def test_a_full_disk_leaves_the_old_artifact_and_no_litter(tmp_path: Path) -> None:
    with tmpfs(tmp_path / "disk", "size=1m") as disk:
        before = listing(saved(disk / "m"))
        large = {"w": np.zeros(2_000_000, np.int8)}
        long = {"text": "x" * 2_000_000}
        for tensors, meta in ((large, {}), ({"w": np.ones(3)}, long)):
            with pytest.raises(OutputError, match=r"disk/m/.*No space left.*free some space"):
                artifact.save(disk / "m", "model", meta, tensors)
            assert listing(disk / "m") == before
            with pytest.raises(OutputError, match="No space left"):
                artifact.save(disk / "new" / "one", "model", meta, tensors)
            assert not (disk / "new").exists()
        with pytest.raises(OutputError, match="are needed"):
            artifact.probe(disk / "m", size=2_000_000)
        with suppress(OSError), (disk / "filler").open("wb") as out:
            while True:
                out.write(bytes(4096))
        with pytest.raises(OutputError, match="No space left"):
            artifact.probe(disk / "m")
        assert artifact.load(disk / "m").meta == META
