"""The name of a template in, its text and what it would make out: read without asking AWS anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # no stubs among the dependencies

FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Template:
    """A CloudFormation template of this repository."""

    name: str
    body: str
    content: Mapping[str, Any]

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameter name -> its declaration."""
        return dict(self.content.get("Parameters", {}))

    def resources(self, values: Mapping[str, str]) -> list[tuple[str, str]]:
        """(logical id, type) of what would be made with these parameter values."""
        found: Mapping[str, Any] = self.content["Resources"]
        return [
            (logical_id, resource["Type"])
            for logical_id, resource in found.items()
            if "Condition" not in resource or self._holds(resource["Condition"], values)
        ]

    def _holds(self, condition: str, values: Mapping[str, str]) -> bool:
        defaults = {key: str(item["Default"]) for key, item in self.parameters.items() if "Default" in item}
        return bool(_evaluate(self.content["Conditions"][condition], {**defaults, **values}))


@cache
def read_template(name: str, *, folder: Path = FOLDER) -> Template:
    """The template `infra/templates/NAME.yaml`, or of another folder."""
    body = (folder / f"{name}.yaml").read_text(encoding="utf-8")
    return Template(name=name, body=body, content=yaml.load(body, Loader=_Loader))  # noqa: S506  # a SafeLoader


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML with CloudFormation's short tags: `!Ref X` is {"Ref": X}, `!Sub X` is {"Fn::Sub": X}."""


def _short_tag(loader: _Loader, suffix: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _short_tag)


def _evaluate(term: Any, values: Mapping[str, str]) -> Any:
    """The value of the functions that conditions of our templates are made of."""
    if not isinstance(term, dict):
        return term
    ((function, given),) = term.items()
    if function == "Ref":
        return values[given]
    parts = [_evaluate(part, values) for part in given]
    if function == "Fn::Not":
        return not parts[0]
    if function == "Fn::Equals":
        return parts[0] == parts[1]
    raise ValueError(f"conditions of our templates use Not, Equals and Ref only, got {function}")
