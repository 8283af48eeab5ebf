"""What several rooms' tests share: a tiny real model repository, and a real Triton that serves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from export.local_triton import LocalTriton
from tests.tiny_repository import make_tiny_repository


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
