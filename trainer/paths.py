"""Paths that a user types, made absolute where the settings are read: workers may run in another folder."""

import os
from typing import Annotated

from pydantic import AfterValidator, Field


def absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def absolute_if_there(path: str) -> str:
    """Of a file or a folder that is here; what is not, a name on the hub say, stays as it is."""
    path = os.path.expanduser(path)
    return os.path.abspath(path) if os.path.exists(path) else path


Pattern = Annotated[str, Field(min_length=1), AfterValidator(absolute)]  # a path, or a glob of several
Place = Annotated[str, Field(min_length=1), AfterValidator(absolute_if_there)]  # a path, or a name on the hub
