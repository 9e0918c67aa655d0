"""The form of a look, for those who make it and those who read it."""

from __future__ import annotations

# Of module host_state's result. Raised when a key goes or changes its meaning.
SCHEMA = 1
# How an endpoint was proved: with everything it promised, or with one real question.
FULL, SHORT = "full", "short"
