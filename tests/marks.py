"""What a test started, found again whoever its parent is by now: by a variable that everything it starts inherits."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psutil
import pytest

MARK = "SHOP_TEST_MARK"


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Marks what the test starts; whatever is left of it afterwards is killed."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)
    yield mark
    for process in marked(mark):
        process.kill()


def marked(mark: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found
