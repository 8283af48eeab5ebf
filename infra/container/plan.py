"""Settings and environment in, the parts that the supervisor runs out: engines, Triton, service, engines again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from catalog.errors import NotFoundError
from infra.container.engine_cache import EngineCache
from infra.container.gpu import Gpu, engine_key, find_gpu, tensorrt_version
from infra.container.models import find_repository, with_tensorrt
from infra.container.part import Part
from infra.container.settings import ANY_ADDRESS, PREFIX, Accelerator, ContainerSettings, service_environment

ROOT = Path(__file__).parents[2]
SERVE = (sys.executable, "-m", "bentoml", "serve", "bento.service:Shopcam")
SERVICE_START_S = 120.0  # until it listens; galleries are fetched and opened while it does
FETCH_S = 120.0
KEEP_S = 600.0
TRITON_STOP_S = 6.0  # with the service's drain below the 30 s after which platforms kill


@dataclass(frozen=True)
class Models:
    """What Triton serves. `engines` is the key of their TensorRT engines, None where TensorRT does not run them."""

    repository: Path
    engines: str | None


def models_of(settings: ContainerSettings) -> Models:
    """Find the models, with TensorRT if there is a GPU for it. Raises NotFoundError when there are none."""
    repository, gpu = find_repository(settings.models), _gpu_for_tensorrt(settings)
    if gpu is None:
        return Models(repository, None)
    out = settings.cache / "model_repository"
    with_tensorrt(repository, out, engines=engine_folder(settings), precision=settings.precision)
    return Models(out, _engine_key(settings, repository, gpu))


def engine_folder(settings: ContainerSettings) -> Path:
    """Where engines lie on this machine."""
    return settings.cache / "tensorrt"


def engine_cache(settings: ContainerSettings) -> EngineCache:
    """The cache that the tasks of `parts_of` fetch and keep."""
    gpu = _gpu_for_tensorrt(settings)
    if gpu is None:
        raise NotFoundError("there is no GPU, so there are no engines")
    key = _engine_key(settings, find_repository(settings.models), gpu)
    return EngineCache.at(settings.engine_store, key, engine_folder(settings))


def parts_of(
    settings: ContainerSettings, models: Models, environment: Mapping[str, str], *, invocations_open: bool
) -> list[Part]:
    """The parts in the order of their start."""
    url = f"http://127.0.0.1:{settings.port}"
    command = shlex.split(
        settings.triton.format(
            repository=shlex.quote(str(models.repository)),
            grpc_port=settings.triton_grpc_port,
            http_port=settings.triton_http_port,
            metrics_port=settings.triton_metrics_port,
        )
    )
    caching = models.engines is not None and bool(settings.engine_store)
    triton = Part(
        name="Triton",
        command=tuple(command),
        environment={name: value for name, value in environment.items() if not name.startswith(PREFIX)},
        up_url=f"http://127.0.0.1:{settings.triton_http_port}/v2/health/ready",
        canary_url=f"{url}/readyz",
        needs=("fetching engines",) if caching else (),
        folder=ROOT,
        start_timeout_s=settings.start_timeout_s,
        stop_s=TRITON_STOP_S,
    )
    service = Part(
        name="the service",
        command=(*SERVE, "--host", ANY_ADDRESS, "--port", str(settings.port)),
        environment=service_environment(settings, environment, invocations_open=invocations_open),
        up_url=f"{url}/livez",
        needs=(triton.name,),
        folder=ROOT,
        start_timeout_s=SERVICE_START_S,
        stop_s=settings.drain_s,
    )
    if not caching:
        return [triton, service]
    fetch = _task("fetching engines", "fetch-engines", environment, limit_s=FETCH_S)
    keep = _task("keeping engines", "keep-engines", environment, limit_s=KEEP_S, needs=(triton.name,))
    return [fetch, triton, service, keep]


def _task(name: str, verb: str, environment: Mapping[str, str], *, limit_s: float, needs: tuple[str, ...] = ()) -> Part:
    command = (sys.executable, "-m", "infra.container", verb)
    return Part(name, command, environment, needs=needs, folder=ROOT, start_timeout_s=limit_s)


def _engine_key(settings: ContainerSettings, repository: Path, gpu: Gpu) -> str:
    return engine_key(gpu, tensorrt=tensorrt_version(), precision=settings.precision, repository=repository)


def _gpu_for_tensorrt(settings: ContainerSettings) -> Gpu | None:
    if settings.accelerator is Accelerator.NONE:
        return None
    gpu = find_gpu()
    if gpu is None and settings.accelerator is Accelerator.TENSORRT:
        raise NotFoundError(f"{PREFIX}ACCELERATOR is tensorrt, but nvidia-smi finds no GPU here")
    return gpu
