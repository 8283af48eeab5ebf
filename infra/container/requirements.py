"""`python requirements.py pyproject.toml cpu|gpu`: what the service of an image needs, one requirement a line.

Those of `[project].dependencies` and of one extra, without the project itself; the standard library only.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, extra: str) -> list[str]:
    """Read the requirements of the service with FAISS for `extra`."""
    project = tomllib.loads(pyproject.read_text())["project"]
    return [*project["dependencies"], *project["optional-dependencies"][extra]]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), sys.argv[2])) + "\n")
