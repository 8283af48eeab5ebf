"""docs/container.md says of every setting what the code does."""

from __future__ import annotations

import re

from bento.schemas import Operation
from infra.container.settings import PREFIX, TRITON, ContainerSettings
from tests.bento.conftest import ROOT

TEXT = (ROOT / "docs" / "container.md").read_text()
ROW = re.compile(rf"^\| `({PREFIX}\w+)` \| (?:`([^`]*)`)? ?\|", re.MULTILINE)


def test_every_setting_is_listed_with_its_default() -> None:
    listed = dict(ROW.findall(TEXT))
    defaults = {PREFIX + name.upper(): str(value) for name, value in ContainerSettings().model_dump().items()}
    assert listed.pop(f"{PREFIX}TRITON") == f"{TRITON.split()[0]} ..."
    defaults.pop(f"{PREFIX}TRITON")
    assert listed == defaults


def test_every_operation_is_listed() -> None:
    table = TEXT.partition("| operation | fields")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(Operation)


def test_every_file_that_is_named_exists() -> None:
    named = re.findall(r"\b(?:infra|docs|tests)/[\w./-]+\b", TEXT)
    assert {"infra/container/Dockerfile", "infra/bentocloud/deployment.yaml"} <= set(named)
    assert [name for name in named if not (ROOT / name).exists()] == []
