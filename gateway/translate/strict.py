"""Decode requests so that nothing is lost: what is not known is a 400 that names it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import msgspec

from gateway.errors import RequestError

Unused: TypeAlias = msgspec.Raw | msgspec.UnsetType
"""Type of a field that is known and left out; each is listed in a table `NOT_NEEDED`."""

_T = TypeVar("_T")
_ERROR = re.compile(r"(?P<problem>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`", re.DOTALL)
_VALUE = re.compile(r"Invalid (?:enum )?value (.*)", re.DOTALL)
_INDEX = re.compile(r"\[(\d+|\.\.\.)\]")


class Strict(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """An object of a request: a field it does not declare is an error."""


def decode(decoder: Callable[[bytes], _T], body: bytes, upstream: str) -> _T:
    """Return the decoded request.

    Args:
        decoder: Decodes into `Strict` structs.
        body: The client's JSON.
        upstream: The format in which a field cannot be expressed, for the message.

    Raises:
        RequestError: 400; the message begins with the field, e.g. `messages.0.content.1.type`.
    """
    try:
        check_text(body)
        return decoder(body)
    except msgspec.ValidationError as error:
        raise invalid(_explained(str(error), upstream)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid("the request body is not valid JSON") from error
    except RecursionError as error:
        raise invalid("the request body is nested too deeply") from error


def check_text(data: bytes) -> None:
    """Raise UnicodeDecodeError when JSON is not UTF-8: undecoded values are not looked at else."""
    if not data.isascii():
        data.decode()


def invalid(message: str) -> RequestError:
    """Return the refusal of a request."""
    return RequestError(400, "invalid_request_error", message)


def inexpressible(field: str, upstream: str, reason: str = "") -> RequestError:
    """Return the refusal of a field that the upstream's format has no word for."""
    return invalid(
        f"{field}: cannot be expressed in {upstream}" + (f": {reason}" if reason else "")
    )


def _explained(error: str, upstream: str) -> str:
    parts = _ERROR.fullmatch(error)
    problem, path = (error, "") if parts is None else (parts["problem"], parts["path"] or "")
    field = _INDEX.sub(r".\1", path).lstrip(".")
    unknown = _UNKNOWN.fullmatch(problem)
    if unknown is not None:
        name = f"{field}.{unknown[1]}" if field else unknown[1]
        return f"{name}: cannot be expressed in {upstream}"
    value = _VALUE.fullmatch(problem)
    if value is not None:
        return f"{field}: {value[1]} cannot be expressed in {upstream}"
    return f"{field}: {problem}" if field else problem
