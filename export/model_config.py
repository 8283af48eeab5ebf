"""A typed description in, the text of Triton's `config.pbtxt` out; and back.

Everything that is not Triton's own travels in `parameters`: `size_px`, `space_id` (the newest version's; an ensemble
has one a network: `space_id.embedder`), and for every version `onnx_sha256.<version>` and `space_id.<version>`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from catalog.errors import OutOfRangeError
from export.description import (
    NETWORK_OUTPUTS,
    Model,
    ModelDescription,
    ModelRepositoryError,
    PhotoDescription,
    Tensor,
)

BACKEND = "onnxruntime"
ENSEMBLE = "ensemble"
LABELS_FILE = "labels.txt"


def config_text(description: ModelDescription) -> str:
    """Return the `config.pbtxt` of one network.

    Instances are of kind auto, so that one file serves machines with and without a GPU.
    """
    config = _config(description.name, description.size_px, max_batch=description.max_batch)
    config.backend = BACKEND
    for tensor, dim in description.outputs.items():
        output = config.output.add(name=tensor, data_type=model_config_pb2.TYPE_FP32, dims=[dim])
        if tensor is Tensor.PROBABILITIES:
            output.label_filename = LABELS_FILE
    config.version_policy.all.SetInParent()
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_AUTO, count=description.instances)
    if description.queue_delay_us is not None:
        config.dynamic_batching.SetInParent()
        config.dynamic_batching.max_queue_delay_microseconds = description.queue_delay_us
    if description.warm_up:
        warm_up = config.model_warmup.add(name="a black picture", batch_size=1)
        image = warm_up.inputs[Tensor.IMAGE]
        image.data_type = model_config_pb2.TYPE_UINT8
        image.dims.extend(config.input[0].dims)
        image.zero_data = True
    _set_parameter(config, "space_id", description.space_id)
    for version, sha256 in description.onnx_sha256.items():
        _set_parameter(config, f"onnx_sha256.{version}", sha256)
        _set_parameter(config, f"space_id.{version}", description.spaces[version])
    return _text(config)


def ensemble_text(ensemble: PhotoDescription) -> str:
    """Return the `config.pbtxt` of the ensemble: one image to every network, their answers under their own names."""
    config = _config(Model.PHOTO, ensemble.size_px, max_batch=ensemble.max_batch)
    config.platform = ENSEMBLE
    for tensor, dim in ensemble.outputs.items():
        config.output.add(name=tensor, data_type=model_config_pb2.TYPE_FP32, dims=[dim])
    for network, outputs in NETWORK_OUTPUTS.items():
        step = config.ensemble_scheduling.step.add(model_name=network, model_version=-1)
        step.input_map[Tensor.IMAGE] = Tensor.IMAGE
        for tensor in outputs:
            step.output_map[tensor] = tensor
    for name, space_id in ensemble.spaces.items():
        _set_parameter(config, f"space_id.{name}", space_id)
    return _text(config)


def parse_config(data: bytes, *, labels: tuple[str, ...], source: Path) -> ModelDescription:
    """Read one network's `config.pbtxt`; raises `ModelRepositoryError` naming `source` and what does not fit."""
    config = _parse(data, source)
    parameters = _parameters(config)
    if config.backend != BACKEND:
        raise ModelRepositoryError(f"{source}: backend is '{config.backend}', expected '{BACKEND}'")
    sha256 = _by_version(parameters, "onnx_sha256.", source)
    spaces = _by_version(parameters, "space_id.", source)
    if not sha256 or set(sha256) != set(spaces):
        raise ModelRepositoryError(f"{source}: every version needs the parameters onnx_sha256.N and space_id.N")
    batching = config.dynamic_batching.max_queue_delay_microseconds if config.HasField("dynamic_batching") else None
    try:
        return ModelDescription(
            name=config.name,
            size_px=_size_px(config, parameters, source),
            outputs=_outputs(config, source),
            space_id=spaces[max(spaces)],
            labels=labels,
            max_batch=config.max_batch_size,
            queue_delay_us=batching,
            instances=config.instance_group[0].count if config.instance_group else 1,
            warm_up=bool(config.model_warmup),
            onnx_sha256=sha256,
            spaces=spaces,
        )
    except OutOfRangeError as error:
        raise ModelRepositoryError(f"{source}: {error}") from error


def parse_photo(data: bytes, *, source: Path) -> PhotoDescription:
    """Read `photo`'s `config.pbtxt`; raises `ModelRepositoryError` naming `source` and what does not fit."""
    return photo_of_config(_parse(data, source), source=source)


def photo_of_config(config: Any, *, source: Path | str) -> PhotoDescription:
    """Read `photo` from a `ModelConfig` message, be it from a file or from a running server."""
    parameters = _parameters(config)
    if config.platform == ENSEMBLE:
        prefix = "space_id."
        spaces = {key.removeprefix(prefix): parameters[key] for key in sorted(parameters) if key.startswith(prefix)}
    elif config.backend == BACKEND:
        spaces = {Model.PHOTO.value: parameters.get("space_id", "")}
    else:
        got = f"platform '{config.platform}' and backend '{config.backend}'"
        raise ModelRepositoryError(f"{source} has {got}, expected platform '{ENSEMBLE}' or backend '{BACKEND}'")
    return PhotoDescription(
        size_px=_size_px(config, parameters, source),
        outputs=_outputs(config, source),
        spaces=spaces,
        max_batch=config.max_batch_size,
    )


def _config(name: str, size_px: int, *, max_batch: int) -> Any:
    config = model_config_pb2.ModelConfig(name=name, max_batch_size=max_batch)
    config.input.add(name=Tensor.IMAGE, data_type=model_config_pb2.TYPE_UINT8, dims=[size_px, size_px, 3])
    _set_parameter(config, "size_px", str(size_px))
    return config


def _set_parameter(config: Any, key: str, value: str) -> None:
    config.parameters[key].string_value = value


def _parameters(config: Any) -> dict[str, str]:
    return {key: value.string_value for key, value in config.parameters.items()}


def _text(config: Any) -> str:
    return str(text_format.MessageToString(config, as_utf8=True))


def _parse(data: bytes, source: Path) -> Any:
    try:
        return text_format.Parse(data, model_config_pb2.ModelConfig())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        raise ModelRepositoryError(f"{source} is not a model configuration: {error}") from error


def _by_version(parameters: dict[str, str], prefix: str, source: Path) -> dict[int, str]:
    found = {key.removeprefix(prefix): value for key, value in parameters.items() if key.startswith(prefix)}
    if bad := next((version for version in found if not version.isdecimal()), None):
        raise ModelRepositoryError(f"{source}: parameter {prefix}{bad} does not name a version")
    return {int(version): found[version] for version in sorted(found, key=int)}


def _size_px(config: Any, parameters: dict[str, str], source: Path | str) -> int:
    shapes = {tensor.name: tuple(tensor.dims) for tensor in config.input}
    size_px = parameters.get("size_px", "")
    if not size_px.isdecimal() or shapes != {Tensor.IMAGE: (int(size_px), int(size_px), 3)}:
        raise ModelRepositoryError(f"{source}: inputs are {shapes}, expected '{Tensor.IMAGE}' of size_px '{size_px}'")
    return int(size_px)


def _outputs(config: Any, source: Path | str) -> dict[Tensor, int]:
    outputs: dict[Tensor, int] = {}
    for output in config.output:
        if output.name not in set(Tensor) or len(output.dims) != 1 or output.dims[0] < 1:
            raise ModelRepositoryError(f"{source}: output '{output.name}' {list(output.dims)} is none of ours")
        outputs[Tensor(output.name)] = int(output.dims[0])
    return outputs
