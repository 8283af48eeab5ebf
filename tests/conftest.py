"""What several rooms' tests share: a tiny real model repository, a real Triton that serves it, and a moto server."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from export.local_triton import LocalTriton
from tests.tiny_repository import make_tiny_repository


def pytest_configure() -> None:
    """Tests press Ctrl-C: a shell that runs the suite in the background has what it starts ignore that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the README's commands, which take minutes: with two workers nothing long is left for the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture(scope="session")
def tiny_repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the path of a repository as `make_tiny_repository` writes it; not to be changed."""
    path = tmp_path_factory.mktemp("tiny") / "model_repository"
    make_tiny_repository(path)
    return path


@pytest.fixture(scope="session")
def tiny_triton(tiny_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalTriton]:
    """Give a running Triton over `tiny_repository`; a test that kills one starts its own."""
    with LocalTriton(tiny_repository, log_file=tmp_path_factory.mktemp("triton") / "triton.log") as triton:
        yield triton


@pytest.fixture
def aws_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are none, and nothing of the machine's own AWS configuration."""
    forget_aws(monkeypatch)


def forget_aws(patch: pytest.MonkeyPatch) -> None:
    """What `aws_environment` does, for fixtures of another scope."""
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_REGION", "AWS_DEFAULT_REGION"):
        patch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """Give the address of a real moto server on a free port; each test empties it for itself."""
    server = pytest.importorskip("moto.server", reason="moto[server] is not installed")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()
