"""`reference`: what somebody has printed about the runs in `always`, to be held against ours by `report`."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from trainer.settings import Settings

ROW, EXACT = "row", "bound"
NOT_MEASURED = "none"  # a column that no run of the sweep measures


class Sentence(Settings):
    """A claim, as comparisons of rows: in each pair the first has less of the metric."""

    says: str
    by: str = "test_nelbo"
    less: tuple[tuple[str, str], ...] = Field(min_length=1)


class Reference(Settings):
    """rows: one for each run of `always`, in its order: `row` names it, the others are printed numbers.

    A row with `bound: false` prints numbers that are no perplexities, whatever their column is called;
    `c` is then what the objective is of the bound, where the cross-entropy does not depend on the noise.
    """

    title: str
    source: str = ""
    columns: dict[str, str] = Field({}, description="The printed column: the metric of ours that it is.")
    compare: Literal["value", "ratio"] = Field(
        "value", description="ratio: each number over its column's first, where text or model are others."
    )
    noise: float = Field(0.0, ge=0, description="Of a printed log-perplexity: its own standard error, nats.")
    rows: tuple[dict[str, str | float | bool | None], ...] = ()
    sentences: tuple[Sentence, ...] = ()
    notes: Annotated[tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = ()

    @model_validator(mode="after")
    def _rows_are_named(self) -> "Reference":
        names = [row.get(ROW) for row in self.rows]
        if len(set(names)) < len(names) or None in names:
            raise ValueError("every row needs a name of its own: row: ...")
        for sentence in self.sentences:
            for name in (name for pair in sentence.less for name in pair):
                if name not in names:
                    raise ValueError(f"{sentence.says!r} is about {name!r}, and no row has that name")
        return self
