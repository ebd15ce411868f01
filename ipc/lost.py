"""Messages between processes that came to nothing, by why: one count for all end points of a process."""

from __future__ import annotations

from collections import Counter
from enum import Enum
from typing import TypeAlias


class Lost(Enum):
    """Why, as statistics call it."""

    REQUEST_MALFORMED = "request_malformed"
    """What came to be answered was no message."""
    REQUEST_OVERLOADED = "request_overloaded"
    """Refused, for as many as may be were in work."""
    REQUEST_EXPIRED = "request_expired"
    """It came after its caller had given up."""
    REQUEST_FAILED = "request_failed"
    """Who was to answer it raised, or took too long."""
    REPLY_UNDELIVERED = "reply_undelivered"
    """Its caller was gone or did not read."""
    CONTROL_MALFORMED = "control_malformed"
    """Between supervisor and worker, it was no message."""
    CONTROL_UNDELIVERED = "control_undelivered"
    """Whoever it was for was not there or did not read."""
    NEWS_MALFORMED = "news_malformed"
    """What a worker published was no message."""
    NEWS_UNDELIVERED = "news_undelivered"
    """Nobody took what was published, or it was too big."""


Losses: TypeAlias = Counter[Lost]
