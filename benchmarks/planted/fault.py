"""What is a planted fault? A mistake that someone might make, at one place of the tree, and who finds it."""

from pathlib import Path
from typing import Literal, NamedTuple, get_args

from benchmarks.planted.wings import wing_of

About = Literal["schedules", "weights", "masking", "bound", "statistics", "store", "resume"]
ABOUT: tuple[str, ...] = get_args(About)


class Fault(NamedTuple):
    name: str
    about: About
    says: str  # what is wrong then
    file: str
    old: str  # occurs once in the file
    new: str
    command: tuple[str, ...] = ()  # words behind `python`, where it is not the wings' tests that must find it

    @property
    def wing(self) -> str:
        return wing_of(Path(self.file))

    def in_text(self, text: str) -> str:
        """The file's text with the fault in it. Raises ValueError where the old text does not occur once."""
        if (found := text.count(self.old)) != 1:
            raise ValueError(f"{self.name}: its text occurs {found} times in {self.file}, not once")
        return text.replace(self.old, self.new)

    def plant(self, tree: Path) -> None:
        path = tree / self.file
        path.write_text(self.in_text(path.read_text()))
