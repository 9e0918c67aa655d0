"""What all unit tests share: nothing is timed, on however busy a machine."""

from __future__ import annotations

from hypothesis import settings

# Over whatever holds already: with CI set, hypothesis draws the same examples each time.
settings.register_profile("untimed", settings(deadline=None))
settings.load_profile("untimed")
