"""The model artifact in, the model repository that Triton is started on out; with TensorRT where that is wanted.

A repository on disk stays as it is: with TensorRT its files are linked into a folder of the cache, beside
configurations that name the accelerator, its caches, and warm-up requests of both ends of the batch sizes. So each
engine is built before Triton says that it is ready, and no later batch has it built again.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from catalog.errors import NotFoundError

CONFIG_FILE = "config.pbtxt"
INSIDE = "model_repository"
BACKEND = "onnxruntime"
TENSORRT = "tensorrt"
WORKSPACE_BYTES = 2**30


def find_repository(models: Path) -> Path:
    """The artifact folder or `model_repository` in it; raises NotFoundError when neither has a model."""
    for folder in (models, models / INSIDE):
        if any(folder.glob(f"*/{CONFIG_FILE}")):
            return folder
    raise NotFoundError(f"no model in {models}: expected NAME/{CONFIG_FILE} or {INSIDE}/NAME/{CONFIG_FILE}")


def with_tensorrt(repository: Path, out: Path, *, engines: Path, precision: str) -> Path:
    """Write `repository` anew under `out`, its ONNX networks run by TensorRT with caches under `engines`."""
    shutil.rmtree(out, ignore_errors=True)
    for config_file in sorted(repository.glob(f"*/{CONFIG_FILE}")):
        model = config_file.parent
        for file in (path for path in model.rglob("*") if path.is_file()):
            link = out / file.relative_to(repository)
            link.parent.mkdir(parents=True, exist_ok=True)
            if file != config_file:
                link.symlink_to(file.resolve())
        config = text_format.Parse(config_file.read_bytes(), model_config_pb2.ModelConfig())
        if config.backend == BACKEND:
            _accelerate(config, engines / model.name, precision=precision)
        (out / model.name / CONFIG_FILE).write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")
    return out


def _accelerate(config: Any, engines: Path, *, precision: str) -> None:
    """What the exported configuration says of TensorRT holds; where caches lie is decided here."""
    engines.mkdir(parents=True, exist_ok=True)
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    found = [one for one in accelerators if one.name == TENSORRT]
    parameters = (found[0] if found else accelerators.add(name=TENSORRT)).parameters
    defaults = {"precision_mode": precision, "max_workspace_size_bytes": str(WORKSPACE_BYTES)}
    for key, value in defaults.items():
        if key not in parameters:
            parameters[key] = value
    for cache in ("engine", "timing"):
        parameters[f"trt_{cache}_cache_enable"] = "1"
        parameters[f"trt_{cache}_cache_path"] = str(engines)
    del config.model_warmup[:]
    for batch_size in sorted({1, max(1, config.max_batch_size)}):
        warm_up = config.model_warmup.add(name=f"{batch_size} black pictures", batch_size=batch_size)
        for tensor in config.input:
            warm_up.inputs[tensor.name].data_type = tensor.data_type
            warm_up.inputs[tensor.name].dims.extend(tensor.dims)
            warm_up.inputs[tensor.name].zero_data = True
