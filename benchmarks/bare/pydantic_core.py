"""The one name of it that the trainer uses."""

from typing import Any


class PydanticCustomError(ValueError):
    def __init__(self, kind: str, sentence: str, context: dict[str, Any]):
        super().__init__(f"{kind}: {sentence}: {context}")
