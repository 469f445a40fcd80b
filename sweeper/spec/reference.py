"""`reference`: what somebody has printed about the runs in `always`, to be held against ours by `report`."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from trainer.values import Settings

ROW, EXACT, OVER, SAME, DRAWN = "row", "bound", "over", "same", "drawn"
LOOKS = ("val_nelbo", "test_nelbo", "test_nelbo/last")  # by document: two of them can be held together
NOT_MEASURED = "none"  # a column that no run of the sweep measures


class Claim(Settings):
    """A sentence that was printed, as comparisons of rows: in each pair the first has less of the metric `by`
    than the second has of `over`, which is the same one where nothing is said."""

    says: str
    by: str = "test_nelbo"
    over: str | None = Field(
        None,
        description="Of two metrics of one row, test_nelbo and test_nelbo/last: that of the second side.",
    )
    less: tuple[tuple[str, str], ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _two_looks(self) -> "Claim":
        if self.over is not None and not {self.by, self.over} <= set(LOOKS):
            raise ValueError(f"by {self.by}, over {self.over}: with `over` both are of {', '.join(LOOKS)}")
        return self


class Reference(Settings):
    """rows: one for each run of `always`, in its order: `row` names it, the others are printed numbers.

    A row with `bound: false` prints numbers that are no perplexities, whatever their column is called;
    `c` is then what the objective is of the bound, where the cross-entropy does not depend on the noise.
    `over` names the row that a row's ratios are taken over, if not its column's first. A row with
    `same: false` prints another quantity than ours: both are shown, and no word compares them. One with
    `drawn: false` needed no draw of times and masks, so `noise` is not its own.
    """

    title: str
    source: str = ""
    columns: dict[str, str] = Field({}, description="The printed column: the metric of ours that it is.")
    compare: Literal["value", "ratio"] = Field(
        "value",
        description="ratio, where text or model are others: over the column's first, or a row's `over`.",
    )
    noise: dict[str, Annotated[float, Field(ge=0)]] = Field(
        {},
        description="By printed column, or one for all: the standard error that its draw leaves in a printed "
        "number's logarithm.",
    )
    one_draw: tuple[str, ...] = Field(
        (),
        description="Columns in which a row and its `over` are taken to be of one draw: without `noise`.",
    )
    rows: tuple[dict[str, str | float | bool | None], ...] = ()
    sentences: tuple[Claim, ...] = ()
    notes: Annotated[tuple[str, ...], BeforeValidator(lambda v: [v] if isinstance(v, str) else v)] = ()

    @model_validator(mode="before")
    @classmethod
    def _noise_of_every_column(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and isinstance(raw.get("noise"), int | float):
            return {**raw, "noise": dict.fromkeys(raw.get("columns", ()), raw["noise"])}
        return raw

    @model_validator(mode="after")
    def _rows_are_named(self) -> "Reference":
        names = [row.get(ROW) for row in self.rows]
        if len(set(names)) < len(names) or None in names:
            raise ValueError("every row needs a name of its own: row: ...")
        rows = {row[ROW]: row for row in self.rows}
        said = [(repr(row[ROW]), row[OVER]) for row in self.rows if OVER in row]
        said += [(repr(claim.says), name) for claim in self.sentences for pair in claim.less for name in pair]
        for what, name in said:
            if name not in names:
                raise ValueError(f"{what} is about {name!r}, and no row has that name")
        for column in (*self.noise, *self.one_draw):
            if column not in self.columns:
                raise ValueError(f"there is no column {column!r}")
        for row in self.rows:
            for column in self.columns:
                if OVER in row and row.get(column) is not None and rows[row[OVER]].get(column) is None:
                    raise ValueError(f"{row[ROW]!r} is over {row[OVER]!r}, which prints no {column}")
        return self
