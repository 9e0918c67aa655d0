"""How long the certificate that HAProxy shows to clients is good for: what it has loaded, whatever lies in the file by now."""

from __future__ import annotations

import datetime
import re

# `bind … ssl crt PATH` of our configuration.
_LOADED = re.compile(r"^\s*bind\s.*\sssl\s+crt\s+(\S+)", re.MULTILINE)
# "show ssl cert" of HAProxy's management guide: "notAfter: Dec  1 11:22:33 2026 GMT".
_ENDS = re.compile(r"^\s*notAfter:\s*(\w{3}\s+\d+ [\d:]{8} \d{4}) GMT\s*$", re.MULTILINE)
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def loaded_path(config: str) -> str:
    """The certificate that a configuration names; "" where it has none."""
    found = _LOADED.search(config)
    return found[1] if found else ""


def ends(answer: str) -> datetime.datetime | None:
    """When it ends, from HAProxy's answer to `show ssl cert`; None where that says nothing of it (no month is translated)."""
    found = _ENDS.search(answer)
    if not found:
        return None
    month, day, time, year = found[1].split()
    try:
        hour, minute, second = map(int, time.split(":"))
        at = (int(year), MONTHS.index(month) + 1, int(day), hour, minute, second)
        return datetime.datetime(*at, tzinfo=datetime.timezone.utc)
    except ValueError:
        return None


def lifetime(path: str, answer: str, now: datetime.datetime) -> dict[str, object]:
    """{path, ends (ISO 8601), days (left, negative once it has ended)}; {} where nothing is known of it."""
    end = ends(answer)
    if not path or end is None:
        return {}
    return {"path": path, "ends": end.isoformat(), "days": (end - now).total_seconds() / 86400}
