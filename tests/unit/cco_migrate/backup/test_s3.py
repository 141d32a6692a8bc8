"""Places in S3: their names, and what is said without the extra that sends there."""

from __future__ import annotations

import sys

import pytest

from cco_migrate.backup import (
    s3,
)
from cco_migrate.backup.s3 import S3Place
from cco_migrate.errors import InvalidInput


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [("s3://", ""), ("s3://key:secret@bucket/x", ""), ("http://bucket/x", ""),
     ("s3://bucket/x?y", ""), ("s3://bucket/x", "ftp://host"),
     ("s3://bucket/x", "http://key:secret@host")],
)  # fmt: skip
def test_s3_place_that_makes_no_sense_is_refused_without_repeating_it(
    url: str, endpoint: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        S3Place.parse(url, endpoint)
    assert "secret" not in str(refused.value)


def test_s3_place_of_a_file_is_below_its_prefix() -> None:
    assert str(S3Place.parse("s3://bucket", "").joined("x.tar.gz")) == "s3://bucket/x.tar.gz"
    assert str(S3Place.parse("s3://bucket/a/b/", "").joined("x")) == "s3://bucket/a/b/x"


def test_s3_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.exceptions", None)
    with pytest.raises(InvalidInput, match="needs boto3") as refused:
        s3.upload(S3Place.parse("s3://bucket/x", ""), b"data")
    assert refused.value.next_command == "pip install 'cco-migrate[s3]'"
