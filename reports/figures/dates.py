"""The date of a report: its record's own, so that the same record gives the same bytes."""

from __future__ import annotations

import os
from datetime import datetime

from earmark.reports.record.schema import RecordError


def timestamp(created: str) -> int:
    """Return seconds since 1970: ``SOURCE_DATE_EPOCH``, where a builder sets it, else ``created``.

    Raises
    ------
    RecordError
        If ``SOURCE_DATE_EPOCH`` is not a whole number.
    """
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        if not epoch.isdecimal():
            raise RecordError(
                f"SOURCE_DATE_EPOCH is {epoch!r}, expected whole seconds since 1970: unset it"
            )
        return int(epoch)
    return int(datetime.fromisoformat(created).timestamp())
