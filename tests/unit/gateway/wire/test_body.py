"""What a body says and how it is changed, against a real JSON parser."""

from __future__ import annotations

import json
import re
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.wire.body import Body
from gateway.wire.edits import EACH, Edit, Which

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
    comma=st.sampled_from([",", ", "]),
    colon=st.sampled_from([":", ": "]),
    plain=st.booleans(),
)
def test_model_change_changes_only_the_model(
    *,
    before: dict[str, Any],  # Any: JSON values
    after: dict[str, Any],
    model: str,
    target: str,
    indent: int | None,
    comma: str,
    colon: str,
    plain: bool,
) -> None:
    for name in ("model", "stream", "agent_type"):
        before.pop(name, None)
        after.pop(name, None)
    document = {**before, "model": model, **after}
    separators = (comma, colon)
    text = json.dumps(document, indent=indent, separators=separators, ensure_ascii=not plain)
    data = text.encode()
    body = Body(data)
    assert body.model == model
    assert body.forwarded(model) is data
    changed = body.forwarded(target)
    assert json.loads(changed) == {**document, "model": target}
    if target != model:
        field = b'"model"' + colon.encode()
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


def cut(*path: str) -> Edit:
    return Edit(path, None)


SOME = Edit(("m", EACH), None, which=Which("x", lambda item: item == b'{"x":1}'))
"""Cuts the items that are written so."""


def put(value: str | int, *path: str, add: bool = False) -> Edit:
    return Edit(path, value, add)


@pytest.mark.parametrize(
    ("data", "edits", "sent"),
    [
        (b'{"model":"a", "b" : 1 }', [put(2, "b")], b'{"model":"a", "b" : 2 }'),
        (b'{"model":"a","b":1}', [put(2, "c"), cut("d")], b'{"model":"a","b":1}'),
        (b'{"model":"a","\\u0062":1}', [put("\u00e9", "b")], b'{"model":"a","\\u0062":"\xc3\xa9"}'),
        # cuts, side by side too
        (b'{"b":1, "model":"a"}', [cut("b")], b'{"model":"a"}'),
        (b'{"model":"a" , "b":1 }', [cut("b")], b'{"model":"a" }'),
        (b'{"b":1,"c":2,"model":"a"}', [cut("c"), cut("b")], b'{"model":"a"}'),
        (b'{"model":"a","b":1,"c":2}', [cut("b"), cut("c")], b'{"model":"a"}'),
        (b'{"b":1,"model":"a","c":2}', [cut("b"), cut("c")], b'{"model":"a"}'),
        (b'{"agent_type":"x","model":"a","b":1}', [cut("b")], b'{"model":"a"}'),
        # within objects
        (
            b'{"model":"a","b":{ "x":1, "y":[2] }}',
            [put("z", "b", "x")],
            b'{"model":"a","b":{ "x":"z", "y":[2] }}',
        ),
        (b'{"model":"a","b":{"x":1,"y":2}}', [cut("b", "y")], b'{"model":"a","b":{"x":1}}'),
        (b'{"model":"a","b":{"x":1}}', [cut("b", "x")], b'{"model":"a"}'),
        (b'{"model":"a","b":{"x":1,"y":2}}', [cut("b", "x"), cut("b", "y")], b'{"model":"a"}'),
        (b'{"model":"a","b":{"\\u0078":1}}', [cut("b", "x")], b'{"model":"a"}'),
        (b'{"model":"a","b":{}}', [cut("b", "x")], b'{"model":"a","b":{}}'),
        (b'{"model":"a","b":"x"}', [cut("b", "x")], b'{"model":"a","b":"x"}'),
        (b'{"model":"a","b":["x"]}', [cut("b", "x")], b'{"model":"a","b":["x"]}'),
        (b'{"model":"a","b":{"c":{"x":1}}}', [cut("b", "x")], b'{"model":"a","b":{"c":{"x":1}}}'),
        # additions
        (
            b'{"model":"a","b":{"x":1 }}',
            [put(2, "b", "x"), put(3, "b", "y", add=True)],
            b'{"model":"a","b":{"x":2,"y":3 }}',
        ),
        (b'{"model":"a","b":{"y":1}}', [put(3, "b", "y", add=True)], b'{"model":"a","b":{"y":3}}'),
        (b'{"model":"a"}', [put(3, "b", "y", add=True)], b'{"model":"a"}'),
        # every item
        (
            b'{"model":"a","m":[ {"x":1} , {"y":[{"x":1}]},{"z":2,"x":3},4,"x"]}',
            [cut("m", EACH, "x")],
            b'{"model":"a","m":[ {"y":[{"x":1}]},{"z":2},4,"x"]}',
        ),
        (
            b'{"model":"a","m":[{"role":"user","x":1,"content":[ ]},{"role":"user","content":""}]}',
            [cut("m", EACH, "x")],
            b'{"model":"a","m":[{"role":"user","content":[ ]},{"role":"user","content":""}]}',
        ),
        (
            b'{"model":"a","m":[{"role":"user","x":1,"content":[]},{"content":"","x":1},{"r":1}]}',
            [cut("m", EACH, "x")],
            b'{"model":"a","m":[{"r":1}]}',
        ),
        (b'{"model":"a","m":[]}', [cut("m", EACH, "x")], b'{"model":"a","m":[]}'),
        (b'{"model":"a","m":{"x":1}}', [cut("m", EACH, "x")], b'{"model":"a","m":{"x":1}}'),
        # some items
        (b'{"model":"a","m":[ 1, {"x":1} ,2]}', [SOME], b'{"model":"a","m":[ 1, 2]}'),
        (
            b'{"model":"a","m":[{"x":1}, {"\\u0078":1} ]}',
            [SOME],
            b'{"model":"a","m":[{"\\u0078":1} ]}',
        ),
        (b'{"model":"a","m":[ {"x":1}, {"x":1} ]}', [SOME], b'{"model":"a","m":[]}'),
        (b'{"model":"a","m":{"x":1}}', [SOME], b'{"model":"a","m":{"x":1}}'),
        (
            b'{"model":"a","n":[{"role":"b","m":1},{"content":[ {"x":1} ]},{"content":[]}]}',
            [Edit(("n", EACH, "content", EACH), None, which=SOME.which), cut("n", EACH, "m")],
            b'{"model":"a","n":[{"content":[]}]}',
        ),
    ],
    ids=range(31),
)
def test_edits_touch_what_they_name_only(data: bytes, edits: list[Edit], sent: bytes) -> None:
    assert Body(data).forwarded("a", edits) == sent
    json.loads(sent)


@pytest.mark.parametrize(
    ("data", "edit"),
    [
        (b'{"model":"a","b":1,"b":2}', cut("b")),
        (b'{"model":"a","b":1,"\\u0062":2}', cut("b")),
        # The one that is edited is not the one that was weighed.
        (b'{"model":"a","b":1,"c":1,"c":2}', cut("b")),
        (b'{"model":"a","b":{"x":1,"x":2}}', cut("b", "x")),
    ],
)
def test_field_that_stands_twice_is_400_where_it_matters(data: bytes, edit: Edit) -> None:
    body = Body(data)
    assert body.forwarded("a") is data
    with pytest.raises(RequestError, match="stands twice") as caught:
        body.forwarded("a", [edit])
    assert caught.value.status == 400


BLANKS = st.sampled_from(["", " ", "\n  ", "\t"])
EDITED = ("thinking", "max_tokens", "output_config")


@st.composite
def layouts(draw: st.DrawFn) -> list[tuple[str, str]]:
    """Return members of a body, in any order: their text and what has to be left of it."""
    effort = draw(st.sampled_from(['{"effort":"x"}', '{"a":[1],"effort":"x"}', "{}", "7"]))
    left = {'{"effort":"x"}': "", '{"a":[1],"effort":"x"}': '{"a":[1]}'}.get(effort, effort)
    known = {
        "model": ('"m"', '"m"'),
        "thinking": ('{"type":"adaptive"}', ""),
        "max_tokens": ("9", "5"),
        "output_config": (effort, left),
    }
    names = draw(st.sets(st.sampled_from(EDITED))) | {"model"}
    values = [(f'"{name}"', *known[name]) for name in names]
    others = st.text(st.characters(codec="utf-8"), max_size=5).filter(
        lambda text: text not in known
    )
    for name, value in draw(st.dictionaries(others, JSON_VALUES, max_size=4)).items():
        text = json.dumps(value, ensure_ascii=draw(st.booleans()))
        values.append((json.dumps(name, ensure_ascii=draw(st.booleans())), text, text))
    members = []
    for name, value, rest in draw(st.permutations(values)):
        colon = draw(BLANKS) + ":" + draw(BLANKS)
        members.append((name + colon + value, name + colon + rest if rest else ""))
    return members


@given(members=layouts(), comma=st.builds("{},{}".format, BLANKS, BLANKS))
def test_edits_keep_every_byte_of_the_others(members: list[tuple[str, str]], comma: str) -> None:
    data = ("{" + comma.join(text for text, _ in members) + "}").encode()
    left = [rest for _, rest in members if rest]
    edits = [cut("thinking"), put(5, "max_tokens"), cut("output_config", "effort")]
    sent = Body(data).forwarded("m", edits)
    assert sent == ("{" + comma.join(left) + "}").encode()
    assert Body(sent).forwarded("m", edits) == sent


def test_long_body_is_read_without_a_copy_of_it() -> None:
    data = b'{"model":"m","x":"' + b"x" * (4 << 20) + b'"}'
    tracemalloc.start()
    try:
        body = Body(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 20
    assert body.forwarded("other") == data.replace(b'"m"', b'"other"')
