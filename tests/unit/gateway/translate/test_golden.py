"""Golden pairs: requests, answers, errors and streams of every direction, streams at every split.

A pair is `NAME.{request,answer,error,stream}.{in,out}.{json,sse,ndjson}` in
`tests/golden/translate/<direction>/`; the name of an error begins with its status.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gateway.translate import TRANSLATORS, Translator

Translators = Callable[[], Mapping[str, Translator]]
Agrees = Callable[[Path, bytes], None]

ROOT = Path(__file__).parents[3] / "golden" / "translate"
DIRECTIONS = [f"{client}_{upstream}" for client, upstream in TRANSLATORS]


def inputs(kind: str) -> list[Path]:
    return sorted(ROOT.glob(f"*/*.{kind}.in.*"))


def output(path: Path) -> Path:
    return path.with_name(path.name.replace(".in.", ".out.").replace(".ndjson", ".sse"))


def pretty(body: bytes) -> bytes:
    return json.dumps(json.loads(body), indent=2, ensure_ascii=False).encode() + b"\n"


def named(path: Path) -> str:
    return f"{path.parent.name}-{path.name.partition('.')[0]}"


@pytest.mark.parametrize("kind", ["request", "answer", "error", "stream"])
@pytest.mark.parametrize("direction", DIRECTIONS)
def test_every_direction_has_pairs_of_every_kind(direction: str, kind: str) -> None:
    assert [path for path in inputs(kind) if path.parent.name == direction]


@pytest.mark.parametrize("path", inputs("request"), ids=named)
def test_request_becomes_the_golden_one(
    path: Path, translators: Translators, agrees: Agrees
) -> None:
    body = translators()[path.parent.name].request(path.read_bytes(), "upstream-model")
    agrees(output(path), pretty(body))


@pytest.mark.parametrize("path", inputs("answer"), ids=named)
def test_answer_becomes_the_golden_one(
    path: Path, translators: Translators, agrees: Agrees
) -> None:
    agrees(output(path), pretty(translators()[path.parent.name].answer(path.read_bytes())))


@pytest.mark.parametrize("path", inputs("error"), ids=named)
def test_error_becomes_the_golden_one(path: Path, translators: Translators, agrees: Agrees) -> None:
    status = int(path.name[:3])
    produced = translators()[path.parent.name].error(status, path.read_bytes())
    agrees(output(path), pretty(produced))


@pytest.mark.parametrize("path", inputs("stream"), ids=named)
def test_stream_becomes_the_golden_one(
    path: Path, translators: Translators, agrees: Agrees
) -> None:
    agrees(output(path), run(translators()[path.parent.name], path.read_bytes()))


@pytest.mark.parametrize("path", inputs("stream"), ids=named)
def test_stream_is_the_same_at_every_split(path: Path, translators: Translators) -> None:
    data, expected = path.read_bytes(), output(path).read_bytes()
    for cut in range(len(data) + 1):
        translator = translators()[path.parent.name]
        assert run(translator, data[:cut], data[cut:]) == expected, cut


def line_ends() -> list[tuple[Path, bytes]]:
    """Return the streams with each end that their lines may have."""
    ends = {".sse": (b"\n", b"\r\n", b"\r"), ".ndjson": (b"\n", b"\r\n")}
    return [(path, end) for path in inputs("stream") for end in ends[path.suffix]]


@pytest.mark.parametrize(("path", "end"), line_ends())
def test_stream_is_the_same_byte_by_byte_with_any_line_end(
    path: Path, end: bytes, translators: Translators
) -> None:
    data = path.read_bytes().replace(b"\n", end)
    pieces = [data[at : at + 1] for at in range(len(data))]
    assert run(translators()[path.parent.name], *pieces) == output(path).read_bytes()


@pytest.mark.parametrize("path", inputs("stream"), ids=named)
def test_stream_is_the_same_between_what_says_nothing(path: Path, translators: Translators) -> None:
    data = path.read_bytes()
    if path.suffix == ".sse":
        noise = b"\nid: 7\nretry: 9\n\n: keep-alive\n\n\n"
        data = b"\xef\xbb\xbf" + data.replace(b"\n\n", noise)
    else:
        data = b" \n" + data.replace(b"\n", b" \n\n\t\r\n")
    assert run(translators()[path.parent.name], data) == output(path).read_bytes()


@pytest.mark.parametrize("path", inputs("stream"), ids=named)
def test_stream_is_complete_exactly_when_it_does_not_end_in_an_error(
    path: Path, translators: Translators
) -> None:
    stream = translators()[path.parent.name].stream()
    stream.feed(path.read_bytes())
    stream.end()
    broken = path.name.startswith(("cut", "error", "fail", "garbled", "done-without", "gave-up"))
    last = output(path).read_bytes().rsplit(b"\n\n", 2)[-2]
    assert (b'"error"' in last) == broken
    assert stream.complete != broken or path.name.startswith("gave-up")


def run(translator: Translator, *pieces: bytes) -> bytes:
    stream = translator.stream()
    produced = [stream.feed(piece) for piece in pieces]
    return b"".join((*produced, stream.end(), stream.feed(b"data: {}\n\n"), stream.end()))
