"""Archives in an S3-compatible store. Credentials and region come from boto3's own chain."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cco_migrate.backup.archive import MAX_BYTES
from cco_migrate.errors import InvalidInput, ToolkitError

SCHEME = "s3://"
_TIMEOUT_S = 20
_ABSENT = frozenset({"404", "NoSuchKey", "NotFound"})


@dataclass(frozen=True, slots=True)
class S3Place:
    """A place in a bucket.

    Attributes:
        key: Without a leading slash; empty for the bucket itself.
        endpoint: URL of a store that is not Amazon's; empty for what boto3 finds in its own
            configuration (AWS_ENDPOINT_URL_S3).
    """

    bucket: str
    key: str
    endpoint: str = ""

    @classmethod
    def parse(cls, url: str, endpoint: str) -> S3Place:
        """Read `s3://BUCKET/KEY`; raises InvalidInput."""
        parts = urlsplit(url)
        if parts.scheme != "s3" or not parts.netloc or "@" in parts.netloc or parts.query:
            raise InvalidInput("an S3 place is written s3://BUCKET/PREFIX, without credentials")
        where = urlsplit(endpoint)
        if endpoint and (where.scheme not in {"http", "https"} or "@" in where.netloc):
            raise InvalidInput("--endpoint is written http(s)://HOST:PORT, without credentials")
        return cls(parts.netloc, parts.path.strip("/"), endpoint)

    def joined(self, name: str) -> S3Place:
        """Return the place of a file below this one."""
        return S3Place(self.bucket, f"{self.key}/{name}".lstrip("/"), self.endpoint)

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"


def upload(place: S3Place, data: bytes) -> bool:
    """Put an archive there, read it back and compare; return False when it was there already.

    Raises:
        InvalidInput: boto3 is not installed, or something else stands there.
        ToolkitError: The store refused, or gave other bytes back.
    """
    before = _get(place)
    if before == data:
        return False
    if before is not None:
        raise InvalidInput(f"{place} holds something else; it is not overwritten")
    digest = base64.b64encode(hashlib.sha256(data).digest()).decode()
    with _explained(place):
        _client(place).put_object(
            Bucket=place.bucket, Key=place.key, Body=data, ChecksumSHA256=digest,
            ContentType="application/gzip",
        )  # fmt: skip
    if _get(place) != data:
        raise ToolkitError(
            f"{place}: what was read back is not what was sent",
            state="The object may exist and must not be relied on; the local backup is untouched.",
        )
    return True


def download(place: S3Place) -> bytes:
    """Return an archive; raises InvalidInput when there is none, ToolkitError when it fails."""
    data = _get(place)
    if data is None:
        raise InvalidInput(f"{place}: there is no such object")
    return data


def _get(place: S3Place) -> bytes | None:
    with _explained(place):
        client = _client(place)
        try:
            answer = client.get_object(Bucket=place.bucket, Key=place.key)
        except client.exceptions.ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        if answer["ContentLength"] > MAX_BYTES:
            raise InvalidInput(f"{place} has {answer['ContentLength']} bytes: no backup of ours")
        data: bytes = answer["Body"].read()
        return data


def _client(place: S3Place) -> Any:  # Any: boto3 makes its clients at run time, without types
    import boto3  # noqa: PLC0415  # an extra; 200 ms
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        connect_timeout=_TIMEOUT_S, read_timeout=_TIMEOUT_S, retries={"total_max_attempts": 3}
    )
    return boto3.client("s3", endpoint_url=place.endpoint or None, config=config)


@contextmanager
def _explained(place: S3Place) -> Iterator[None]:
    """Tell boto3's errors by their code; their text may hold a signed address."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # see _client
    except ImportError as error:
        raise InvalidInput(
            f"{place} needs boto3, which is not installed",
            next_command="pip install 'cco-migrate[s3]'",
        ) from error
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        raise ToolkitError(f"{place}: the store refused: {code}", state=_UNTOUCHED) from error
    except BotoCoreError as error:
        raise ToolkitError(f"{place}: {type(error).__name__}", state=_UNTOUCHED) from error


_UNTOUCHED = "The local backup is untouched; whether the object exists was not proved."
