"""What Triton is started on, read back with Triton's own message; and what of a machine decides on its engines."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from catalog.errors import MalformedError, NotFoundError
from export.contract import read_repository
from infra.container.gpu import Gpu, engine_key, find_gpu, tensorrt_version
from infra.container.models import find_repository, with_tensorrt
from infra.container.plan import models_of, parts_of
from infra.container.settings import ANY_ADDRESS, Accelerator, ContainerSettings, from_environment
from tests.infra.container.conftest import L4


def config_of(repository: Path, model: str) -> Any:
    return text_format.Parse((repository / model / "config.pbtxt").read_text(), model_config_pb2.ModelConfig())


def test_a_repository_is_found_in_the_artifact_or_is_it(tiny_repository: Path, tmp_path: Path) -> None:
    assert find_repository(tiny_repository) == tiny_repository
    assert find_repository(tiny_repository.parent) == tiny_repository
    with pytest.raises(NotFoundError, match=f"no model in {tmp_path}: expected NAME/config.pbtxt or model_repository/"):
        find_repository(tmp_path)


def test_with_tensorrt_networks_are_the_same_but_for_what_runs_them(tiny_repository: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tiny_repository.rglob("*") if path.is_file()}
    out = with_tensorrt(tiny_repository, tmp_path / "out", engines=tmp_path / "engines", precision="FP16")
    assert {path: path.read_bytes() for path in tiny_repository.rglob("*") if path.is_file()} == before
    files = {path.relative_to(tiny_repository) for path in before}
    assert {path.relative_to(out) for path in out.rglob("*") if path.is_file()} == files
    assert read_repository(out) == read_repository(tiny_repository)
    assert config_of(out, "photo") == config_of(tiny_repository, "photo")  # an ensemble runs nothing itself
    for model in ("embedder", "classifier"):
        now, then = config_of(out, model), config_of(tiny_repository, model)
        (accelerator,) = now.optimization.execution_accelerators.gpu_execution_accelerator
        assert accelerator.name == "tensorrt"
        assert dict(accelerator.parameters) == {
            "precision_mode": "FP16",
            "max_workspace_size_bytes": str(1024**3),
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(tmp_path / "engines" / model),
            "trt_timing_cache_enable": "1",
            "trt_timing_cache_path": str(tmp_path / "engines" / model),
        }
        assert [warm_up.batch_size for warm_up in now.model_warmup] == [1, then.max_batch_size]
        for config in (now, then):
            config.ClearField("optimization")
            config.ClearField("model_warmup")
        assert now == then


def test_what_was_exported_for_tensorrt_holds(tiny_repository: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(tiny_repository, source)
    config = config_of(source, "embedder")
    config.optimization.execution_accelerators.gpu_execution_accelerator.add(
        name="tensorrt", parameters={"precision_mode": "FP32", "trt_builder_optimization_level": "5"}
    )
    (source / "embedder" / "config.pbtxt").write_text(text_format.MessageToString(config))
    for _ in range(2):  # a second start finds what the first one wrote
        out = with_tensorrt(source, tmp_path / "out", engines=tmp_path / "engines", precision="FP16")
    (accelerator,) = config_of(out, "embedder").optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.parameters["precision_mode"] == "FP32"
    assert accelerator.parameters["trt_builder_optimization_level"] == "5"
    assert accelerator.parameters["trt_engine_cache_enable"] == "1"


def test_without_a_gpu_the_repository_is_served_as_it_is(tiny_repository: Path, tmp_path: Path) -> None:
    settings = ContainerSettings(models=tiny_repository, cache=tmp_path, engine_store="s3://bucket")
    models = models_of(settings)
    assert (models.repository, models.engines) == (tiny_repository, None)
    parts = parts_of(settings, models, {}, invocations_open=False)
    assert [part.name for part in parts] == ["Triton", "the service"]
    assert f"--model-repository={tiny_repository}" in parts[0].command
    with pytest.raises(NotFoundError, match="nvidia-smi finds no GPU here"):
        models_of(settings.model_copy(update={"accelerator": Accelerator.TENSORRT}))


def test_with_a_gpu_engines_are_fetched_before_triton_and_kept_after(
    tiny_repository: Path, tmp_path: Path, with_gpu: None
) -> None:
    settings = ContainerSettings(models=tiny_repository, cache=tmp_path / "cache", engine_store="s3://bucket/engines")
    models = models_of(settings)
    assert models.repository == tmp_path / "cache" / "model_repository"
    assert models.engines is not None
    assert models.engines.startswith("NVIDIA-L4-sm8.9/")
    fetch, triton, service, keep = parts_of(settings, models, {}, invocations_open=False)
    assert (fetch.needs, triton.needs) == ((), (fetch.name,))
    assert service.needs == keep.needs == (triton.name,)
    assert fetch.command[-1], keep.command[-1] == ("fetch-engines", "keep-engines")
    plain = settings.model_copy(update={"accelerator": Accelerator.NONE})
    assert models_of(plain).engines is None


def test_engines_belong_to_gpu_version_precision_and_networks(tiny_repository: Path, tmp_path: Path) -> None:
    def key(
        gpu: Gpu = L4, tensorrt: str = "10.7.0", precision: str = "FP16", repository: Path = tiny_repository
    ) -> str:
        return engine_key(gpu, tensorrt=tensorrt, precision=precision, repository=repository)

    other = tmp_path / "other"
    shutil.copytree(tiny_repository, other)
    assert key(repository=other) == key()  # wherever it lies
    path = other / "embedder" / "1" / "model.onnx"
    path.write_bytes(path.read_bytes() + b"\0")
    keys = [
        key(),
        key(gpu=Gpu("NVIDIA L4", "9.0")),
        key(tensorrt="10.8.0"),
        key(precision="FP32"),
        key(repository=other),
    ]
    assert len(set(keys)) == len(keys)


def test_the_machine_is_asked(tmp_path: Path, with_gpu: None) -> None:
    assert find_gpu() == L4
    for name in ("libnvinfer.so.10", "libnvinfer.so.10.7.0", "libnvinfer_plugin.so.10.8.1"):
        (tmp_path / name).touch()
    assert tensorrt_version([tmp_path]) == "10.7.0"
    assert tensorrt_version([tmp_path / "bin"]) == "unknown"


def test_no_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpu() is None


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PORT", "0", "SHOPCAM_CONTAINER_PORT: .* got '0'"),
        ("ENGINE_STORE", "bucket", "SHOPCAM_CONTAINER_ENGINE_STORE: .* got 'bucket'"),
        ("PRECISION", "INT4", "SHOPCAM_CONTAINER_PRECISION"),
        ("TRITON", "tritonserver {modles}", "'modles' is no name, expected {repository}"),
        ("CACHES", "x", "unknown setting SHOPCAM_CONTAINER_CACHES; known are SHOPCAM_CONTAINER_MODELS"),
    ],
)
def test_a_wrong_setting_is_named(variable: str, value: str, words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        from_environment({f"SHOPCAM_CONTAINER_{variable}": value, "SHOPCAM_STORE": "store"})


def test_the_service_gets_its_settings_and_not_the_containers(tiny_repository: Path) -> None:
    given = {"SHOPCAM_STORE": "s3://b/p", "SHOPCAM_CONTAINER_PORT": "9000", "SHOPCAM_TRITON_URL": "elsewhere:1"}
    settings = from_environment(given)
    models = models_of(settings.model_copy(update={"models": tiny_repository}))
    for is_open in (True, False):
        triton, service = parts_of(settings, models, given, invocations_open=is_open)
        ours = {name: value for name, value in service.environment.items() if name.startswith("SHOPCAM_")}
        assert ours.pop("SHOPCAM_INVOCATIONS_OPEN", None) == ("true" if is_open else None)
        assert ours == {
            "SHOPCAM_STORE": "s3://b/p",
            "SHOPCAM_TRITON_URL": "127.0.0.1:8001",
            "SHOPCAM_HOST": ANY_ADDRESS,
            "SHOPCAM_PORT": "9000",
        }
        assert service.command[-2:] == ("--port", "9000")
        assert triton.canary_url == "http://127.0.0.1:9000/readyz"
    closed = parts_of(settings, models, {"SHOPCAM_INVOCATIONS_OPEN": "false"}, invocations_open=True)[1]
    assert closed.environment["SHOPCAM_INVOCATIONS_OPEN"] == "false"
