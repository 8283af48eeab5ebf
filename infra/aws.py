"""A region and perhaps an endpoint in, boto3 clients out; what boto3 raises becomes one sentence for a person."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore import exceptions
from botocore.config import Config
from botocore.parsers import ResponseParserError

from catalog.errors import ShopcamError

CONNECT_S = 5
ATTEMPTS = 3


class CloudError(ShopcamError):
    """The cloud refused, failed or was not reached."""

    status, code = 503, "cloud"


class Clients:
    """boto3 clients of one region, each made when it is first asked for. `endpoint_url` None is AWS itself."""

    def __init__(self, region: str, *, endpoint_url: str | None = None) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        self._made: dict[str, Any] = {}

    def __call__(self, service: str) -> Any:
        """The client of `service`; raises CloudError where its settings are unusable."""
        if service not in self._made:
            config = Config(
                connect_timeout=CONNECT_S,
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
                # A local endpoint has no name per bucket.
                s3={"addressing_style": "path" if self.endpoint_url else "auto"},
            )
            with cloud_errors():
                self._made[service] = boto3.client(
                    service, region_name=self.region, endpoint_url=self.endpoint_url, config=config
                )
        return self._made[service]


def have_credentials() -> bool:
    """Whether boto3 finds credentials, good ones or not. Raises CloudError where AWS_PROFILE names none."""
    with cloud_errors():
        return boto3.Session().get_credentials() is not None


@contextmanager
def cloud_errors() -> Iterator[None]:
    """Turn what boto3 raises inside the block into a CloudError of one sentence."""
    try:
        yield
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as error:
        raise CloudError(
            "no AWS credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE"
        ) from error
    except exceptions.ProfileNotFound as error:
        raise CloudError(f"{error}; AWS_PROFILE names a profile of ~/.aws/config") from error
    except (exceptions.ConnectionError, exceptions.HTTPClientError) as error:
        raise CloudError(f"the cloud was not reached ({error}); check the network and --endpoint-url") from error
    except exceptions.ClientError as error:
        said = error.response.get("Error", {})
        raise CloudError(
            f"AWS refused {error.operation_name}: {said.get('Message', error)} ({said.get('Code', 'no code')})"
        ) from error
    except ResponseParserError as error:
        raise CloudError("what answers is not AWS; check --endpoint-url") from error
    except (exceptions.BotoCoreError, ValueError) as error:
        raise CloudError(f"AWS can't be asked this way: {error}") from error
