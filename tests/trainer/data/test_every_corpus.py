"""What holds of every corpus in the union, at any values of its fields: to stand there is to be tested."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.trainer.random_settings import settings_of
from trainer.config.names import names_of
from trainer.config.problems import InvalidConfig
from trainer.config.train_config import TrainConfig
from trainer.data.packing import SPLITS
from trainer.data.union import CORPORA
from trainer.values import kind_of, named

every_corpus = pytest.mark.parametrize("kind", CORPORA, ids=kind_of)
ONE_BLOCK = {"objective.name": "mdlm"}  # whatever the length


@settings(deadline=None, max_examples=25)
@every_corpus
@given(data=st.data())
def test_a_run_says_it_and_reads_it_back(kind, data):
    corpus = data.draw(settings_of(kind))
    written = json.loads(json.dumps(corpus.model_dump(mode="json")))
    if "train" in kind.splits:
        config = TrainConfig.from_dotted({**ONE_BLOCK, "data": written})
        assert config.data == corpus
        assert TrainConfig.from_dotted(config.to_dotted()) == config
    else:
        with pytest.raises(InvalidConfig, match=rf"^data: {kind_of(kind)} has no train split"):
            TrainConfig.from_dotted({**ONE_BLOCK, "data": written})
    others = {"tokenizer", "vocab_size", "length", "forced_eos"}
    scored = {key: value for key, value in written.items() if key not in others}
    (read,) = TrainConfig.from_dotted({"evaluation.zero_shot": [scored]}).evaluation.zero_shot
    assert type(read) is kind


@every_corpus
def test_its_splits_and_fields_are_listed(kind):
    assert named(kind_of(kind), CORPORA) is kind
    assert kind.splits
    assert set(kind.splits) <= set(SPLITS)
    names = names_of(TrainConfig)
    assert kind_of(kind) in names.kinds["data.name"]
    assert all(kind_of(kind) in names.leaves[f"data.{field}"] for field in kind.model_fields)


@every_corpus
def test_a_block_is_no_longer_than_the_corpus_own_length(kind):
    """Where no length is said, the defaults of both phases follow the corpus's own."""
    if "train" in kind.splits and not any(info.is_required() for info in kind.model_fields.values()):
        config = TrainConfig.from_dotted({**ONE_BLOCK, "data.name": kind_of(kind)})
        own = kind.model_fields["length"].default
        assert (config.data.length, config.pretrain.block_size, config.finetune.block_size) == (own, own, own)
