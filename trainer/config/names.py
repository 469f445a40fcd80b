"""The dotted names of settings, a run's above all, and the nearest right one for a wrong one. No torch."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from trainer.config.train_config import TrainConfig
from trainer.nearest import nearest
from trainer.values import kind_of, kinds


@dataclass
class Names:
    """leaves: name -> the kinds that have it, () outside of unions: finetune.schedule.mu -> ('gaussian',).

    kinds: a union's `name` field -> every kind: finetune.schedule.name -> ('loglinear', 'cosine', ...).
    infos: name -> its field, with default and description.
    owners: name -> the classes that have it, and its word there: bounds may differ.
    """

    leaves: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: set[str] = field(default_factory=set)
    kinds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    infos: dict[str, FieldInfo] = field(default_factory=dict)
    owners: dict[str, list[tuple[type[BaseModel], str]]] = field(default_factory=dict)

    def unknown(self, name: str) -> str:
        """The shortest part of the name that does not exist: finetune.shedule.mu -> finetune.shedule."""
        parts = name.split(".")
        known = next(
            (i for i in range(len(parts)) if ".".join(parts[: i + 1]) not in self.groups), len(parts)
        )
        part = ".".join(parts[: known + 1])
        return ".".join(parts[: known + 2]) if part in self.leaves else part

    def described(self, name: str) -> str:
        """'finetune.schedule.mu = 0.5 (gaussian): Mean of the masking rate.': a leaf in a line."""
        info, owners = self.infos[name], self.leaves[name]
        default = "" if info.is_required() else f" = {info.get_default(call_default_factory=True)}"
        if name in self.kinds:
            return f"{name}: one of {', '.join(self.kinds[name])}"
        kinds = f" ({', '.join(owners)})" if owners else ""
        return f"{name}{default}{kinds}{f': {info.description}' if info.description else ''}"

    def nearest(self, name: str) -> str | None:
        """A right name for `unknown(name)`: similar in the same group, or the same last words elsewhere."""
        part = self.unknown(name)
        group, _, word = part.rpartition(".")
        everything = [*self.groups, *self.leaves]
        siblings = [each for each in everything if each.rpartition(".")[0] == group]
        last_words = {each.rpartition(".")[2]: each for each in siblings}
        found = nearest(word, last_words)
        if found:
            return last_words[found]
        rest = name[len(part) - len(word) :]
        top = part.split(".")[0]
        elsewhere = [each for each in everything if each == rest or each.endswith(f".{rest}")]
        elsewhere.sort(
            key=lambda each: (not each.startswith(f"{top}."), not each.startswith("finetune."), each)
        )
        return elsewhere[0] if elsewhere else None


# Groups that a word alone may stand for: finetune.clip=auto is finetune.clip.name=auto.
SHORT = ("finetune.clip",)


def spelt_out(name: str, value: Any) -> str:
    """The name of the field that `name: value` sets."""
    return f"{name}.name" if name in SHORT and isinstance(value, str) else name


def train_names() -> Names:
    """The names of TrainConfig."""
    return names_of(TrainConfig)


@cache
def names_of(settings: type[BaseModel]) -> Names:
    names = Names()
    _walk(settings, "", (), names)
    return names


def _walk(settings: type[BaseModel], prefix: str, kind: tuple[str, ...], names: Names) -> None:
    for word, info in settings.model_fields.items():
        name = f"{prefix}{info.alias or word}"  # pretrain.from: a word that Python keeps for itself
        members = kinds(info.annotation)
        if not members:
            names.infos.setdefault(name, info)
            names.owners.setdefault(name, []).append((settings, info.alias or word))
            names.leaves[name] = tuple(dict.fromkeys((*names.leaves.get(name, ()), *kind)))
            continue
        names.groups.add(name)
        if all("name" in member.model_fields for member in members):
            names.kinds[f"{name}.name"] = tuple(kind_of(member) for member in members)
        for member in members:
            in_union = (kind_of(member),) if len(members) > 1 else ()
            _walk(member, f"{name}.", in_union, names)
