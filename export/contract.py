"""The reader and writer of a model repository, and the tensors and names every exported network keeps.

A repository in (folders `NAME/config.pbtxt`, `NAME/<version>/model.onnx`), a `RepositoryInfo` out; a `ModelDescription`
in, such a folder out. Nothing here imports torch, ONNX Runtime or Triton's server: the service, the builder and the
exporter all read repositories through this module. The text of `config.pbtxt` is made by `export.model_config`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from catalog.errors import OutOfRangeError
from export.description import (
    FUSED_OUTPUTS,
    NETWORK_OUTPUTS,
    Model,
    ModelDescription,
    ModelRepositoryError,
    PhotoDescription,
    RepositoryInfo,
    Tensor,
    plain,
)
from export.model_config import LABELS_FILE, config_text, ensemble_text, parse_config, parse_photo

__all__ = [
    "FUSED_OUTPUTS",
    "NETWORK_OUTPUTS",
    "Model",
    "ModelDescription",
    "ModelRepositoryError",
    "PhotoDescription",
    "RepositoryInfo",
    "Tensor",
    "check_neighbors",
    "onnx_path",
    "read_model",
    "read_repository",
    "write_model",
    "write_photo_ensemble",
]

CONFIG_FILE = "config.pbtxt"
ONNX_FILE = "model.onnx"


def write_model(
    repository: Path, description: ModelDescription, onnx: bytes | Path, *, version: int = 1
) -> ModelDescription:
    """Write `NAME/<version>/model.onnx`, `NAME/labels.txt` where there are labels, and `NAME/config.pbtxt`.

    Returns what was written, with the checksums filled in. Other versions on disk stay beside it and must have the same
    tensors and labels, since Triton keeps one configuration for all versions of a model: `OutOfRangeError` otherwise,
    and what `check_neighbors` raises.
    """
    if version < 1:
        raise OutOfRangeError(f"{description.name}: version is {version}, at least 1 is needed")
    check_neighbors(repository, description.name)
    folder = repository / description.name
    kept = _kept_versions(repository, description, version=version)
    data = onnx if isinstance(onnx, bytes) else onnx.read_bytes()
    spaces = {**kept.spaces, version: description.space_id}
    written = replace(
        description,
        onnx_sha256=dict(sorted({**kept.onnx_sha256, version: hashlib.sha256(data).hexdigest()}.items())),
        spaces=dict(sorted(spaces.items())),
        space_id=spaces[max(spaces)],
    )
    _write(folder / str(version) / ONNX_FILE, data)
    if description.labels:
        _write(folder / LABELS_FILE, "".join(f"{label}\n" for label in description.labels).encode())
    _write(folder / CONFIG_FILE, config_text(written).encode())
    return written


def check_neighbors(repository: Path, name: str) -> None:
    """Refuse a network that nobody would ask: `OutOfRangeError` for a fused network beside the pair, or the reverse.

    Triton loads every network of a repository, and `photo` is either the ensemble of the pair or the fused network.
    """
    pair = [model.value for model in NETWORK_OUTPUTS if (repository / model / CONFIG_FILE).is_file()]
    if name == Model.PHOTO and pair:
        raise OutOfRangeError(
            f"{repository} holds {' and '.join(pair)}, which nobody would ask beside a fused '{Model.PHOTO}'; "
            "export it to another repository"
        )
    if name in set(NETWORK_OUTPUTS) and _is_fused(repository):
        raise OutOfRangeError(
            f"{repository} holds a fused '{Model.PHOTO}', beside which nobody would ask '{name}'; "
            "export it to another repository"
        )


def write_photo_ensemble(repository: Path) -> RepositoryInfo:
    """Write the ensemble `photo` over the embedder and the classifier already in the repository; return what it serves.

    Raises `ModelRepositoryError` when a network is missing, or the two want pictures of different sizes.
    """
    ensemble = _ensemble_of(_read_networks(repository, NETWORK_OUTPUTS))
    folder = repository / Model.PHOTO
    # git drops empty folders, and Triton wants a version folder even for an ensemble.
    _write(folder / "1" / ".gitkeep", b"")
    _write(folder / CONFIG_FILE, ensemble_text(ensemble).encode())
    return read_repository(repository)


def read_repository(path: Path) -> RepositoryInfo:
    """Read and check a whole repository: configurations, labels, the networks' checksums, and how `photo` fits.

    `photo` is an ensemble of embedder and classifier, or a fused network alone. Raises `ModelRepositoryError` with one
    sentence naming what is missing or does not fit.
    """
    config = path / Model.PHOTO / CONFIG_FILE
    fused = config.is_file() and Model.PHOTO in parse_photo(config.read_bytes(), source=config).spaces
    if fused and (others := [model.value for model in NETWORK_OUTPUTS if (path / model / CONFIG_FILE).is_file()]):
        raise ModelRepositoryError(
            f"{path} holds {' and '.join(others)} beside a fused '{Model.PHOTO}', which nobody asks; "
            "remove one or the other"
        )
    networks = _read_networks(path, FUSED_OUTPUTS if fused else NETWORK_OUTPUTS)
    expected = _ensemble_of(networks)
    got = parse_photo(_config_bytes(path, Model.PHOTO), source=config)
    for what in ("size_px", "outputs", "spaces", "max_batch"):
        if (have := getattr(got, what)) != (want := getattr(expected, what)):
            raise ModelRepositoryError(
                f"{path}: the {'fused network' if fused else 'ensemble'} '{Model.PHOTO}' says {what} {plain(have)}, "
                f"its networks say {plain(want)}; export it again"
            )
    return RepositoryInfo(
        size_px=got.size_px,
        embedding_dim=got.outputs[Tensor.EMBEDDING],
        pooled_dim=got.outputs[Tensor.POOLED],
        labels=next(network.labels for network in networks.values() if Tensor.PROBABILITIES in network.outputs),
        spaces=dict(got.spaces),
        max_batch=got.max_batch,
    )


def read_model(repository: Path, name: str) -> ModelDescription:
    """Read and check one network: its configuration, its labels, and the checksum of every version on disk.

    Raises `ModelRepositoryError` with one sentence naming what is missing or does not fit.
    """
    description = _read_description(repository, name)
    for version, sha256 in description.onnx_sha256.items():
        _check_onnx(repository / name / str(version) / ONNX_FILE, sha256)
    return description


def onnx_path(repository: Path, description: ModelDescription) -> Path:
    """Return the path of the newest version's file."""
    return repository / description.name / str(description.version) / ONNX_FILE


def _is_fused(repository: Path) -> bool:
    """Whether `photo` is there as a network of its own; a missing or damaged one is not."""
    try:
        photo = parse_photo(_config_bytes(repository, Model.PHOTO), source=repository / Model.PHOTO / CONFIG_FILE)
    except ModelRepositoryError:
        return False
    return Model.PHOTO in photo.spaces


def _read_networks(repository: Path, wanted: Mapping[Model, tuple[Tensor, ...]]) -> dict[Model, ModelDescription]:
    if not repository.is_dir():
        raise ModelRepositoryError(f"no model repository at {repository}: there is no such folder")
    networks = {name: read_model(repository, name) for name in wanted}
    for name, outputs in wanted.items():
        if set(networks[name].outputs) != set(outputs):
            got, want = sorted(networks[name].outputs), sorted(outputs)
            raise ModelRepositoryError(f"{repository}: {name} answers {', '.join(got)}, expected {', '.join(want)}")
    return networks


def _ensemble_of(networks: Mapping[Model, ModelDescription]) -> PhotoDescription:
    sizes = {name.value: network.size_px for name, network in networks.items()}
    if len(set(sizes.values())) > 1:
        listed = " and ".join(f"{name} {size_px} px" for name, size_px in sizes.items())
        raise ModelRepositoryError(
            f"the networks of one photo must want the same picture size, got {listed}; export one of them again"
        )
    return PhotoDescription(
        size_px=next(iter(sizes.values())),
        outputs={tensor: dim for network in networks.values() for tensor, dim in network.outputs.items()},
        spaces={name.value: network.space_id for name, network in networks.items()},
        max_batch=min(network.max_batch for network in networks.values()),
    )


def _kept_versions(repository: Path, description: ModelDescription, *, version: int) -> ModelDescription:
    """Return the versions that stay on disk beside the one being written."""
    none = replace(description, onnx_sha256={}, spaces={})
    if not (repository / description.name / CONFIG_FILE).is_file():
        return none
    if description.name == Model.PHOTO and not _is_fused(repository):
        return none  # what is left of an ensemble whose networks were removed
    old = _read_description(repository, description.name)
    sha256 = {key: value for key, value in old.onnx_sha256.items() if key != version}
    if not sha256:
        return none
    for what in ("size_px", "outputs", "labels"):
        if (have := getattr(old, what)) != (want := getattr(description, what)):
            raise OutOfRangeError(
                f"{description.name}: version {version} has {what} {plain(want)}, others have {plain(have)}; "
                "write it to another repository"
            )
    return replace(old, onnx_sha256=sha256, spaces={key: old.spaces[key] for key in sha256})


def _read_description(repository: Path, name: str) -> ModelDescription:
    folder = repository / name
    config = _config_bytes(repository, name)
    labels = folder / LABELS_FILE
    names = tuple(labels.read_text(encoding="utf-8").splitlines()) if labels.is_file() else ()
    description = parse_config(config, labels=names, source=folder / CONFIG_FILE)
    if description.name != name:
        raise ModelRepositoryError(f"{folder / CONFIG_FILE} says name '{description.name}', its folder says '{name}'")
    return description


def _config_bytes(repository: Path, name: str) -> bytes:
    try:
        return (repository / name / CONFIG_FILE).read_bytes()
    except FileNotFoundError:
        raise ModelRepositoryError(
            f"model '{name}' is missing in {repository}: there is no {name}/{CONFIG_FILE}"
        ) from None


def _check_onnx(path: Path, sha256: str) -> None:
    if not path.is_file():
        raise ModelRepositoryError(f"{path} is missing, although its configuration names it")
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256:
        raise ModelRepositoryError(
            f"{path} is damaged or was replaced: its sha256 is {got[:12]}..., its configuration says {sha256[:12]}..."
        )


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_bytes(data)
    temporary.replace(path)
