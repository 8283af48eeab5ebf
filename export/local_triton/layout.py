"""A repository and Triton's environment in, a scratch folder that `tritonserver` can be started on out.

The scratch folder holds two things. `repository/`: the same models, their files linked, with configurations that say
how this machine runs them (instances, threads, batching), so that the repository on disk stays as it is. `backends/`:
Triton's Python backend with its stub, and our backend `onnxruntime` beside it; Triton refuses a linked library, hence
copies.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from catalog.errors import NotReadyError
from export.contract import CONFIG_FILE, ONNX_FILE
from export.model_config import BACKEND

BACKENDS = Path(__file__).parent / "backends"


class LocalTritonError(NotReadyError):
    """The local Triton cannot be started, or it ended."""


@dataclass(frozen=True)
class Load:
    """How this machine runs each network: `instances` sessions of `threads` threads each, batching requests or not."""

    instances: int
    threads: int
    dynamic_batching: bool


@dataclass(frozen=True)
class Environment:
    """Where the parts of Triton are inside a virtual environment with `nvidia-pytriton`."""

    bin: Path
    server: Path  # the program `tritonserver`
    python_backend: Path  # the folder with libtriton_python.so
    stub: Path
    libraries: Path


def find_environment(folder: Path) -> Environment:
    """Find Triton in the virtual environment `folder`; raises `LocalTritonError` naming what is missing."""
    site = next(iter(sorted(folder.glob("lib/python3.*/site-packages"))), None)
    server = site and site / "pytriton" / "tritonserver"
    if site is None or server is None or not (server / "bin" / "tritonserver").is_file():
        raise LocalTritonError(f"Triton is not installed in {folder}; `make triton-env` installs it")
    if not list(site.glob("numpy-1.*.dist-info")):
        # Under numpy 2 its Python backend answers with empty tensors and no error.
        raise LocalTritonError(f"Triton's environment {folder} needs numpy 1; remove it and run `make triton-env`")
    python = site.parent.name.removeprefix("python")
    environment = Environment(
        bin=folder / "bin",
        server=server / "bin" / "tritonserver",
        python_backend=server / "backends" / "python",
        stub=server / "python_backend_stubs" / python / "triton_python_backend_stub",
        libraries=site / "nvidia_pytriton.libs",
    )
    if not environment.stub.is_file():
        raise LocalTritonError(
            f"Triton in {folder} has no stub for Python {python}; `make triton-env` needs Python 3.11"
        )
    return environment


def lay_out_backends(folder: Path, environment: Environment) -> None:
    """Fill a backend folder: Triton's Python backend, and ours on top of it."""
    python = folder / "python"
    shutil.copytree(environment.python_backend, python, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(environment.stub, python)
    for name in ("libtriton_python.so", environment.stub.name):
        (python / name).chmod(0o755)
    shutil.copytree(BACKENDS / BACKEND, folder / BACKEND, ignore=shutil.ignore_patterns("__pycache__"))


def lay_out_repository(folder: Path, repository: Path, load: Load) -> None:
    """Fill a model repository with links to the files of `repository` and with configurations for this machine."""
    for source in sorted(path.parent for path in repository.glob(f"*/{CONFIG_FILE}")):
        model = folder / source.name
        model.mkdir(parents=True)
        for file in source.iterdir():
            if file.is_file() and file.name != CONFIG_FILE:
                (model / file.name).symlink_to(file.resolve())
        for version in (path for path in source.iterdir() if path.is_dir() and path.name.isdecimal()):
            (model / version.name).mkdir()
            if (version / ONNX_FILE).is_file():
                (model / version.name / ONNX_FILE).symlink_to((version / ONNX_FILE).resolve())
        config = text_format.Parse((source / CONFIG_FILE).read_bytes(), model_config_pb2.ModelConfig())
        _set_load(config, load)
        (model / CONFIG_FILE).write_text(text_format.MessageToString(config, as_utf8=True), encoding="utf-8")


def _set_load(config: Any, load: Load) -> None:
    if config.backend != BACKEND:
        return  # an ensemble runs nothing itself
    del config.instance_group[:]
    config.instance_group.add(kind=model_config_pb2.ModelInstanceGroup.KIND_CPU, count=load.instances)
    config.parameters["intra_op_thread_count"].string_value = str(load.threads)
    if not load.dynamic_batching:
        config.ClearField("dynamic_batching")
