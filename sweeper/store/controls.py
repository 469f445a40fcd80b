"""What anyone may ask of a running sweep: an append to `controls`, read by the driver."""


def request(url: str, sweep: int, verb: str, trial: int | None = None) -> None: ...
