"""`${NAME}` and `${NAME:-default}` in a specification: the environment, as it was when the sweep was made."""

import os
import re
from collections.abc import Mapping

VARIABLE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_]\w*)(?::-(?P<default>[^}]*))?\}|\$\{")
# A specification is stored, shown and exported.
SECRET = re.compile(r"secret|token|passw|credential|apikey|(^|_)key($|_)", re.IGNORECASE)


class Refused(ValueError):
    """In a sentence: why the text cannot be filled in."""


class Environment:
    """used: what was asked for, and found or had a default."""

    def __init__(self, values: Mapping[str, str] | None = None, made: Mapping[str, str] | None = None):
        """values: instead of this process's variables. made: those that a sweep was made with, which go
        before, each as it was then."""
        self._values = os.environ if values is None else values
        self._made = made or {}
        self.used: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """`$${` is a `${` that stays. Raises Refused."""
        return VARIABLE.sub(self._one, text)

    def _one(self, found: re.Match[str]) -> str:
        if found[0] == "$${":
            return "${"
        name = found["name"]
        if name is None:
            raise Refused("${ begins a variable's name, as in ${DATA} or ${DATA:-here}; $${ stays as it is")
        if SECRET.search(name):
            raise Refused(f"{name} is called like a secret, and a specification is stored and shown")
        value = self._made.get(name, self._now(name, found["default"]))
        if value is None:
            raise Refused(f"the environment has no {name}; ${{{name}:-value}} gives it a default")
        self.used[name] = value
        return value

    def _now(self, name: str, default: str | None) -> str | None:
        """As in a shell, `:-` takes an empty variable for one that is not set."""
        value = self._values.get(name)
        return value if value or default is None else default
