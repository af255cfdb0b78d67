"""The two spellings of a moment that the protocol uses: RFC 1123 in headers, ISO 8601 in documents.

This module does not know what time it is.
"""

from __future__ import annotations

import calendar
import re
import time
from datetime import datetime
from functools import lru_cache

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTH_NUMBERS = {name.lower(): number for number, name in enumerate(_MONTHS, 1)}

_RFC_1123 = re.compile(
    r"[A-Za-z]{3}, (\d{1,2}) ([A-Za-z]{3}) (\d{4}) (\d{2}):(\d{2}):(\d{2}) (?:GMT|UTC|[+-]0000)", re.ASCII
)
_LONGEST_DATE = len("Wed, 06 Jun 2018 09:08:21 +0000")
_ISO_8601 = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?Z", re.ASCII)


def http_date(seconds: float) -> str:
    """An RFC 1123 date in GMT, in English whatever the locale."""
    return _http_date(int(seconds // 1))


@lru_cache(maxsize=1024)
def _http_date(seconds: int) -> str:
    moment = time.gmtime(seconds)
    day, month = _DAYS[moment.tm_wday], _MONTHS[moment.tm_mon - 1]
    return (
        f"{day}, {moment.tm_mday:02} {month} {moment.tm_year} "
        f"{moment.tm_hour:02}:{moment.tm_min:02}:{moment.tm_sec:02} GMT"
    )


def parse_http_date(text: str) -> int | None:
    """Unix seconds of an RFC 1123 date in GMT, or None.

    The name of the day is not looked at: the documents' own samples have wrong ones (E-30), some in capitals (7.3).
    """
    return _parse_http_date(text) if len(text) <= _LONGEST_DATE else None


@lru_cache(maxsize=1024)
def _parse_http_date(text: str) -> int | None:
    match = _RFC_1123.fullmatch(text)
    month = _MONTH_NUMBERS.get(match[2].lower()) if match else None
    if match is None or month is None:
        return None
    year, day, hour, minute, second = (int(match[group]) for group in (3, 1, 4, 5, 6))
    try:
        datetime(year, month, day, hour, minute, min(second, 59))  # noqa: DTZ001 - only asks whether there is such a day
    except ValueError:
        return None
    return calendar.timegm((year, month, day, hour, minute, second, 0, 0, 0))


def iso_date(seconds: float) -> str:
    """`2015-07-01T00:48:07.706Z`, the form of LastModified and Initiated (obs_04_0082)."""
    milliseconds = int(seconds * 1000) % 1000
    return f"{_iso_second(int(seconds // 1))}.{milliseconds:03}Z"


@lru_cache(maxsize=1024)
def _iso_second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def parse_iso_date(text: str) -> float | None:
    """Unix seconds of an ISO 8601 moment in UTC, with or without a fraction (section 6.5), or None."""
    if not _ISO_8601.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
