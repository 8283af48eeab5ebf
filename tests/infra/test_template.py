"""Oracle: cfn-lint's own rules, and the promises of the store written out by hand.

moto creates the bucket but passes over most of its properties and its policy, so those are read in the template.
"""

import json
from typing import Any

import pytest

from infra.stack import TEMPLATE


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    decode = pytest.importorskip("cfnlint.decode.cfn_yaml", reason="cfn-lint is not installed")
    return json.loads(json.dumps(decode.load(str(TEMPLATE))))


def test_cfn_lint_finds_nothing() -> None:
    api = pytest.importorskip("cfnlint.api", reason="cfn-lint is not installed")

    assert api.lint_file(TEMPLATE) == []


def test_bucket_is_versioned_encrypted_private_and_forgets(template: dict[str, Any]) -> None:
    bucket = template["Resources"]["StoreBucket"]
    settings = bucket["Properties"]
    rules = {rule["Id"]: rule for rule in settings["LifecycleConfiguration"]["Rules"]}

    assert "BucketName" not in settings
    assert settings["VersioningConfiguration"] == {"Status": "Enabled"}
    (encryption,) = settings["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert set(settings["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(settings["PublicAccessBlockConfiguration"]) == 4
    assert rules["expire-noncurrent-versions"]["NoncurrentVersionExpiration"] == {
        "NoncurrentDays": {"Ref": "NoncurrentDays"},
        "NewerNoncurrentVersions": {"Ref": "NoncurrentVersions"},
    }
    assert all(rule["Status"] == "Enabled" for rule in rules.values())
    # Galleries themselves never expire: only what was replaced or never finished does.
    assert not any("ExpirationInDays" in rule for rule in rules.values())
    assert bucket["UpdateReplacePolicy"] == "Retain"


def test_policy_refuses_what_is_not_tls(template: dict[str, Any]) -> None:
    (statement,) = template["Resources"]["StoreBucketPolicy"]["Properties"]["PolicyDocument"]["Statement"]

    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert [item["Fn::Sub"].endswith("/*") for item in statement["Resource"]] == [False, True]
