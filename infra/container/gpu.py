"""The machine in, what TensorRT's engines depend on out: the GPU, TensorRT's version, and the networks."""

from __future__ import annotations

import hashlib
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from infra.container.models import CONFIG_FILE

QUESTION = ("nvidia-smi", "--query-gpu=name,compute_cap", "--format=csv,noheader")
ANSWER_S = 30.0
LIBRARY = "libnvinfer.so.*"
LIBRARIES = (Path("/usr/lib/x86_64-linux-gnu"), Path("/usr/local/tensorrt/lib"), Path("/opt/tritonserver/lib"))


@dataclass(frozen=True)
class Gpu:
    """The first GPU: its name and compute capability."""

    name: str
    capability: str


def find_gpu() -> Gpu | None:
    """Ask the driver; None where there is no GPU."""
    try:
        asked = subprocess.run(QUESTION, capture_output=True, text=True, timeout=ANSWER_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    name, _, capability = asked.stdout.partition("\n")[0].rpartition(",")
    return Gpu(name.strip(), capability.strip()) if name else None


def tensorrt_version(folders: Iterable[Path] = LIBRARIES) -> str:
    """The version in the name of TensorRT's library, "unknown" where it is not found."""
    found = [path.name.removeprefix("libnvinfer.so.") for folder in folders for path in folder.glob(LIBRARY)]
    return max(found, key=len, default="unknown")  # links to it have a part of the version


def engine_key(gpu: Gpu, *, tensorrt: str, precision: str, repository: Path) -> str:
    """The folder of engines that may be used here: equal for equal GPU, TensorRT and networks with their settings."""
    digest = hashlib.sha256(precision.encode())
    for config_file in sorted(repository.glob(f"*/{CONFIG_FILE}")):
        for file in (config_file, *sorted(config_file.parent.glob("*/*.onnx"))):
            digest.update(file.relative_to(repository).as_posix().encode() + b"\0")
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return "/".join((_plain(f"{gpu.name}-sm{gpu.capability}"), _plain(tensorrt), digest.hexdigest()[:16]))


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", name)
