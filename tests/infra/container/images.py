"""A Dockerfile read as far as it can be without a container engine: its instructions, what its last stage copies."""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

from docker.utils.build import exclude_paths

from tests.bento.conftest import ROOT

FOLDER = ROOT / "infra" / "container"


@dataclass(frozen=True)
class Image:
    """The stages of a Dockerfile, each a list of (instruction, arguments)."""

    path: Path
    stages: list[list[tuple[str, str]]]

    @classmethod
    def of(cls, name: str) -> Image:
        path = FOLDER / name
        lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
        joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
        stages: list[list[tuple[str, str]]] = []
        for line in filter(None, joined.splitlines()):
            instruction, _, arguments = line.partition(" ")
            if instruction == "FROM":
                stages.append([])
            stages[-1].append((instruction, arguments.strip()))
        return cls(path, stages)

    def last(self, instruction: str) -> list[str]:
        """Arguments of an instruction in the stage that becomes the image."""
        return [arguments for name, arguments in self.stages[-1] if name == instruction]

    def copied(self) -> list[list[str]]:
        """Sources and target of every COPY out of the build's context, of all stages."""
        copies = [arguments for stage in self.stages for name, arguments in stage if name == "COPY"]
        return [arguments.split() for arguments in copies if "--from" not in arguments]

    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for arguments in self.last("ENV") for pair in shlex.split(arguments))

    def context(self) -> set[str]:
        """The files that the build may see."""
        ignore = self.path.with_name(f"{self.path.name}.dockerignore").read_text().splitlines()
        patterns = [line for line in ignore if line and not line.startswith("#")]
        return {name for name in exclude_paths(str(ROOT), patterns) if (ROOT / name).is_file()}

    def lay_out(self, app: Path) -> None:
        """Copy what the last stage copies to where it would be below /app."""
        context = self.context()
        for arguments in self.last("COPY"):
            if "--from" in arguments:
                continue
            *sources, target = arguments.split()
            for source in sources:
                for name in (name for name in context if name == source or name.startswith(source)):
                    inside = Path(name).relative_to(source) if source.endswith("/") else Path(Path(name).name)
                    (app / target / inside).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(ROOT / name, app / target / inside)
