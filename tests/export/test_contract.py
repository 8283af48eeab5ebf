"""Repositories are written as Triton wants them, read back as they were, and refused with a sentence otherwise."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import model_config_pb2

from catalog.errors import OutOfRangeError
from export.contract import (
    Model,
    ModelDescription,
    ModelRepositoryError,
    Tensor,
    read_model,
    read_repository,
    write_model,
    write_photo_ensemble,
)
from export.model_config import config_text, parse_config
from tests.tiny_repository import LABELS, TinyNetworks, make_tiny_repository

EMBEDDER = ModelDescription(name="embedder", size_px=32, outputs={Tensor.EMBEDDING: 16}, space_id="space-a")


def config_of(repository: Path, name: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse((repository / name / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def change_config(repository: Path, name: str, old: str, new: str) -> None:
    path = repository / name / "config.pbtxt"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_repository_comes_back_as_it_was_written(tmp_path: Path):
    written = make_tiny_repository(tmp_path, size_px=16, labels=("red", "blue"), dim=5)
    info = read_repository(tmp_path)
    assert info == written
    assert (info.size_px, info.embedding_dim, info.pooled_dim, info.max_batch) == (16, 5, 12, 8)
    assert info.labels == ("red", "blue")
    assert info.spaces == {"embedder": "tiny-embedder-0-16", "classifier": "tiny-classifier-0-16"}


def test_the_configuration_says_what_triton_needs(tiny_repository: Path):
    config = config_of(tiny_repository, "classifier")
    assert (config.backend, config.max_batch_size) == ("onnxruntime", 8)
    assert [(i.name, i.data_type, list(i.dims)) for i in config.input] == [
        ("image", model_config_pb2.TYPE_UINT8, [32, 32, 3])
    ]
    assert [(o.name, o.data_type, list(o.dims), o.label_filename) for o in config.output] == [
        ("probabilities", model_config_pb2.TYPE_FP32, [6], "labels.txt"),
        ("pooled", model_config_pb2.TYPE_FP32, [12], ""),
    ]
    assert config.HasField("dynamic_batching")
    assert [(group.kind, group.count) for group in config.instance_group] == [
        (model_config_pb2.ModelInstanceGroup.KIND_AUTO, 1)
    ]
    warm_up = config.model_warmup[0]
    assert (warm_up.batch_size, warm_up.inputs["image"].zero_data) == (1, True)
    onnx = (tiny_repository / "classifier" / "1" / "model.onnx").read_bytes()
    assert {key: value.string_value for key, value in config.parameters.items()} == {
        "size_px": "32",
        "space_id": "tiny-classifier-0-32",
        "space_id.1": "tiny-classifier-0-32",
        "onnx_sha256.1": hashlib.sha256(onnx).hexdigest(),
    }
    assert (tiny_repository / "classifier" / "labels.txt").read_text().split("\n") == [*LABELS, ""]
    # git drops empty folders, and Triton wants the ensemble's version folder.
    assert [path.name for path in (tiny_repository / "photo" / "1").iterdir()] == [".gitkeep"]


@given(
    size_px=st.integers(1, 2000),
    dim=st.integers(1, 5000),
    space_id=st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])),
    max_batch=st.integers(1, 512),
    queue_delay_us=st.none() | st.integers(0, 10**6),
    instances=st.integers(1, 16),
    warm_up=st.booleans(),
    versions=st.dictionaries(st.integers(1, 10**6), st.from_regex(r"[0-9a-f]{64}", fullmatch=True), min_size=1),
)
def test_a_description_survives_its_own_text(versions: dict[int, str], space_id: str, dim: int, **settings):
    spaces = {version: f"{space_id}{version}" for version in versions}
    description = ModelDescription(
        name="embedder",
        outputs={Tensor.EMBEDDING: dim},
        onnx_sha256=versions,
        spaces=spaces,
        space_id=spaces[max(spaces)],
        **settings,
    )
    text = config_text(description).encode()
    assert parse_config(text, labels=(), source=Path("config.pbtxt")) == description


def test_versions_stay_side_by_side(tmp_path: Path):
    first, second = TinyNetworks(seed=1), TinyNetworks(seed=2)
    first.write(tmp_path, version=1)
    info = second.write(tmp_path, version=2)
    assert info.spaces == {"embedder": "tiny-embedder-2-32", "classifier": "tiny-classifier-2-32"}
    description = read_model(tmp_path, "embedder")
    assert description.spaces == {1: "tiny-embedder-1-32", 2: "tiny-embedder-2-32"}
    assert (tmp_path / "embedder" / "1" / "model.onnx").read_bytes() == first.embedder_onnx()
    assert (tmp_path / "embedder" / "2" / "model.onnx").read_bytes() == second.embedder_onnx()
    renamed = replace(read_model(tmp_path, "classifier"), labels=("a", "b", "c", "d", "e", "f"))
    with pytest.raises(OutOfRangeError, match=r"version 3 has labels .*write it to another repository"):
        write_model(tmp_path, renamed, TinyNetworks(seed=3).classifier_onnx(), version=3)
    assert not (tmp_path / "classifier" / "3").exists()
    assert read_repository(tmp_path) == info  # nothing half-written


def test_a_single_version_may_be_replaced_by_another_kind_and_repaired(tmp_path: Path):
    TinyNetworks(labels=("red", "blue")).write(tmp_path)
    assert TinyNetworks(labels=("red", "green", "blue")).write(tmp_path).labels == ("red", "green", "blue")
    (tmp_path / "embedder" / "1" / "model.onnx").write_bytes(b"torn")
    assert TinyNetworks(labels=("red",)).write(tmp_path).labels == ("red",)
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_path_is_copied_like_bytes(tmp_path: Path):
    source = tmp_path / "exported.onnx"
    source.write_bytes(b"a network")
    description = write_model(tmp_path / "repository", EMBEDDER, source)
    assert description.onnx_sha256 == {1: hashlib.sha256(b"a network").hexdigest()}
    assert read_model(tmp_path / "repository", "embedder") == description


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (
            lambda r: (r / "embedder/1/model.onnx").write_bytes(b"torn"),
            r"embedder/1/model\.onnx is damaged or was repl",
        ),
        (lambda r: (r / "embedder/1/model.onnx").unlink(), r"embedder/1/model\.onnx is missing"),
        (lambda r: (r / "embedder/config.pbtxt").unlink(), "model 'embedder' is missing"),
        (lambda r: (r / "photo/config.pbtxt").unlink(), "model 'photo' is missing"),
        (lambda r: (r / "photo/config.pbtxt").write_text("name {"), "is not a model configuration"),
        (lambda r: (r / "classifier/labels.txt").write_text("red\n"), "classifier: 1 labels for 6 probabilities"),
        (lambda r: (r / "classifier/labels.txt").unlink(), "classifier: 0 labels for 6 probabilities"),
        (lambda r: change_config(r, "photo", "tiny-embedder-0-32", "other"), "ensemble 'photo' says spaces .*'other'"),
        (lambda r: change_config(r, "photo", "dims: 16", "dims: 17"), "says outputs .*17.*its networks say .*16"),
        (lambda r: change_config(r, "embedder", "dims: 32", "dims: 64"), r"inputs are .*64, 64, 3.* size_px '32'"),
        (lambda r: change_config(r, "embedder", '"onnxruntime"', '"python"'), "backend is 'python', expected 'onnxr"),
        (lambda r: change_config(r, "embedder", '"embedding"', '"pooled"'), "embedder answers pooled, expected embed"),
        (
            lambda r: change_config(r, "embedder", 'name: "embedder"', 'name: "e"'),
            "says name 'e', its folder says 'embe",
        ),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path: Path, damage, sentence: str):
    make_tiny_repository(tmp_path)
    damage(tmp_path)
    with pytest.raises(ModelRepositoryError, match=sentence) as caught:
        read_repository(tmp_path)
    assert "\n" not in str(caught.value)
    assert caught.value.status == 503


def test_an_unknown_repository_is_one_sentence(tmp_path: Path):
    with pytest.raises(ModelRepositoryError, match=re.escape(str(tmp_path / "nowhere"))):
        read_repository(tmp_path / "nowhere")


def test_networks_of_different_picture_sizes_make_no_ensemble(tmp_path: Path):
    make_tiny_repository(tmp_path, size_px=32)
    bigger = TinyNetworks(size_px=64)
    write_model(tmp_path, replace(read_model(tmp_path, Model.EMBEDDER), size_px=64), bigger.embedder_onnx())
    with pytest.raises(ModelRepositoryError, match="embedder 64 px and classifier 32 px"):
        write_photo_ensemble(tmp_path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size_px": 0}, "size_px is 0"),
        ({"max_batch": 0}, "max_batch is 0"),
        ({"space_id": ""}, "needs a name, a space id"),
        ({"outputs": {Tensor.PROBABILITIES: 2}, "labels": ("a",)}, "1 labels for 2 probabilities"),
        ({"outputs": {Tensor.PROBABILITIES: 2}, "labels": ("a", "a")}, "the same label occurs twice"),
        ({"outputs": {Tensor.PROBABILITIES: 2}, "labels": ("a", "b\nc")}, "is not one line"),
        ({"outputs": {Tensor.PROBABILITIES: 2}, "labels": ("a", "")}, "is not one line"),
    ],
)
def test_a_description_refuses_bad_values(change, sentence: str):
    with pytest.raises(OutOfRangeError, match=sentence):
        replace(EMBEDDER, **change)


def test_version_zero_is_refused(tmp_path: Path):
    with pytest.raises(OutOfRangeError, match="version is 0"):
        write_model(tmp_path, EMBEDDER, b"a network", version=0)
