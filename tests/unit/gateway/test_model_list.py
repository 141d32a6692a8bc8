"""The list of models in either vendor's form, and the part of it that a client asks for."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.model_list import MAX_PAGE, PAGE, Model, answer, translated
from gateway.wire.formats import Wire

Json = Any  # a parsed document whose shape the assertions state

NINE: Json = {
    "type": "model",
    "id": "claude-9",
    "display_name": "Nine",
    "created_at": "2026-01-01T00:00:00Z",
}
ROW: Json = {"id": "org/gpt-9", "object": "model", "created": 1_767_225_600, "owned_by": "openai"}
EPOCH = "1970-01-01T00:00:00Z"


def asked(data: bytes | None) -> Json:
    assert data is not None
    return json.loads(data)


def page(*rows: Json, more: bool = False) -> Json:
    first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
    return {"data": list(rows), "has_more": more, "first_id": first, "last_id": last}


@pytest.mark.parametrize(
    ("row", "wire", "form"),
    [
        (NINE, Wire.MESSAGES, NINE),
        (NINE, Wire.CHAT, ROW | {"id": "claude-9", "owned_by": "unknown"}),
        (ROW, Wire.CHAT, ROW),
        (ROW, Wire.MESSAGES, NINE | {"id": "org/gpt-9", "display_name": "org/gpt-9"}),
        (
            {"id": "bare"},
            Wire.MESSAGES,
            NINE | {"id": "bare", "display_name": "bare", "created_at": EPOCH},
        ),
        ({"id": "bare"}, Wire.CHAT, ROW | {"id": "bare", "created": 0, "owned_by": "unknown"}),
        (NINE | {"created_at": "2026-01-01T01:00:00+01:00"}, Wire.MESSAGES, NINE),
        (NINE | {"created_at": "2026-01-01T00:00:00"}, Wire.MESSAGES, NINE),
        (NINE | {"created_at": "long ago"}, Wire.MESSAGES, NINE | {"created_at": EPOCH}),
        (
            NINE | {"created_at": "0001-01-01T00:00:00+14:00"},
            Wire.MESSAGES,
            NINE | {"created_at": EPOCH},
        ),
        (
            ROW | {"created": 10**18, "owned_by": None},
            Wire.CHAT,
            ROW | {"created": 0, "owned_by": "unknown"},
        ),
    ],
)
def test_model_is_told_in_the_clients_form(row: Json, wire: Wire, form: Json) -> None:
    listing = json.dumps({"data": [row]}).encode()
    whole = page(form) if wire is Wire.MESSAGES else {"object": "list", "data": [form]}
    assert asked(translated(listing, b"/v1/models", wire)) == whole
    assert asked(translated(json.dumps(row).encode(), b"/v1/models/x", wire)) == form


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"data":[{}]}', b'{"data":[1]}', b"\xff"])
@pytest.mark.parametrize("target", [b"/v1/models", b"/v1/models/x"])
def test_what_is_no_list_is_not_translated(body: bytes, target: bytes) -> None:
    assert translated(body, target, Wire.CHAT) is None


MODELS = [Model(f"m{number}") for number in range(5)]


@pytest.mark.parametrize(
    ("query", "ids", "more"),
    [
        (b"", "01234", False),
        (b"limit=1000", "01234", False),
        (b"limit=5", "01234", False),
        (b"limit=2", "01", True),
        (b"limit=2&after_id=m1", "23", True),
        (b"limit=2&after_id=m2", "34", False),
        (b"after_id=m4", "", False),
        (b"limit=2&before_id=m3", "12", True),
        (b"limit=2&before_id=m2", "01", False),
        (b"before_id=m0", "", False),
        (b"x=1&limit=", "01234", False),
    ],
)
def test_page_of_the_list(query: bytes, ids: str, *, more: bool) -> None:
    found = asked(answer(MODELS, b"/v1/models?" + query, Wire.MESSAGES))
    rows = found.pop("data")
    assert [row["id"] for row in rows] == [f"m{number}" for number in ids]
    ends = {"first_id": f"m{ids[0]}", "last_id": f"m{ids[-1]}"} if ids else {}
    assert found == {"has_more": more, "first_id": None, "last_id": None} | ends
    everything = asked(answer(MODELS, b"/v1/models?" + query, Wire.CHAT))
    assert [row["id"] for row in everything["data"]] == [model.id for model in MODELS]


@pytest.mark.parametrize(
    "query",
    [
        b"limit=0",
        b"limit=1001",
        b"limit=000000001" + b"0" * 5000,
        b"limit=-1",
        b"limit=x",
        b"after_id=m9",
        b"before_id=%ff",
    ],
)
def test_page_that_cannot_be_is_refused(query: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        answer(MODELS, b"/v1/models?" + query, Wire.MESSAGES)
    assert caught.value.status == 400


@given(count=st.integers(1, 60), limit=st.none() | st.integers(1, MAX_PAGE))
def test_pages_come_to_the_whole_list_in_both_directions(count: int, limit: int | None) -> None:
    models = [Model(f"m {number}&") for number in range(count)]
    size = {} if limit is None else {"limit": str(limit)}

    def ids(place: dict[str, str]) -> tuple[list[str], bool]:
        query = urlencode(size | place).encode()
        found = asked(answer(models, b"/v1/models?" + query, Wire.MESSAGES))
        return [row["id"] for row in found["data"]], found["has_more"]

    whole = [model.id for model in models]
    seen, more = ids({})
    while more:
        rows, more = ids({"after_id": seen[-1]})
        assert len(rows) <= (limit or PAGE)
        seen += rows
    assert seen == whole
    seen, more = whole[-1:], True
    while more:
        rows, more = ids({"before_id": seen[0]})
        assert len(rows) <= (limit or PAGE)
        seen = rows + seen
    assert seen == whole


@pytest.mark.parametrize(
    ("path", "name"), [(b"m1", "m1"), (b"org%2Fm", "org/m"), (b"org/m?x=1", "org/m")]
)
@pytest.mark.parametrize("wire", [Wire.MESSAGES, Wire.CHAT])
def test_one_model_is_found_by_its_id(path: bytes, name: str, wire: Wire) -> None:
    models = [*MODELS, Model("org/m")]
    assert asked(answer(models, b"/v1/models/" + path, wire))["id"] == name


@pytest.mark.parametrize("path", [b"m9", b"M1", b"", b"%ff"])
def test_unknown_model_is_not_found(path: bytes) -> None:
    with pytest.raises(RequestError, match=r"^model: ") as caught:
        answer(MODELS, b"/v1/models/" + path, Wire.CHAT)
    assert (caught.value.status, caught.value.kind) == (404, "not_found_error")
