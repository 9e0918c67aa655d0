"""Names for data whose values may be anything."""

from __future__ import annotations

from collections.abc import Mapping

# What an operator, a model's author or a program wrote, by name: whoever reads a value looks first what it is.
Values = Mapping[str, object]
