"""Which models there are, in the form of either vendor. Pure.

Ids are kept word for word. What only one of the vendors says of a model is left out for the other;
where nobody said what the other wants it is the id again, the epoch, or "unknown".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs, unquote_to_bytes

import msgspec

from gateway.errors import RequestError
from gateway.wire.decoding import UNREADABLE
from gateway.wire.formats import Wire

PATH = b"/v1/models"
PAGE, MAX_PAGE = 20, 1000
"""How many models Anthropic's API lists when nothing else is asked for, and at most."""

_LATEST = 253_402_300_800  # seconds: the year 10000


class Model(msgspec.Struct, frozen=True):
    """One model as either vendor lists it.

    Only its id is needed: a field of an unexpected type counts as not said.
    """

    id: str
    display_name: object = None
    created_at: object = None
    created: object = None
    owned_by: object = None


class _Listed(msgspec.Struct, frozen=True):
    data: list[Model]


_read_one = msgspec.json.Decoder(Model).decode
_read_list = msgspec.json.Decoder(_Listed).decode


def is_asked_for(path: bytes) -> bool:
    """Return whether a path is that of the list or of one model."""
    return path == PATH or path.startswith(PATH + b"/")


def answer(models: Sequence[Model], target: bytes, wire: Wire) -> bytes:
    """Return the list, or the one model that the path names.

    Raises RequestError: 404 for a model that is not among them, 400 for a page that cannot be.
    """
    path, _, query = target.partition(b"?")
    if path == PATH:
        return _page(models, query) if wire is Wire.MESSAGES else _whole(models)
    name = unquote_to_bytes(path[len(PATH) + 1 :]).decode(errors="replace")
    found = next((model for model in models if model.id == name), None)
    if found is None:
        raise RequestError(404, "not_found_error", f"model: {name}")
    return msgspec.json.encode(_form(found, wire))


def translated(body: bytes, target: bytes, wire: Wire) -> bytes | None:
    """Return a provider's list, or its answer about one model, in the other vendor's form.

    None when the body is neither.
    """
    try:
        listing = target.partition(b"?")[0] == PATH
        models = _read_list(body).data if listing else [_read_one(body)]
    except UNREADABLE:
        return None
    return answer(models, target, wire) if listing else msgspec.json.encode(_form(models[0], wire))


def _whole(models: Sequence[Model]) -> bytes:
    data = [_form(model, Wire.CHAT) for model in models]
    return msgspec.json.encode({"object": "list", "data": data})


def _page(models: Sequence[Model], query: bytes) -> bytes:
    """Return the part of a list that Anthropic's `limit`, `after_id` and `before_id` ask for."""
    asked = {name: values[-1] for name, values in parse_qs(query.decode("latin-1")).items()}
    limit = asked.get("limit", str(PAGE))
    short = len(limit) <= len(str(MAX_PAGE)) and limit.isascii() and limit.isdigit()
    if not short or not 1 <= int(limit) <= MAX_PAGE:
        raise RequestError(400, "invalid_request_error", f"limit: must be 1 to {MAX_PAGE}")
    ids = [model.id for model in models]
    start = _place(ids, "after_id", asked) + 1 if "after_id" in asked else 0
    end = _place(ids, "before_id", asked) if "before_id" in asked else len(ids)
    size = int(limit)
    if "before_id" in asked:
        page, more = models[max(start, end - size) : end], end - size > start
    else:
        page, more = models[start : start + size], start + size < end
    return msgspec.json.encode(
        {
            "data": [_form(model, Wire.MESSAGES) for model in page],
            "has_more": more,
            "first_id": page[0].id if page else None,
            "last_id": page[-1].id if page else None,
        }
    )


def _place(ids: Sequence[str], name: str, asked: Mapping[str, str]) -> int:
    if asked[name] not in ids:
        raise RequestError(400, "invalid_request_error", f"{name}: not in the list of models")
    return ids.index(asked[name])


def _form(model: Model, wire: Wire) -> Mapping[str, object]:
    made = _made(model)
    if wire is Wire.MESSAGES:
        shown = model.display_name if isinstance(model.display_name, str) else model.id
        at = made.isoformat().replace("+00:00", "Z")
        return {"type": "model", "id": model.id, "display_name": shown, "created_at": at}
    owner = model.owned_by if isinstance(model.owned_by, str) else "unknown"
    return {
        "id": model.id,
        "object": "model",
        "created": int(made.timestamp()),
        "owned_by": owner,
    }


def _made(model: Model) -> datetime:
    """Return when a model was made, in UTC; the epoch when nobody said it."""
    seconds, text = model.created, model.created_at
    if type(seconds) is int and 0 <= seconds < _LATEST:
        return datetime.fromtimestamp(seconds, UTC)
    try:
        made = datetime.fromisoformat(text if isinstance(text, str) else "")
        return (made if made.tzinfo else made.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
