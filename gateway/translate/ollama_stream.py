"""Read a stream of Ollama's chat API. Pure."""

from __future__ import annotations

from gateway.translate import error_bodies, ollama_answer, usage
from gateway.translate.answer import AnswerWriter, Part, Text, Thinking, ToolCall
from gateway.translate.ollama_answer import Said
from gateway.wire.usage import Reading, Usage


class OllamaStream:
    """Reads the lines of one answer."""

    __slots__ = ("_calls", "_model", "_out", "_usage", "complete")

    def __init__(self, out: AnswerWriter) -> None:
        self.complete = False
        self._out = out
        self._model: str | None = None
        self._usage: Usage | None = None
        self._calls = 0

    def event(self, name: bytes, data: bytes) -> None:
        """Read one line; lines have no names."""
        del name
        line = ollama_answer.read(data)
        if line.failed:
            self._out.fail(error_bodies.read(None, data))
            return
        self._model = line.model or self._model
        self._out.start(self._model or "", None)
        for part in ollama_answer.parts(line.message or Said(), truncated=False):
            self._write(part)
        if line.done:
            self.complete = True
            self._usage = usage.from_ollama(data)
            reason = ollama_answer.stop_reason(line, called=self._calls > 0)
            self._out.finish(reason, None, self._usage)

    def finish(self) -> None:
        """Do nothing: the closing events are written with the upstream's last line."""

    def reading(self) -> Reading:
        """Return tokens and model so far."""
        return Reading(self._usage, self._model)

    def _write(self, part: Part) -> None:
        if isinstance(part, Thinking):
            self._out.thinking(part.text)
        elif isinstance(part, Text):
            self._out.text(part.text)
        elif isinstance(part, ToolCall):
            self._out.call(self._calls, part.id, part.name)
            self._out.arguments(self._calls, bytes(part.input).decode())
            self._calls += 1
