"""Are a corpus's text and its tokenizer here, and can they be read? A look, before anything is prepared."""

from __future__ import annotations

from pathlib import Path

from trainer.data.base import DataSet, Look, no_folder
from trainer.data.pretrained import glance
from trainer.errors import DataError


def look(data: DataSet, trained: bool = False) -> Look:
    """One row of each text, and the tokenizer; nothing is downloaded, and transformers imported only for a
    tokenizer that says too little by itself. trained: it is trained on, so that each split is needed."""
    text, tokenizer = data.look_at_text(), _look_at_tokenizer(data)
    if trained and not text.wrong:
        text = Look(data.look_at_splits().wrong, text.unseen)
    return Look({**text.wrong, **tokenizer.wrong}, {**text.unseen, **tokenizer.unseen})


def _look_at_tokenizer(data: DataSet) -> Look:
    name = data.tokenizer
    if data.own_tokenizer() is not None or name == type(data).model_fields["tokenizer"].default:
        return Look()
    if not Path(name).is_dir():
        return no_folder("tokenizer", name, "transformers")
    try:
        glance(name, data.eos)
    except DataError as error:
        return Look({"tokenizer": str(error).rstrip(".")})
    except OSError as error:
        return Look({"tokenizer": f"{error.filename or name}: {error.strerror}"})
    return Look()
