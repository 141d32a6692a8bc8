"""A real S3 server: an export is read back to the byte, and every refusal is explained."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cco_migrate.backup import s3
from cco_migrate.errors import InvalidInput, ToolkitError

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
BUCKET, SECRET = "backups", "not-a-real-secret"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server on a free loopback port, with one bucket; stopped afterwards."""
    server = shutil.which("moto_server", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    assert server, "moto_server is not installed; .ci/run installs it"
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = tmp_path_factory.mktemp("s3") / "server.log"
    with log.open("wb") as output, pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        command = [server, "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{port}"
            listens(port, process)
            client(url).create_bucket(Bucket=BUCKET)
            yield url
        finally:
            process.kill()
            process.wait()


def listens(port: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for a server of others, which offers nothing to wait on but its port."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "the server ended"
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the server never listened")


def client(url: str) -> Any:  # Any: boto3 makes its clients at run time, without types
    import boto3  # noqa: PLC0415  # only where this suite runs

    return boto3.client("s3", endpoint_url=url)


def place(url: str, key: str) -> s3.S3Place:
    return s3.S3Place.parse(f"s3://{BUCKET}/{key}", url)


def test_uploaded_archive_comes_back_to_the_byte(endpoint: str) -> None:
    data = os.urandom(3 << 20)
    there = place(endpoint, "a/b").joined("x.tar.gz")
    assert s3.upload(there, data)
    assert not s3.upload(there, data)
    assert s3.download(there) == data


def test_other_object_is_never_overwritten(endpoint: str) -> None:
    client(endpoint).put_object(Bucket=BUCKET, Key="theirs", Body=b"theirs")
    with pytest.raises(InvalidInput, match="not overwritten"):
        s3.upload(place(endpoint, "theirs"), b"ours")
    assert s3.download(place(endpoint, "theirs")) == b"theirs"


def test_missing_object_is_named(endpoint: str) -> None:
    with pytest.raises(InvalidInput, match="s3://backups/nothing: there is no such object"):
        s3.download(place(endpoint, "nothing"))


def test_missing_bucket_is_told_by_its_code(endpoint: str) -> None:
    with pytest.raises(ToolkitError, match="NoSuchBucket"):
        s3.upload(s3.S3Place.parse("s3://no-such-bucket/x", endpoint), b"data")


def test_store_that_does_not_answer_is_told_without_secrets(endpoint: str) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(ToolkitError, match="EndpointConnectionError") as refused:
        s3.upload(place(url, "x"), b"data")
    assert SECRET not in str(refused.value)
