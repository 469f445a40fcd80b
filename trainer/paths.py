"""Paths that a user types, made absolute where the settings are read: workers may run in another folder."""

import os
import re
from typing import Annotated

from pydantic import AfterValidator, Field


def absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def absolute_if_there(path: str) -> str:
    """Of a file or a folder that is here; what is not, a name on the hub say, stays as it is."""
    path = os.path.expanduser(path)
    return os.path.abspath(path) if os.path.exists(path) else path


def may_be_on_hub(name: str) -> bool:
    """Whether a name that is no folder here may be one on the hub: gpt2, or OWNER/NAME, where no folder of
    that owner's name lies here."""
    owner, slash, _ = name.partition("/")
    return bool(re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", name)) and not (slash and os.path.isdir(owner))


Pattern = Annotated[str, Field(min_length=1), AfterValidator(absolute)]  # a path, or a glob of several
Place = Annotated[str, Field(min_length=1), AfterValidator(absolute_if_there)]  # a path, or a name on the hub
