"""The local Triton starts with a sentence or an answer, ends with its parent, and comes back after a crash."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest

from catalog.errors import OutOfRangeError
from export.contract import (
    ModelRepositoryError,
    RepositoryInfo,
    read_model,
    read_repository,
    write_model,
)
from export.local_triton import LocalTriton, LocalTritonError, server
from export.triton_client import ModelServerError, TritonNetworks, remote_info
from tests.tiny_repository import LABELS, TinyNetworks, make_tiny_repository, random_pictures

ROOT = Path(__file__).parents[2]


def until(condition: Callable[[], bool], *, timeout_s: float) -> bool:
    """Poll a condition; its last value at the deadline."""
    end_s = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end_s:
        time.sleep(0.05)
    return condition()


@pytest.fixture(scope="module")
def info(tiny_repository: Path) -> RepositoryInfo:
    return read_repository(tiny_repository)


def test_a_killed_server_is_503_and_comes_back(tiny_repository: Path, info: RepositoryInfo, tmp_path: Path):
    """The client made before the crash finds the new server at the same address by itself."""
    with LocalTriton(tiny_repository, log_file=tmp_path / "log", grpc_port=free_port(), instances=1) as triton:
        networks = TritonNetworks(triton.grpc_url, info=info, timeout_s=5)
        networks.infer(random_pictures(1))
        family = psutil.Process(triton.pid).children(recursive=True)
        os.kill(triton.pid, signal.SIGKILL)
        assert triton.wait(10)
        assert not triton.running
        assert not psutil.wait_procs(family, timeout=10)[1]
        with pytest.raises(ModelServerError):
            networks.infer(random_pictures(1))
        triton.start()
        with pytest.raises(LocalTritonError, match="running already"):
            triton.start()
        assert until(lambda: answers(networks), timeout_s=10)
        pid = triton.pid
    assert not psutil.pid_exists(pid)
    triton.stop()  # twice is fine


def answers(networks: TritonNetworks) -> bool:
    try:
        return networks.infer(random_pictures(1)).embedding.shape == (1, 16)
    except ModelServerError:
        return False


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


PARENT = """
import sys, time
from pathlib import Path
from export.local_triton import LocalTriton
triton = LocalTriton(Path(sys.argv[1]), log_file=Path(sys.argv[2]))
triton.start()
print(triton.pid, flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("victim", ["parent", "supervisor"])
def test_nothing_outlives_a_kill(tiny_repository: Path, tmp_path: Path, victim: str):
    command = [sys.executable, "-c", PARENT, str(tiny_repository), str(tmp_path / "log")]
    parent = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        triton = psutil.Process(int(parent.stdout.readline()))
        option = next(option for option in triton.cmdline() if option.startswith("--model-repository="))
        scratch = Path(option.partition("=")[2]).parent
        family = psutil.Process(parent.pid).children(recursive=True)
        names = [process.name() for process in family]
        assert len([name for name in names if name.startswith("triton_python")]) >= 2
        assert shared_memory(parent.pid)
        assert scratch.is_dir()
        (parent if victim == "parent" else triton.parent()).kill()
        assert until(lambda: not any(lives(process) for process in family), timeout_s=10)
        if victim == "parent":
            assert until(lambda: not shared_memory(parent.pid) and not scratch.exists(), timeout_s=2)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
        shutil.rmtree(scratch, ignore_errors=True)  # stays when the supervisor is the victim


def lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE  # the parent that would put it away may be asleep
    except psutil.NoSuchProcess:
        return False


def shared_memory(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"shopcam-{pid}-*"))  # noqa: S108  # where Triton puts its regions


def test_a_network_that_cannot_be_loaded_is_one_sentence(tmp_path: Path):
    repository = tmp_path / "repository"
    make_tiny_repository(repository)
    (repository / "embedder" / "1" / "model.onnx").write_bytes(b"torn")
    triton = LocalTriton(repository, log_file=tmp_path / "log")
    with pytest.raises(ModelRepositoryError, match="damaged or was replaced"):
        triton.start()
    assert not (tmp_path / "log").exists()  # nothing was started
    make_tiny_repository(repository)
    write_model(repository, read_model(repository, "embedder"), b"not a network")  # with a matching checksum
    with pytest.raises(
        LocalTritonError, match=r"Triton ended while starting: failed to load 'embedder' version 1"
    ) as caught:
        triton.start()
    assert "\n" not in str(caught.value)
    assert not triton.running


def test_missing_triton_names_the_verb(tiny_repository: Path, tmp_path: Path):
    with pytest.raises(LocalTritonError, match="`make triton-env` installs it"):
        LocalTriton(tiny_repository, log_file=tmp_path / "log", environment=tmp_path).start()


def test_a_taken_port_is_one_sentence(tiny_repository: Path, tiny_triton: LocalTriton, tmp_path: Path):
    port = int(tiny_triton.grpc_url.rsplit(":", 1)[1])
    with pytest.raises(LocalTritonError, match=f"port {port} is taken"):
        LocalTriton(tiny_repository, log_file=tmp_path / "log", grpc_port=port).start()


def test_a_port_lost_to_another_process_is_tried_again(
    tiny_repository: Path, tiny_triton: LocalTriton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The free HTTP port is taken between our look and Triton's: the second attempt gets others."""
    looked: list[tuple[int, int, int]] = []
    real = server._ports

    def unlucky(wanted: tuple[int | None, ...]) -> tuple[int, int, int]:
        grpc, http, metrics = real(wanted)
        http = http if looked else int(tiny_triton.http_url.rsplit(":", 1)[1])
        looked.append((grpc, http, metrics))
        return grpc, http, metrics

    monkeypatch.setattr(server, "_ports", unlucky)
    with LocalTriton(tiny_repository, log_file=tmp_path / "log", instances=1) as triton:
        assert remote_info(triton.grpc_url).labels == LABELS
        assert httpx.get(f"{triton.http_url}/v2/health/ready").status_code == 200
        assert "nv_inference_request_success" in httpx.get(triton.metrics_url).text
    assert len(looked) == 2


@pytest.mark.parametrize(
    ("settings", "instances", "threads"),
    [({}, 2, 1), ({"threads": 2}, 1, 2), ({"instances": 1}, 1, 2), ({"instances": 3}, 3, 1)],
)
def test_the_load_is_chosen_for_the_machine(monkeypatch: pytest.MonkeyPatch, settings, instances: int, threads: int):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {0, 1})
    load = LocalTriton(Path(), log_file=Path(), **settings).load
    assert (load.instances, load.threads, load.dynamic_batching) == (instances, threads, False)
    with pytest.raises(OutOfRangeError, match="instances is 0"):
        LocalTriton(Path(), log_file=Path(), instances=0)


def test_the_command_serves_until_interrupted(tiny_repository: Path, info: RepositoryInfo, tmp_path: Path):
    command = [sys.executable, "-m", "export.local_triton", "--repository", str(tiny_repository)]
    ports = ["--grpc-port", "0", "--http-port", "0", "--metrics-port", "0", "--instances", "1", "--threads", "1"]
    process = subprocess.Popen(
        [*command, *ports, "--log-file", str(tmp_path / "log")],
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "1000"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        line = process.stderr.readline()
        family = psutil.Process(process.pid).children(recursive=True)
        url = re.search(r"gRPC (\S+),", line)[1]
        got = TritonNetworks(url, info=info).infer(random_pictures(2)).embedding
        np.testing.assert_allclose(got, TinyNetworks().outputs(random_pictures(2)).embedding, atol=1e-5)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
        assert not psutil.wait_procs(family, timeout=1)[1]
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def test_the_command_says_what_is_wrong(tmp_path: Path):
    command = [sys.executable, "-m", "export.local_triton", "--repository", str(tmp_path / "nowhere")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: no model repository at ")
    assert "Traceback" not in done.stderr
