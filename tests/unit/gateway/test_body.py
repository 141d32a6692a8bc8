"""What a body says and how it is changed, against a real JSON parser."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.wire.body import Body

JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    before=st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4),
    after=st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4),
    model=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    target=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
    indent=st.sampled_from([None, 1]),
    plain=st.booleans(),
)
@settings(max_examples=150, deadline=None)
def test_model_change_changes_only_the_model(
    *,
    before: dict[str, Any],  # Any: JSON values
    after: dict[str, Any],
    model: str,
    target: str,
    indent: int | None,
    plain: bool,
) -> None:
    for name in ("model", "stream", "agent_type"):
        before.pop(name, None)
        after.pop(name, None)
    document = {**before, "model": model, **after}
    data = json.dumps(document, indent=indent, ensure_ascii=not plain).encode()
    body = Body(data)
    assert body.model == model
    assert body.forwarded(model) is data
    changed = body.forwarded(target)
    assert json.loads(changed) == {**document, "model": target}
    if target != model:
        field = b'"model": '
        own = field + json.dumps(model, ensure_ascii=not plain).encode()
        new = field + msgspec.json.encode(target)
        # A nested value may hold the same text, so every place is tried.
        assert changed in {
            data[: at.start()] + new + data[at.end() :] for at in re.finditer(re.escape(own), data)
        }


@pytest.mark.parametrize(
    ("data", "forwarded"),
    [
        (b'{"model":"a"}', b'{"model":"b"}'),
        (b' {\t"model" : "a" \n} ', b' {\t"model" : "b" \n} '),
        (b'{"x":{"model":"a"},"model":"a"}', b'{"x":{"model":"a"},"model":"b"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"a"}', b'{"x":"\\"model\\":\\"a\\"","model":"b"}'),
        (b'{"m\\u006fdel":"\\u0061","y":1}', b'{"m\\u006fdel":"b","y":1}'),
        (b'{"x":1,"x":12,"model":"a"}', b'{"x":1,"x":12,"model":"b"}'),
        (b'{"x":12,"x":1,"model":"a"}', b'{"x":12,"x":1,"model":"b"}'),
        (b'{"x":"\xc3\xa9","x":[2],"model":"a"}', b'{"x":"\xc3\xa9","x":[2],"model":"b"}'),
        (
            b'{"x":[{"]":"}\\""}],"x":"a\\"","x":null, "x" : {},"model":"a"}',
            b'{"x":[{"]":"}\\""}],"x":"a\\"","x":null, "x" : {},"model":"b"}',
        ),
        (
            b"{" + b'"x":1,"x":[2],' * 100_000 + b'"model":"a"}',
            b"{" + b'"x":1,"x":[2],' * 100_000 + b'"model":"b"}',
        ),
        (b'{"agent_type":"q","model":"a"}', b'{"model":"b"}'),
        (b'{"model":"a", "agent_type" : "q"}', b'{"model":"b"}'),
        (b'{"x":1, "agent_type":"q" ,"model":"a"}', b'{"x":1, "model":"b"}'),
    ],
    ids=range(13),
)
def test_change_keeps_every_other_byte(data: bytes, forwarded: bytes) -> None:
    assert Body(data).forwarded("b") == forwarded


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b'"model"',
        b"[]",
        b"{",
        b"{}",
        b'{"model":null}',
        b'{"model":["a"]}',
        b'{"model":""}',
        b'{"model":"a",}',
        b'{"model":"a"}x',
        b'{"model":"a" "x":1}',
        b'{"model":"a","x":01}',
        b'{"model":"a","x":NaN}',
        b'{"model":"a","x":"\x01"}',
        b'{"model":"a","x":["\xff"]}',
        b'{"model":"a","x":"\\x"}',
        b"{'model':'a'}",
        b'\xef\xbb\xbf{"model":"a"}',
        b'{"model":"a","model":"a"}',
        b'{"model":"a","x":1,"m\\u006fdel":"b"}',
        b'{"model":"a","stream":true,"stream":false}',
        b'{"model":"a","agent_type":"x","agent_type":"y"}',
        b'{"model":"a","agent_type":7}',
        b'{"model":"a","x":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        b'{"model":"a","x":' + b'{"a":' * 200_000 + b"1" + b"}" * 200_001,
    ],
    ids=range(26),
)
def test_unusable_body_is_400(data: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        Body(data)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")


@pytest.mark.parametrize(
    ("data", "stream"),
    [
        (b'{"model":"a"}', False),
        (b'{"model":"a","stream":true}', True),
        (b'{"model":"a","stream": false}', False),
        (b'{"model":"a","stream":null}', False),
        (b'{"model":"a","stream":"true"}', False),
        (b'{"model":"a","x":{"stream":true}}', False),
    ],
)
def test_stream_is_read_at_the_top_level_only(data: bytes, *, stream: bool) -> None:
    assert Body(data).stream is stream


def test_counts_and_values_are_read_without_building_messages() -> None:
    body = Body(
        b'{"model":"a","messages":[{"a":[1,2]},{}],"tools":{},"max_tokens":1e999,"t":{"x":1}}'
    )
    assert (body.count("messages"), body.count("tools"), body.count("none")) == (2, None, None)
    assert (body.value("t"), body.value("max_tokens"), body.value("none")) == ({"x": 1}, None, None)
    assert body.agent_type is None
