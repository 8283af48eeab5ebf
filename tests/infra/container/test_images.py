"""The Dockerfiles, without an engine to build them: linted, and what they copy is what the container needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from infra.container.requirements import requirements
from infra.container.settings import from_environment
from tests.bento.conftest import ROOT
from tests.infra.container.images import FOLDER, Image

NAMES = ("Dockerfile", "Dockerfile.cpu")
BUILDER = "Dockerfile.builder"
ROOMS = ("bento", "catalog", "export", "index_builder", "infra", "training", "loadtests", "benchmarks")
NEEDED = "import sys, json, bento.service, export.local_triton.__main__, infra.container.__main__ as _; "
LISTING = "print(json.dumps({n: getattr(m, '__file__', None) for n, m in sys.modules.items()}))"


@pytest.fixture(params=NAMES)
def image(request: pytest.FixtureRequest) -> Image:
    return Image.of(request.param)


@pytest.mark.parametrize("name", [*NAMES, BUILDER])
def test_hadolint_finds_nothing(name: str) -> None:
    program = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([program, FOLDER / name], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_it_runs_the_supervisor_as_nobody_in_particular(image: Image) -> None:
    assert image.last("USER") == ["10001:10001"]
    assert json.loads(image.last("ENTRYPOINT")[0])[-3:] == ["python", "-m", "infra.container"]
    assert json.loads(image.last("CMD")[0]) == ["run"]
    assert image.last("EXPOSE") == [str(from_environment({}).port)]
    assert from_environment(image.environment()).cache == Path(image.environment()["HOME"])
    bases = {arguments.split(" AS ")[0] for stage in image.stages for name, arguments in stage if name == "FROM"}
    assert len(bases) == 1  # so that what one stage built runs in the other
    assert not bases.pop().endswith(":latest")


def test_everything_that_is_copied_is_there_and_in_the_context(image: Image) -> None:
    context = image.context()
    for *sources, _ in image.copied():
        for source in sources:
            assert [name for name in context if name == source or name.startswith(source)], source
    assert not [name for name in context if name.startswith((".", "tests", "runs", "infra/kubernetes"))]
    assert not [name for name in context if name.endswith(".pyc")]


def test_what_is_copied_is_all_that_runs(image: Image, tmp_path: Path) -> None:
    image.lay_out(tmp_path)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path), "BENTOML_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", NEEDED + LISTING],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {name: file for name, file in json.loads(done.stdout).items() if name.split(".")[0] in ROOMS and file}
    assert {"bento.service", "infra.container.supervisor"} <= set(files)
    assert [name for name, file in files.items() if not Path(file).is_relative_to(tmp_path)] == []
    assert "torch" not in json.loads(done.stdout)


def test_a_build_runs_on_what_the_image_of_the_builder_copies(tmp_path: Path) -> None:
    image = Image.of(BUILDER)
    image.lay_out(tmp_path)
    listing = "import sys, json, infra.build_job, index_builder.__main__; " + LISTING
    done = subprocess.run(
        [sys.executable, "-c", listing],
        cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {name: file for name, file in json.loads(done.stdout).items() if name.split(".")[0] in ROOMS and file}
    assert {"infra.build_job", "index_builder.build_verb"} <= set(files)
    assert [name for name, file in files.items() if not Path(file).is_relative_to(tmp_path)] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert requirements(ROOT / "pyproject.toml", "gpu", "build") == (
        project["dependencies"] + extras["gpu"] + extras["build"]
    )


@pytest.mark.parametrize("extra", ["cpu", "gpu"])
def test_requirements_are_those_of_the_service(extra: str) -> None:
    script = [sys.executable, "-I", "-S", FOLDER / "requirements.py", ROOT / "pyproject.toml", extra]
    printed = subprocess.run(script, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = requirements(ROOT / "pyproject.toml", extra)
    assert printed == found == project["dependencies"] + [f"faiss-{extra}>=1.15"]
    assert not [line for line in found if line.startswith(("torch", "onnx"))]
