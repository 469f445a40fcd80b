"""Are the texts, tokenizers and checkpoints here that the runs of a specification read? No torch."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from trainer.config.problems import InvalidConfig, Problem
from trainer.config.train_config import TrainConfig
from trainer.data.base import DataSet, Look, no_folder
from trainer.data.looking import look


class Inputs:
    """Looks at each once, whatever the number of runs. offline: for another machine's sake, at none but the
    checkpoint of pretrain.from, whose weights are part of a run's name."""

    def __init__(self, offline: bool = False):
        self.offline = offline
        self.unseen: dict[str, str] = {}  # by dotted name: what was not looked at, and why
        self._looks: dict[tuple[DataSet, bool], Look] = {}

    def problems(self, config: TrainConfig) -> list[Problem]:
        """Of one run."""
        try:
            if self.offline:
                config.published()
                return []
            config.check_files()
        except InvalidConfig as error:
            return error.problems
        found = self._look_at(config.data, trained=True)
        self.unseen |= {f"data.{field}": said for field, said in found.unseen.items()}
        problems = [Problem(f"data.{field}", said) for field, said in found.wrong.items()]
        for other in config.evaluation.zero_shot:
            found = self._look_at(other)
            at = "evaluation.zero_shot"
            self.unseen |= {f"{at}, {other.name}.{field}": said for field, said in found.unseen.items()}
            problems += [Problem(at, f"{other.name}.{field}: {said}") for field, said in found.wrong.items()]
        found = _look_at_judge(config)
        self.unseen |= found.unseen
        return problems + [Problem(field, said) for field, said in found.wrong.items()]

    def problems_of_stored(self, configurations: Iterable[Mapping[str, Any]]) -> list[Problem]:
        """Of runs that a store has, by their dotted values; not of those that another version wrote."""
        told_apart = ("data.", "evaluation.zero_shot", "pretrain.from", "samples.")
        read = {
            str([item for item in each.items() if item[0].startswith(told_apart)]): each
            for each in configurations
        }
        found: list[Problem] = []
        for values in read.values():
            with suppress(InvalidConfig):
                found += self.problems(TrainConfig.from_dotted(values))
        return list(dict.fromkeys(found))

    def in_words(self) -> list[str]:
        """What is to be said of those that were not looked at."""
        if self.offline:
            return ["the files that runs read: --offline"]
        return [f"{key}: {said}" for key, said in self.unseen.items()]

    def _look_at(self, data: DataSet, trained: bool = False) -> Look:
        if (data, trained) not in self._looks:
            self._looks[data, trained] = look(data, trained)
        return self._looks[data, trained]


def _look_at_judge(config: TrainConfig) -> Look:
    """Its network is opened at a run's beginning; here that there is one, by a file that all of them have."""
    field, judge = "samples.judge", config.samples.judge
    if not config.samples.num or judge is None:
        return Look()
    if not Path(judge).is_dir():
        return no_folder(field, judge, "transformers", "judge")
    if not Path(judge, "config.json").is_file():
        said = f"{judge} has no config.json: it is neither a causal model of transformers nor an AR run"
        return Look({field: said})
    return Look()
