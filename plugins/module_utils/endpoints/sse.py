"""Server-sent events, as a streamed completion sends them (WHATWG HTML, section 9.2)."""

from __future__ import annotations


class EventParser:
    """Turns bytes, however they were cut on the way, into the `data` of complete events.

    An event counts when its blank line has arrived; a rest at the end of the stream does not.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._after_return = False
        self._at_start = True

    def feed(self, chunk: bytes) -> list[str]:
        """The data of the events that this chunk completes."""
        if self._after_return and chunk:
            # A line ended with \r at the end of the chunk before: an \n now belongs to the same line end.
            chunk = chunk[1:] if chunk.startswith(b"\n") else chunk
            self._after_return = False
        events: list[str] = []
        pending = self._rest + chunk
        while True:
            end = _line_end(pending)
            if end < 0:
                self._rest = pending
                return events
            line, after = pending[:end], end + 1
            if pending[end : end + 1] == b"\r":
                if after == len(pending):
                    self._after_return = True
                elif pending[after : after + 1] == b"\n":
                    after += 1
            pending = pending[after:]
            self._line(line, events)

    def _line(self, line: bytes, events: list[str]) -> None:
        if self._at_start:
            self._at_start = False
            line = line[3:] if line.startswith(b"\xef\xbb\xbf") else line
        if not line:
            if self._data:
                events.append("\n".join(self._data))
                self._data = []
            return
        field, __, value = line.partition(b":")
        if field == b"data":
            self._data.append(
                value[1:].decode("utf-8", "replace") if value[:1] == b" " else value.decode("utf-8", "replace")
            )


def _line_end(text: bytes) -> int:
    ends = [position for position in (text.find(b"\n"), text.find(b"\r")) if position >= 0]
    return min(ends, default=-1)
