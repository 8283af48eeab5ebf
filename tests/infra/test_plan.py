"""Golden outputs: what `plan` prints without an account. A change of templates, profiles or prices shows in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.__main__ import main
from tests.infra.conftest import Cloud, run

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(__file__).parent / "golden"


def planned(profile: str, home: Path) -> subprocess.CompletedProcess[str]:
    """`python -m infra plan` on a machine that has no credentials and reaches nothing."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = {"HOME": str(home), "AWS_EC2_METADATA_DISABLED": "true", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    return subprocess.run(
        [sys.executable, "-m", "infra", "plan", "--profile", profile],
        cwd=ROOT,
        env=variables | nowhere,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


@pytest.mark.parametrize("profile", ["dev", "prod"])
def test_plan_without_an_account(profile: str, tmp_path: Path) -> None:
    """A wanted change: COLUMNS=120 python -m infra plan --offline --profile NAME > tests/infra/golden/NAME.txt."""
    done = planned(profile, tmp_path)

    assert done.stdout == (GOLDEN / f"{profile}.txt").read_text()
    told = " ".join(done.stderr.split())
    assert "nothing was changed; from the templates alone (no AWS credentials were found), as if nothing were" in told


@pytest.mark.filterwarnings("ignore:Tried to parse")
def test_plan_changes_nothing(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("plan", cloud) == 0
    assert cloud.left() == {}
    # With nothing there, CloudFormation has nothing to say beyond the templates.
    assert capsys.readouterr().out == (GOLDEN / "dev.txt").read_text()

    run("up", cloud)
    before, bodies = cloud.left(), templates(cloud)
    capsys.readouterr()
    assert run("plan", cloud) == 0
    assert (cloud.left(), templates(cloud)) == (before, bodies)
    assert (
        " store " not in capsys.readouterr().out.split("US dollars")[0]
    )  # all that is left to add waits for a release


def templates(cloud: Cloud) -> dict[str, str]:
    """Stack -> its template, as CloudFormation has it."""
    return {name: str(cloud.stacks_api.get_template(StackName=name)["TemplateBody"]) for name in cloud.stacks()}


def test_a_region_without_prices_is_planned_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--offline", "--region", "ap-south-1"]) == 0

    told = capsys.readouterr().out
    assert "StoreBucket" in told
    assert "what it costs is not known: there are no prices of ap-south-1" in told
