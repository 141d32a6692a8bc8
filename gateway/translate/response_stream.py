"""Read a stream of the OpenAI Responses API. Pure."""

from __future__ import annotations

from gateway.translate import error_bodies, response_answer, usage
from gateway.translate.answer import AnswerWriter, broken
from gateway.translate.response_answer import Event, Item, Response
from gateway.wire.chat_usage import served
from gateway.wire.usage import Reading, Usage


class ResponseStream:
    """Reads the events of one answer."""

    __slots__ = ("_calls", "_model", "_out", "_tier", "_told", "_usage", "complete")

    def __init__(self, out: AnswerWriter) -> None:
        self.complete = False
        self._out = out
        self._model: str | None = None
        self._tier: object = None
        self._usage: Usage | None = None
        self._calls: set[int] = set()  # items that are tool calls
        self._told: set[int] = set()  # open items whose content comes in deltas

    def event(self, name: bytes, data: bytes) -> None:
        """Read one event; those that only repeat what came before are passed over."""
        event = response_answer.read_event(data)
        kind = event.type or name.decode(errors="replace")
        if kind in _DELTAS:
            self._delta(kind, event)
        elif kind == "response.output_item.added" and event.item is not None:
            self._begin(event.output_index, event.item)
        elif kind == "response.output_item.done" and event.item is not None:
            self._end(event.output_index, event.item)
        elif kind == "response.reasoning_summary_part.added" and event.summary_index > 0:
            self._start()
            self._out.thinking(response_answer.SUMMARY_SEPARATOR)
        elif kind == "error":
            self._out.fail(error_bodies.read(None, data))
        elif event.response is not None:
            self._response(kind, event.response)

    def finish(self) -> None:
        """Do nothing: the closing events are written with the upstream's last one."""

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return Reading(self._usage, self._model)

    def _response(self, kind: str, response: Response) -> None:
        self._model = response.model or self._model
        self._tier = response.service_tier or self._tier
        self._usage = served(usage.from_responses(response.usage), self._tier) or self._usage
        if kind == "response.failed":
            self._out.fail(response_answer.fault(response))
            return
        self._start()
        if kind in {"response.completed", "response.incomplete"}:
            self.complete = True
            reason = response_answer.stop_reason(response, called=bool(self._calls))
            self._out.finish(reason, None, self._usage)

    def _start(self) -> None:
        self._out.start(self._model or "", self._usage)

    def _begin(self, index: int, item: Item) -> None:
        self._start()
        if item.type == "function_call":
            self._calls.add(index)
            self._out.call(index, item.call_id, item.name or "")

    def _delta(self, kind: str, event: Event) -> None:
        self._start()
        self._told.add(event.output_index)
        if kind == "response.function_call_arguments.delta":
            self._arguments(event.output_index, event.delta)
        elif kind.startswith("response.reasoning"):
            self._out.thinking(event.delta)
        elif kind == "response.refusal.delta":
            self._out.refusal(event.delta)
        else:
            self._out.text(event.delta)

    def _end(self, index: int, item: Item) -> None:
        """Write the item when no deltas came before it; then end its block."""
        told = index in self._told
        self._told.discard(index)
        if item.type == "function_call":
            if not told:
                self._arguments(index, item.arguments or "")
            return  # the call ends when the next block begins: others may wait behind it
        if not told:
            self._start()
            if item.type == "reasoning":
                self._out.thinking(response_answer.thinking(item))
            for piece in item.content or () if item.type == "message" else ():
                self._out.text(piece.text)
                self._out.refusal(piece.refusal)
        self._out.pause()

    def _arguments(self, index: int, fragment: str) -> None:
        if index not in self._calls:
            raise broken("arguments of a tool call that has not begun")
        self._out.arguments(index, fragment)


_DELTAS = frozenset(
    {
        "response.output_text.delta",
        "response.refusal.delta",
        "response.function_call_arguments.delta",
        "response.reasoning_summary_text.delta",
        "response.reasoning_text.delta",
    }
)
