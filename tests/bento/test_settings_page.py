"""docs/settings.md says what the program knows."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_has_the_table_that_the_program_prints() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bento", "settings"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    page = (ROOT / "docs/settings.md").read_text()
    assert done.stdout.count("\n") > 20
    assert page.endswith(done.stdout), "write it anew: python -m bento settings"
