"""The README's "Deploy", run as it stands by a shell, against moto. A tiny shop takes the place of the sample shop."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from index_builder.store import LocalStore
from tests.infra.conftest import ALARM, PREFIX, REGION, Cloud, publish_copy
from tests.test_readme import BLOCKS, ROOT

MADE = {"store", "model_repository"}


@pytest.fixture
def checkout(galleries: LocalStore, tiny_repository: Path, tmp_path: Path) -> Path:
    """The repository with galleries in ./store, as the blocks before leave it."""
    folder = tmp_path / "shopcam"
    folder.mkdir()
    for entry in ROOT.iterdir():
        if entry.name not in MADE:
            (folder / entry.name).symlink_to(entry)
    (folder / "model_repository").symlink_to(tiny_repository)
    store = LocalStore(folder / "store")
    for version, copied in (("autumn", "one"), ("winter", "two")):
        publish_copy(galleries, copied, to=store, version=version)
    return folder


def shell(block: str, checkout: Path, cloud: Cloud) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block],
        cwd=checkout,
        env={**os.environ, "AWS_ENDPOINT_URL": cloud.url, "AWS_DEFAULT_REGION": REGION},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode == 0, f"{block}\nexit code {done.returncode}\n{printed[-3000:]}"
    return printed


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore:Tried to parse")
@pytest.mark.filterwarnings("ignore:Unable to delete")
def test_deploy(checkout: Path, cloud: Cloud) -> None:
    up, release = (block for block in BLOCKS if "python -m infra" in block)

    printed = shell(up, checkout, cloud)
    assert "US dollars a month in eu-central-1" in printed
    assert f"{PREFIX}-serving: made by the first `python -m infra rollout pair`" in printed
    # What a person does between the blocks; and the alarm, which moto's CloudFormation passes over.
    cloud.push_image(PREFIX, "1")
    cloud.ring(ALARM, state="OK")
    printed = shell(release, checkout, cloud)
    assert "before: autumn\nasked:  winter\nserves: winter\nlive" in printed
    assert "before: winter\nasked:  autumn\nserves: autumn\nlive" in printed
    assert cloud.left() == {}
