"""Kubernetes' own schemas for what it knows, and what must fit together for all; BentoML's parser for BentoCloud."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from bentoml._internal.cloud.schemas.schemasv2 import CreateDeploymentSchema
from bentoml._internal.utils.cattr import bentoml_cattr

from bento.routes import PROBES
from bento.settings import from_environment as service_settings
from infra.container.plan import TRITON_STOP_S
from infra.container.settings import PREFIX, from_environment
from tests.bento.conftest import ROOT

FOLDER = ROOT / "infra" / "kubernetes"
VERSIONS = ("1.30.0", "1.37.0")
CUSTOM = {"InferenceService", "Kustomization"}
# What KServe's predictor has besides a pod's own fields.
SCALING = {"minReplicas", "maxReplicas", "scaleMetric", "scaleTarget", "containerConcurrency", "timeout"}


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


ALL = [document for path in sorted(FOLDER.glob("*.yaml")) for document in documents(path)]


def of(kind: str) -> dict[str, Any]:
    (found,) = [document for document in ALL if document["kind"] == kind]
    return found


def pods() -> dict[str, dict[str, Any]]:
    """The pod of each way to run it."""
    predictor = of("InferenceService")["spec"]["predictor"]
    return {
        "Deployment": of("Deployment")["spec"]["template"]["spec"],
        "InferenceService": {name: value for name, value in predictor.items() if name not in SCALING},
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_knows_every_field(version: str) -> None:
    known = [document for document in ALL if document["kind"] not in CUSTOM]
    assert len(known) == 6
    for document in known:
        kubernetes_validate.validate(document, version, strict=True)
    # Of a custom resource the pod inside is Kubernetes' own.
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": pods()["InferenceService"]}
    kubernetes_validate.validate(pod, version, strict=True)
    pod = copy.deepcopy(pod)
    pod["spec"]["containers"][0]["port"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, version, strict=True)


def test_it_scales_from_zero() -> None:
    predictor = of("InferenceService")["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["scaleMetric"]) == (0, "concurrency")
    assert predictor["scaleTarget"] < service_settings({}).max_searches


@pytest.mark.parametrize("kind", ["Deployment", "InferenceService"])
def test_pods_are_what_the_image_needs(kind: str) -> None:
    pod = pods()[kind]
    (container,) = pod["containers"]
    assert container["args"] == ["run"]  # `serve` would open /invocations
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["ports"][0]["containerPort"] == from_environment({}).port
    assert {container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("liveness", "readiness")} <= PROBES
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"  # tells the truth
    assert container["livenessProbe"]["httpGet"]["path"] == "/livez"  # a restart mends neither store nor gallery
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in pod["volumes"]}
    settings = from_environment({})
    assert mounts["cache"] == str(settings.cache)
    named = {variable["name"]: variable["value"] for variable in container.get("env", ())}
    models = named.get(f"{PREFIX}MODELS", mounts.get("models"))
    assert models == (str(settings.models) if kind == "Deployment" else "/mnt/models")


def test_time_to_start_and_to_stop_is_what_the_supervisor_takes() -> None:
    pod = pods()["Deployment"]
    (container,) = pod["containers"]
    settings = from_environment({})
    pause_s = float(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause_s + settings.drain_s + TRITON_STOP_S
    startup = container["startupProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] > settings.start_timeout_s
    # Without the pause, what SageMaker and Docker-like platforms leave: 30 s between SIGTERM and SIGKILL.
    assert settings.drain_s + TRITON_STOP_S < 30


def test_the_parts_find_each_other() -> None:
    deployment, pod = of("Deployment"), of("Deployment")["spec"]["template"]["spec"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert of("Service")["spec"]["selector"] == labels
    assert of("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == labels
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    scaler = of("HorizontalPodAutoscaler")["spec"]
    assert (scaler["scaleTargetRef"]["kind"], scaler["scaleTargetRef"]["name"]) == ("Deployment", "shopcam")
    assert "replicas" not in deployment["spec"]  # it would undo the autoscaler at every apply
    assert of("PodDisruptionBudget")["spec"]["minAvailable"] < scaler["minReplicas"]
    assert pod["serviceAccountName"] == of("ServiceAccount")["metadata"]["name"]
    assert pod["containers"][0]["envFrom"][0]["configMapRef"]["name"] == of("ConfigMap")["metadata"]["name"]
    assert of("Service")["spec"]["ports"][0]["targetPort"] == pod["containers"][0]["ports"][0]["name"]
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml", "kserve.yaml"}
    assert set(of("Kustomization")["resources"]) == files


def test_settings_are_settings() -> None:
    given = of("ConfigMap")["data"]
    container = {name: value for name, value in given.items() if name.startswith(PREFIX)}
    assert from_environment(container).engine_store.startswith("s3://")
    service = {name: value for name, value in given.items() if name not in container}
    assert service_settings(service).store.startswith("s3://")
    assert not [name for name in given if re.search("TOKEN|KEY|SECRET|PASSWORD", name)]


def test_bentocloud_knows_every_field() -> None:
    (given,) = documents(ROOT / "infra" / "bentocloud" / "deployment.yaml")
    understood = bentoml_cattr.unstructure(bentoml_cattr.structure(given, CreateDeploymentSchema))
    assert {name: understood.get(name) for name in given} == given  # a field that is not known would be gone
    assert given["services"]["shopcam"]["scaling"]["min_replicas"] == 0
    service_settings({variable["name"]: variable["value"] for variable in given["envs"]})
