"""How are amounts said? Bytes and durations, in words that tables, logs and reports share."""


def in_bytes(count: float) -> str:
    """'1.2 GB'."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.1f} GB"


def clock(seconds: float) -> str:
    """'4:30', '1:04:30'."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
