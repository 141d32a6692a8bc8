"""A body taken apart with its messages cut out is the body read whole."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.wire.decoding import UNREADABLE, members
from gateway.wire.layout import Member, compact, compact_layout, is_compact, walked_layout
from gateway.wire.outline import CUT_BYTES, Outline, outline, read_messages

Whole = tuple[Mapping[str, bytes], tuple[Member, ...], object]

# What looks like the messages, their beginning or their end, and is not.
NASTY = st.sampled_from(
    [
        "messages",
        '"messages":[',
        '\\","messages":[{"role":"user"}],"',
        '{"role":',
        '}],"tools":[',
        "}]}],",
        "]}",
        '"',
        "\\",
        "é\u2028",
    ]
)
TEXTS = st.text(max_size=6) | NASTY
NAMES = st.sampled_from(["messages", "role", "content", "model", "a", "\u00e9"]) | NASTY
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 99) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
ROLES = st.sampled_from(["user", "assistant", "system"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": ROLES, "content": VALUES})
    | st.fixed_dictionaries({"role": ROLES, "content": VALUES, "name": TEXTS})
    | st.fixed_dictionaries({"content": VALUES, "role": ROLES})
    | VALUES,
    max_size=4,
)
FORMS = st.sampled_from([(None, (",", ":")), (None, (", ", ": ")), (1, (",", ": "))])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """Return a valid body with messages somewhere, mostly; a member may stand twice."""
    indent, separators = draw(FORMS)
    ascii_only = draw(st.booleans())

    def written(value: object) -> str:
        return (
            json.dumps(value, indent=indent, separators=separators, ensure_ascii=ascii_only)
            .encode("utf-8", "replace")
            .decode()
        )

    found = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    for own in draw(st.lists(MESSAGES, min_size=1, max_size=2)):
        found.append(("messages", own))
    pairs = [written(name) + separators[1] + written(value) for name, value in found]
    return ("{" + separators[0].join(draw(st.permutations(pairs))) + "}").encode()


def read_whole(data: bytes) -> Whole:
    """Return what a body says, read the plain way; what it raises is `UNREADABLE`."""
    values = members(data)
    try:
        messages: object = read_messages(values.get("messages", b""))
    except msgspec.DecodeError:
        messages = None
    raw = {name: bytes(value) for name, value in values.items()}
    return raw, walked_layout(data, values), messages


def read_apart(data: bytes) -> Whole:
    """Return the same by its outline."""
    found = outline(data, least=0)
    messages: object = found.messages
    if messages is None:
        try:
            messages = read_messages(found.values.get("messages", b""))
        except msgspec.DecodeError:
            messages = None
    return {name: bytes(value) for name, value in found.values.items()}, found.members(), messages


def test_short_body_is_read_whole() -> None:
    short = b'{"messages":[{"role":"user","content":""}]}'
    long = short.replace(b'""', b'"%s"' % (b"x" * CUT_BYTES))
    assert outline(short).messages is None
    assert outline(long).messages is not None


def plain(data: bytes) -> Outline:
    found = outline(data, least=0)
    assert found.messages is None
    return found


@given(data=bodies())
@example(data=b'{"messages":[{"role":"user","content":"}],"}],"m":{"messages":[{"role":"x"}]}}')
@example(data=b'{"m":{"messages":[{"role":"user"}]},"messages":0}')
@example(data=b'{"m":{"messages":[{"role":"user"}]},"m\\u0065ssages":0}')
@example(data=b'{"messages":[{"role":"user"}],"messages":0}')
@example(data=b'{"messages":[{"role":"user"}],"m\\u0065ssages":0}')
@example(data=b'{"messages":[{"role":"user"}],"a":[{"b":1}],"c":2}')
@example(data=b'{"messages":[],"x":[{"role":1}],"c":2}')
def test_body_taken_apart_is_the_body_read_whole(data: bytes) -> None:
    whole = read_whole(data)
    apart = read_apart(data)
    assert apart == whole
    assert list(apart[0]) == list(whole[0])


@given(
    data=bodies(), where=st.floats(0, 1, exclude_max=True), byte=st.sampled_from(b'"{}[],:0\\ x')
)
def test_broken_body_is_refused_as_when_read_whole(data: bytes, where: float, byte: int) -> None:
    at = int(where * len(data))
    for broken in (data[:at] + data[at + 1 :], data[:at] + bytes([byte]) + data[at:], data[:at]):
        try:
            whole = read_whole(broken)
        except UNREADABLE as error:
            with pytest.raises(type(error)):
                outline(broken, least=0)
        else:
            assert read_apart(broken) == whole


TURNS = b'[{"role":"user","content":"a"},{"role":"user","content":[{"content":[{}],"b":1}]}]'


@pytest.mark.parametrize(
    "data",
    [
        b'{"model":"m","messages":' + TURNS + b',"tools":[{"a":[{}],"b":1}]}',
        b'{"messages":' + TURNS + b',"model":"m"}',
        b'{"model":"m","messages":' + TURNS + b"}",
        b'{"system":[{"text":"a"}],"messages":' + TURNS + b',"metadata":{"messages":[1]}}',
        b'{"model": "m", "messages": ' + TURNS + b', "stream": true}',
        b'{"model":"\xc3\xa9","messages":' + TURNS + b"}\n",
    ],
)
def test_messages_of_a_usual_body_are_read_on_the_way(data: bytes) -> None:
    found = outline(data, least=0)
    assert found.messages == read_messages(TURNS)
    assert bytes(found.values["messages"]) == TURNS
    assert read_apart(data) == read_whole(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"model":"m"}',
        b'{"messages":"x"}',
        b'{"messages" :' + TURNS + b"}",
        b'{"messages":[]}',
        b'{"messages":[{"content":"a","role":"user"}]}',
        b'{"messages":[{"role":1}]}',
        b'{"messages":' + TURNS + b',"messages":' + TURNS + b"}",
        b'{"a":{"messages":' + TURNS + b'},"messages":' + TURNS + b"}",
        b'{"messages":[{"role":"user","a":[[{}],[{}],[{}],[{}],1]}],"model":"m"}',
        b'{"a":"' + b"x" * 200_000 + b'","messages":' + TURNS + b"}",
    ],
    ids=range(10),
)
def test_unusual_body_is_read_whole(data: bytes) -> None:
    found = plain(data)
    assert found.repeats == (data.count(b'"messages":[') == 2 and data[2:10] == b"messages")
    assert read_apart(data) == read_whole(data)


@pytest.mark.parametrize(
    ("data", "compact"),
    [
        (b'{"model":"m","a":[1, 2]}', True),
        (b'{"\xc3\xa9":1,"a\\"\\n":2,"":3}', True),
        (b'{"a\\u0062":1}', False),
        (b'{"\\/":1}', False),
        (b'{"a": 1}', False),
        (b' {"a":1}', False),
        (b'{"a":1,"a":1}', False),
    ],
)
def test_compact_is_what_needs_no_walk(data: bytes, *, compact: bool) -> None:
    values = members(data)
    assert is_compact(data, values) is compact
    assert (compact_layout(values) == walked_layout(data, values)) is compact


@pytest.mark.parametrize(
    ("data", "unusual"),
    [
        (b"[]", []),
        (b'[{"role":"user","content":"a"},{"content":"b","role":"assistant"}]', []),
        (b'[{"role":"user","output_config":null}]', []),
        (b'[{"role":"user"},{"role":"tool"}]', ["user", "tool"]),
        (b'[{"role":"user","output_config":{"effort":"low"}}]', ["user"]),
        (b'[{"role":"user","output_config":{}}]', ["user"]),
        (b'[{"role":"system"},{"role":"nobody"}]', ["system", "nobody"]),
        (b'[{"role":"user"},{}]', ["user", None]),
        (b'[{"role":null}]', [None]),
    ],
)
def test_messages_are_kept_when_one_is_unusual(data: bytes, unusual: list[str | None]) -> None:
    found = read_messages(data)
    assert found.count == len(msgspec.json.decode(data))
    assert [message.role for message in found.unusual] == unusual


@given(data=bodies() | st.sampled_from([b"{}", b'{"\\u001F":1}', b'{"\\u001f":1}', b'{"a":1 }']))
def test_long_object_is_compact_when_a_short_one_is(data: bytes) -> None:
    values = members(data)
    short = is_compact(data, values)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gateway.wire.layout._SHORT_BYTES", -1)
        assert is_compact(data, values) is short
    assert short == (compact(values) == data)


@given(data=bodies())
def test_compact_object_has_the_layout_that_its_members_tell(data: bytes) -> None:
    values = members(data)
    walked = walked_layout(data, values)
    if is_compact(data, values):
        assert compact_layout(values) == walked
        assert len(walked) == len(values)
    else:
        assert compact_layout(values) != walked or walked[-1].end + 1 < len(data)
