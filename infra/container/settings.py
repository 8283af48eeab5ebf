"""Environment variables `SHOPCAM_CONTAINER_*` in, checked settings of the container out.

What the service itself needs to know is `SHOPCAM_*` and goes through to it as it is.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from catalog.errors import MalformedError

SERVICE_PREFIX = "SHOPCAM_"
PREFIX = "SHOPCAM_CONTAINER_"
ANY_ADDRESS = "0.0.0.0"  # noqa: S104  # the platform decides who reaches a container
SAGEMAKER_PORT = "SAGEMAKER_BIND_TO_PORT"  # given by the platform where one instance runs several containers
TRITON = (
    "tritonserver --model-repository={repository} --grpc-address=127.0.0.1 --grpc-port={grpc_port}"
    " --http-address=127.0.0.1 --http-port={http_port} --metrics-address=127.0.0.1 --metrics-port={metrics_port}"
    " --exit-timeout-secs=5"
)

Port = Annotated[int, Field(ge=1, le=65535)]


class Accelerator(StrEnum):
    """What Triton runs networks with beside plain ONNX Runtime."""

    AUTO = "auto"
    TENSORRT = "tensorrt"
    NONE = "none"


class ContainerSettings(BaseModel):
    """What the supervisor needs to know. Times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    models: Annotated[Path, Field(description="folder of the model artifact: a model repository, or one inside")] = (
        Path("/opt/ml/model")
    )
    cache: Annotated[Path, Field(description="folder that may be written: galleries, engines, scratch files")] = Path(
        "/var/cache/shopcam"
    )
    port: Annotated[Port, Field(description="port of the service")] = 8080
    triton: Annotated[str, Field(min_length=1, description="the command that starts Triton")] = TRITON
    triton_grpc_port: Port = 8001
    triton_http_port: Port = 8000
    triton_metrics_port: Port = 8002
    accelerator: Annotated[Accelerator, Field(description="auto: TensorRT where there is a GPU")] = Accelerator.AUTO
    precision: Annotated[str, Field(pattern="^FP(16|32)$", description="of TensorRT's engines")] = "FP16"
    engine_store: Annotated[
        str, Field(pattern=r"^(s3://[^/]+(/.*)?)?$", description="s3://bucket/prefix that keeps engines; empty: none")
    ] = ""
    start_timeout_s: Annotated[float, Field(gt=0, description="longest start of Triton, engines built")] = 900.0
    drain_s: Annotated[float, Field(gt=0, description="what the service's last requests may take")] = 20.0
    most_failures: Annotated[int, Field(ge=1, description="failures of a part in a row that end the container")] = 6

    @field_validator("triton")
    @classmethod
    def _can_be_filled_in(cls, command: str) -> str:
        try:
            command.format(repository="", grpc_port=0, http_port=0, metrics_port=0)
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"{error} is no name, expected {{repository}}, {{grpc_port}}, {{http_port}}, {{metrics_port}}"
            ) from None
        return command


def from_environment(environment: Mapping[str, str] = os.environ) -> ContainerSettings:
    """Read and check the settings; raises MalformedError naming the variable that is unknown or does not fit."""
    given = {name.removeprefix(PREFIX).lower(): value for name, value in environment.items() if name.startswith(PREFIX)}
    if SAGEMAKER_PORT in environment:
        given["port"] = environment[SAGEMAKER_PORT]
    try:
        return ContainerSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = PREFIX + str(first["loc"][0]).upper()
        if first["type"] == "extra_forbidden":
            known = ", ".join(PREFIX + field.upper() for field in ContainerSettings.model_fields)
            raise MalformedError(f"unknown setting {name}; known are {known}") from None
        raise MalformedError(f"{name}: {first['msg']}, got {str(first['input'])!r}") from None


def service_environment(
    settings: ContainerSettings, environment: Mapping[str, str], *, invocations_open: bool
) -> dict[str, str]:
    """The service's environment: what was given, and what only the container knows.

    `invocations_open` is the value where none was given.
    """
    rest = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
    ours = {
        "SHOPCAM_TRITON_URL": f"127.0.0.1:{settings.triton_grpc_port}",
        "SHOPCAM_HOST": ANY_ADDRESS,
        "SHOPCAM_PORT": str(settings.port),
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(settings.cache / "bentoml"),
        "XDG_CACHE_HOME": str(settings.cache),  # galleries of a store on S3
        # The networks' own threads need the cores; one search is short.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    given = {"SHOPCAM_INVOCATIONS_OPEN": "true"} if invocations_open else {}
    return {**given, **rest, **ours}
