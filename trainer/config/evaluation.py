"""What a run is judged on: how many sequences and masks, and which other corpora. No torch."""

from typing import Any

from pydantic import Field, field_validator, model_validator

from trainer.data.union import AnyCorpus
from trainer.values import Settings


class EvaluationConfig(Settings):
    """What the bound is estimated on: part of the metric's identity or provenance, never searched."""

    every: int = Field(50, ge=1, description="Optimizer steps between two evaluations.")
    sequences: int = Field(128, ge=2, description="Packed sequences evaluated, of each split.")
    draws: int = Field(4, ge=1, le=1_000_000, description="Masks per block where the bound is sampled.")
    error: float | None = Field(
        None,
        gt=0,
        description="Wanted standard error of masks alone, nats per token: sets their number, at most 64.",
    )
    rank_error: float | None = Field(
        None,
        gt=0,
        description="Wanted standard error of masks alone where a run is ranked: at its end its best "
        "checkpoint is scored again, with at most 1,024 masks a block; looks in training keep draws.",
    )
    seed: int = Field(0, ge=0, description="Of the evaluation's sequences and masks.")
    batch_size: int = Field(64, ge=1, le=1_000_000, description="Most sequences in one forward pass.")
    variance_batches: int = Field(
        20, ge=0, le=1_000_000, description="Training-size batches behind var_nelbo."
    )
    test: bool = Field(True, description="Score the best checkpoint on test when the run has ended.")
    test_last: bool = Field(
        False,
        description="Score the last step's average on test, too: rows test_nelbo/last, beside the best "
        "checkpoint's.",
    )
    block_sizes: tuple[int, ...] = Field(
        (),
        description="Block sizes that the best checkpoint's bound on valid is read at then, beside its own: "
        "rows val_nelbo/L4, shown and never searched by.",
    )
    zero_shot: tuple[AnyCorpus, ...] = Field(
        (),
        description="Other corpora that it is scored on then, with the run's own tokenizer, length and "
        "forced_eos: on test, or valid where a corpus has no test.",
    )

    @model_validator(mode="after")
    def _last_beside_best(self) -> "EvaluationConfig":
        if self.test_last and not self.test:
            raise ValueError("test_last is beside the best checkpoint's row, which `test: false` leaves out")
        return self

    @field_validator("block_sizes", mode="before")
    @classmethod
    def _one_or_more(cls, raw: Any) -> Any:
        return raw if isinstance(raw, list | tuple) else [raw]

    @field_validator("block_sizes")
    @classmethod
    def _of_tokens(cls, sizes: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in sizes) or len(set(sizes)) < len(sizes):
            raise ValueError(f"{list(sizes)}: whole numbers from 1 on, each once")
        return sizes

    @field_validator("zero_shot")
    @classmethod
    def _told_apart(cls, corpora: tuple[AnyCorpus, ...]) -> tuple[AnyCorpus, ...]:
        names = [data.name for data in corpora]
        for i, data in enumerate(corpora):
            if data.name in names[:i]:
                raise ValueError(f"{data.name} stands twice, and its rows would have one name")
            for key, value in data.model_dump(include=MODELS_OWN).items():
                if value != type(data).model_fields[key].default:
                    raise ValueError(f"{data.name}.{key}: a model is scored with its own; leave it out")
        return corpora


# Of a corpus that a model is scored on: as the model was trained.
MODELS_OWN = {"tokenizer", "vocab_size", "length", "forced_eos"}
