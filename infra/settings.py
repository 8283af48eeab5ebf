"""The name of a profile in, its checked settings out. The profiles stand in `infra/profiles.toml`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from catalog.errors import MalformedError, NotFoundError

PROFILES = Path(__file__).parent / "profiles.toml"


class Profile(BaseModel):
    """Where one store lives and how long it remembers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    region: Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
    stack_name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,127}$")]
    noncurrent_days: Annotated[int, Field(ge=1, description="days that a replaced object stays restorable")]
    noncurrent_versions: Annotated[int, Field(ge=1, le=100, description="replaced versions kept beyond those days")]
    protected: Annotated[bool, Field(description="`down` is refused, here and by CloudFormation")]
    tags: dict[str, str] = Field(default_factory=dict)


def load_profile(name: str, *, path: Path = PROFILES) -> Profile:
    """The settings of profile `name`; raises NotFoundError for an unknown one, MalformedError for a wrong file."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"the settings file {path} does not exist") from error
    except tomllib.TOMLDecodeError as error:
        raise MalformedError(f"the settings file {path} is not TOML: {error}") from error
    if name not in tables:
        raise NotFoundError(f"there is no profile {name!r} in {path.name}; known profiles: {', '.join(sorted(tables))}")
    try:
        return Profile(name=name, **tables[name])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise MalformedError(f"profile {name!r} in {path.name} has a wrong {where}: {first['msg']}") from error
