"""The bucket of the store in, what is served and what was served before out: `releases.json`, the way back.

CloudFormation knows what is served; this file adds what was served before. Where the two differ, a rollout was
stopped before it wrote here, and CloudFormation is right.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.aws import CloudError
from infra.models import read_object
from infra.pieces import Release

KEY = "releases.json"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    live: Release
    previous: Release | None = None


class Releases:
    """The record in one bucket."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    def previous(self) -> Release | None:
        """What was served before what is noted as served; None where nothing was."""
        record = self._read()
        return None if record is None else record.previous

    def noted(self, live: Release) -> bool:
        """Whether `live` is noted as served; not so where a rollout was stopped before it could."""
        record = self._read()
        return record is not None and record.live == live

    def note(self, live: Release) -> None:
        """Write that `live` is served now. Again: the way back is not lost."""
        record = self._read()
        if record is not None and record.live == live:
            return
        following = _Record(live=live, previous=None if record is None else record.live)
        body = following.model_dump_json(indent=2).encode()
        self._s3.put_object(Bucket=self._bucket, Key=KEY, Body=body, ContentType="application/json")

    def _read(self) -> _Record | None:
        body = read_object(self._s3, self._bucket, KEY)
        if body is None:
            return None
        try:
            return _Record.model_validate_json(body)
        except ValidationError as error:
            raise CloudError(f"s3://{self._bucket}/{KEY} is damaged: {error.errors()[0]['msg']}; remove it") from None


def shown(release: Release | None) -> str:
    """A release as a person reads it."""
    return "nothing" if release is None else ", ".join(asdict(release).values())
