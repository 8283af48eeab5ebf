"""What SageMaker does to a container, done to the entry point on this machine: a stand-in for `docker run IMAGE serve`.

Files and variables are those of the CPU image, laid out as its Dockerfile says.
After its developer guide, "Use your own inference code with hosting services": the artifact lies unpacked in
/opt/ml/model and is not to be written; the environment is the model's and not that of whoever runs this; GET /ping has
2 s, POST /invocations 60 s and a payload of 6 MB (newer endpoints: 25 MB); an end is SIGTERM and, 30 s later, SIGKILL.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.bento.conftest import ROOT, free_port, wait_until
from tests.infra.container.images import Image
from tests.marks import MARK

PING_S = 2.0
INVOCATION_S = 60.0
PAYLOAD_BYTES = 6 * 2**20
LARGE_PAYLOAD_BYTES = 25 * 2**20  # of newer endpoints
START_S = 240.0
END_S = 30.0


@dataclass
class Container:
    """A container that runs."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path
    pings: list[int] = field(default_factory=list)  # statuses, 0 for none in time

    @property
    def said(self) -> str:
        return self.output.read_text(errors="replace")

    def ping(self) -> int:
        try:
            self.pings.append(httpx.get(f"{self.url}/ping", timeout=PING_S).status_code)
        except httpx.TransportError:
            self.pings.append(0)
        return self.pings[-1]

    def wait_until_in_service(self) -> None:
        def in_service() -> bool:
            assert self.process.poll() is None, self.said
            return self.ping() == 200

        wait_until(in_service, deadline_s=START_S)

    def invoke(self, body: bytes, content_type: str, attributes: str = "") -> httpx.Response:
        assert len(body) <= PAYLOAD_BYTES, "the platform refuses it before the container sees it"
        headers = {"Content-Type": content_type, "X-Amzn-SageMaker-Custom-Attributes": attributes}
        return httpx.post(f"{self.url}/invocations", content=body, headers=headers, timeout=INVOCATION_S)

    def end(self) -> int:
        """The exit status; it must come before SIGKILL does."""
        self.process.terminate()
        return self.process.wait(END_S)


@contextlib.contextmanager
def container(
    folder: Path, models: Path, environment: Mapping[str, str], *, verb: str = "serve"
) -> Iterator[Container]:
    """Run the entry point; what is left at the end is killed."""
    port, app, cache = free_port(), folder / "app", folder / "cache"
    image = Image.of("Dockerfile.cpu")
    image.lay_out(app)
    places = {"/opt/shopcam/bin": str(Path(sys.executable).parent), "$PATH": os.environ["PATH"]}
    places |= {"/opt/triton": str(ROOT / ".venv-triton"), "/app": str(app), "/var/cache/shopcam": str(cache)}
    variables = image.environment()
    for place, here in places.items():
        variables = {name: value.replace(place, here) for name, value in variables.items()}
    variables |= {"SHOPCAM_CONTAINER_MODELS": str(models), "SHOPCAM_CONTAINER_CACHE": str(cache)}
    ports = {f"SHOPCAM_CONTAINER_TRITON_{name}_PORT": str(free_port()) for name in ("GRPC", "HTTP", "METRICS")}
    platform = {"SAGEMAKER_BIND_TO_PORT": str(port), "AWS_REGION": "us-east-1"}
    marks = {name: os.environ[name] for name in (MARK,) if name in os.environ}
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "infra.container", verb],
            env={**variables, **ports, **platform, **marks, **environment},
            cwd=app,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        try:
            yield Container(f"http://127.0.0.1:{port}", process, output)
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(END_S)
                except subprocess.TimeoutExpired:
                    process.kill()
            process.wait()
