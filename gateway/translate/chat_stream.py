"""Read a stream of chat completion chunks. Pure.

The end waits for `[DONE]` (or the end of the connection) although the finish reason comes earlier:
the chunk with the usage follows it.
"""

from __future__ import annotations

from gateway.translate import chat_answer, error_bodies
from gateway.translate.answer import AnswerWriter, broken, is_object
from gateway.translate.chat_answer import Call, Choice, Function
from gateway.wire.chat_usage import read_usage, served
from gateway.wire.usage import Reading, Usage

_NULL = b"null"
_DONE = b"[DONE]"


class ChatStream:
    """Reads the chunks of one answer."""

    __slots__ = (
        "_arguments",
        "_finish_reason",
        "_ids",
        "_keys",
        "_model",
        "_out",
        "_sequence",
        "_tier",
        "_usage",
    )

    def __init__(self, out: AnswerWriter) -> None:
        self._out = out
        self._model: str | None = None
        self._tier: object = None
        self._usage: Usage | None = None
        self._finish_reason: str | None = None
        self._sequence: str | None = None
        self._keys: dict[int, int] = {}  # the upstream's index of a call -> ours
        self._ids: list[str | None] = []  # the upstream's ids, by our index
        self._arguments: list[str] = []  # of the latest call, but for blank fragments

    @property
    def complete(self) -> bool:
        """Whether a finish reason was seen."""
        return self._finish_reason is not None

    def event(self, name: bytes, data: bytes) -> None:
        """Read one chunk."""
        if data == _DONE:
            if self.complete:
                self.finish()
            return  # without a finish reason the answer is cut: the end of the connection says so
        chunk = chat_answer.read(data)
        if name == b"error" or bytes(chunk.error) != _NULL:
            self._out.fail(error_bodies.read(None, data))
            return
        self._model = chunk.model or self._model
        self._tier = chunk.service_tier or self._tier
        if bytes(chunk.usage) != _NULL:
            self._usage = read_usage(chunk.usage) or self._usage
        for choice in chunk.choices or ():
            if not choice.index:
                self._start()
                self._choice(choice)

    def finish(self) -> None:
        """Write the closing events."""
        self._start()
        told, sequence = self._finish_reason or "", self._sequence
        reason = chat_answer.stop_reason(told, sequence, called=bool(self._ids))
        self._out.finish(reason, sequence, self._usage)

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return Reading(served(self._usage, self._tier), self._model)

    def _start(self) -> None:
        self._out.start(self._model or "", self._usage)

    def _choice(self, choice: Choice) -> None:
        said = choice.delta or choice.message
        if said is not None:
            out = self._out
            out.thinking(said.reasoning_content or said.reasoning or "")
            out.text(said.content or "")
            out.refusal(said.refusal or "")
            for call in said.calls:
                self._call(call)
        self._finish_reason = choice.finish_reason or self._finish_reason
        if isinstance(choice.stop_reason, str):
            self._sequence = choice.stop_reason

    def _call(self, call: Call) -> None:
        function = call.function or Function()
        index = call.index if call.index is not None else self._unnumbered(call)
        key = self._keys.get(index)
        if key is None or self._is_another(call.own_id, function, key):
            if not function.name:
                raise broken("a tool call begins without its name")
            key = self._keys[index] = len(self._ids)
            self._ids.append(call.own_id)
            self._arguments.clear()
            self._out.call(key, call.own_id, function.name)
        text = function.text
        self._out.arguments(key, text)
        if key == len(self._ids) - 1 and text.strip():
            self._arguments.append(text)

    def _unnumbered(self, call: Call) -> int:
        """Return an index for a call without one: a new one when it brings an id."""
        return len(self._ids) if call.own_id or not self._ids else len(self._ids) - 1

    def _is_another(self, own_id: str | None, function: Function, key: int) -> bool:
        """Return whether a call takes the index of one before: some servers give 0 to all.

        It has a name, and an id of its own or, where servers give none or the same to all, comes
        when the arguments of the one before are complete.
        """
        if not function.name:
            return False
        if own_id is not None and own_id != self._ids[key]:
            return True
        text = function.text.strip()
        if own_id is not None and not text:
            return False  # the same call, told once more
        # Some repeat the name with every fragment: what cannot be the seam is not looked at closer.
        seam = not text or text.startswith("{")
        latest = key == len(self._ids) - 1
        return seam and latest and self._is_complete()

    def _is_complete(self) -> bool:
        """Return whether the arguments of the latest call are an object."""
        last = self._arguments[-1] if self._arguments else ""
        return last.rstrip().endswith("}") and is_object("".join(self._arguments))
