"""`python requirements.py pyproject.toml cpu|gpu [build]`: what an image needs, one requirement a line.

Those of `[project].dependencies` and of the extras named, without the project itself; the standard library only.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def requirements(pyproject: Path, *extras: str) -> list[str]:
    """Read the requirements of the service with FAISS for cpu or gpu, and of other extras."""
    project = tomllib.loads(pyproject.read_text())["project"]
    added = [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [*project["dependencies"], *added]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(Path(sys.argv[1]), *sys.argv[2:])) + "\n")
