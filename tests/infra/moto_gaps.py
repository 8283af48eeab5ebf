"""What moto's CloudFormation and SageMaker leave out and the real ones do. Nothing else about moto is changed."""

from __future__ import annotations

from typing import Any

import pytest


def fill_gaps(patch: pytest.MonkeyPatch) -> None:
    """Let a stack that a change set made have outputs, and an endpoint be made without a model of its own."""
    models = pytest.importorskip("moto.cloudformation.models", reason="moto[server] is not installed")
    sagemaker = pytest.importorskip("moto.sagemaker.models", reason="moto[server] is not installed")
    execute = models.ChangeSet.apply

    def apply(self: Any) -> None:
        execute(self)
        self.stack.template_dict = self.template_dict
        self.stack.output_map = self.stack._create_output_map()
        self.stack.parameters = self.parameters

    def validate(self: Any, variants: list[dict[str, Any]]) -> None:
        check(self, [variant for variant in variants if "ModelName" in variant])  # inference components bring theirs

    check = sagemaker.SageMakerModelBackend.validate_production_variants
    patch.setattr(models.ChangeSet, "apply", apply)
    patch.setattr(sagemaker.SageMakerModelBackend, "validate_production_variants", validate)
