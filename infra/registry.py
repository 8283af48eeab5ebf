"""The name of a repository of images in, what is in it out; and an empty one."""

from __future__ import annotations

import re
from typing import Any

from botocore import exceptions

from catalog.errors import MalformedError, NotFoundError

IMAGE = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<name>[a-z0-9._/-]+)"
    r"(:(?P<tag>[A-Za-z0-9._-]+)|@(?P<digest>sha256:[0-9a-f]{64}))"
)


def require_image(ecr: Any, uri: str) -> None:
    """Raise NotFoundError unless the registry has the image, MalformedError for what is no image of ECR.

    SageMaker and ECS pull from ECR; that an image is missing would otherwise be told after many minutes.
    """
    match = IMAGE.fullmatch(uri)
    if match is None:
        raise MalformedError(f"{uri!r} is no image of ECR, expected ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG")
    if match["region"] != ecr.meta.region_name:
        raise MalformedError(f"{uri} is in {match['region']}, expected {ecr.meta.region_name}, where it would run")
    asked = {"imageTag": match["tag"]} if match["tag"] else {"imageDigest": match["digest"]}
    try:
        ecr.describe_images(registryId=match["account"], repositoryName=match["name"], imageIds=[asked])
    except (ecr.exceptions.ImageNotFoundException, ecr.exceptions.RepositoryNotFoundException):
        raise NotFoundError(f"there is no image {uri}; push it first") from None


def empty_repository(ecr: Any, name: str) -> int:
    """Remove every image; returns how many there were. A repository that is gone counts as empty."""
    removed = 0
    try:
        for page in ecr.get_paginator("list_images").paginate(repositoryName=name):
            if page["imageIds"]:
                ecr.batch_delete_image(repositoryName=name, imageIds=page["imageIds"])
                removed += len(page["imageIds"])
    except exceptions.ClientError as error:
        if error.response.get("Error", {}).get("Code") != "RepositoryNotFoundException":
            raise
    return removed
