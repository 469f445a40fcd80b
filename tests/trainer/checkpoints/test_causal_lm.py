"""Weights of a causal model of transformers: what is taken over, and what is refused in words."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from tests.trainer.causal_models import KINDS, LENGTH, MASK, WORDS, saved, taken_over, word_level
from trainer.checkpoints.causal_lm import save_causal_lm
from trainer.config.causal_lm import causal_lm_at
from trainer.config.published import weights_hash
from trainer.data.tokenizer import Tokenizer
from trainer.errors import CheckpointError
from trainer.network.attention import block_causal

Change = Callable[[dict[str, torch.Tensor]], Any]
SAVED = ("gpt2", "llama", "llama, tied", "qwen3")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {kind: saved(kind, tmp_path_factory.mktemp("models") / "one") for kind in SAVED}


@pytest.fixture
def changed(folders: dict[str, Path], tmp_path: Path) -> Callable[..., Path]:
    def change(
        kind: str, tensors: Callable[[dict[str, torch.Tensor]], Any] | None = None, **said: Any
    ) -> Path:
        """A copy whose tensors or config.json a test may break. said: None takes a key away."""
        folder = Path(shutil.copytree(folders[kind], tmp_path / "changed"))
        config = json.loads((folder / "config.json").read_text())
        config |= said
        kept = {key: value for key, value in config.items() if value is not None}
        (folder / "config.json").write_text(json.dumps(kept))
        if tensors is not None:
            all_of_them = load_file(folder / "model.safetensors")
            tensors(all_of_them)
            save_file(all_of_them, folder / "model.safetensors", {"format": "pt"})
        return folder

    return change


@pytest.mark.parametrize("kind", SAVED)
def test_words_keep_their_rows_and_the_mask_has_their_mean(kind: str, folders: dict[str, Path]) -> None:
    model = taken_over(folders[kind])
    stored = load_file(folders[kind] / "model.safetensors")
    rows = {name.rpartition(".weight")[0].split(".")[-1]: each for name, each in stored.items()}
    for name in model.vocabulary:
        found, theirs = model.state_dict()[name], rows[name.removesuffix(".weight")]
        assert found[:WORDS].equal(theirs)
        torch.testing.assert_close(found[MASK], theirs.mean(dim=0))
    assert len(model.vocabulary) == (1 if kind in ("gpt2", "llama, tied") else 2)


def test_a_mask_that_is_a_word_has_the_mean_of_the_others(folders: dict[str, Path]) -> None:
    model = taken_over(folders["llama"], word_level(mask_id=4))
    theirs = load_file(folders["llama"] / "model.safetensors")["model.embed_tokens.weight"]
    others = torch.arange(WORDS) != 4
    found = model.embedding.weight
    assert len(found) == WORDS
    assert found[others].equal(theirs[others])
    torch.testing.assert_close(found[4], theirs[others].mean(dim=0))


def test_rows_that_pad_the_vocabulary_are_left_out(tmp_path: Path) -> None:
    model = taken_over(saved("llama", tmp_path / "padded", vocab_size=WORDS + 100))
    theirs = load_file(tmp_path / "padded" / "model.safetensors")["model.embed_tokens.weight"]
    assert model.embedding.weight[:WORDS].equal(theirs[:WORDS])
    torch.testing.assert_close(model.embedding.weight[MASK], theirs[:WORDS].mean(dim=0))


def test_half_precision_is_widened(changed: Callable[..., Path]) -> None:
    def halve(tensors: dict[str, torch.Tensor]) -> None:
        tensors.update({name: each.bfloat16() for name, each in tensors.items()})

    model = taken_over(changed("qwen3", halve))
    assert {each.dtype for each in model.parameters()} == {torch.float32}


def test_bare_names_and_old_buffers_are_read(changed: Callable[..., Path], folders: dict[str, Path]) -> None:
    """As the first GPT-2 was published."""

    def as_published(tensors: dict[str, torch.Tensor]) -> None:
        bare = {name.removeprefix("transformer."): each.clone() for name, each in tensors.items()}
        tensors.clear()
        tensors.update(bare | {f"h.{i}.attn.bias": torch.ones(1, 1, 16, 16) for i in range(4)})

    found, plain = taken_over(changed("gpt2", as_published)), taken_over(folders["gpt2"])
    assert all(a.equal(b) for a, b in zip(found.parameters(), plain.parameters(), strict=True))


@pytest.mark.parametrize("said", [{"rope_theta": 500.0, "rope_parameters": None}, {"rope_scaling": None}])
def test_what_older_versions_wrote_says_the_same(
    said: dict[str, Any], changed: Callable[..., Path], folders: dict[str, Path]
) -> None:
    assert causal_lm_at(changed("llama", **said)) == causal_lm_at(folders["llama"])


def _another_head(tensors: dict[str, torch.Tensor]) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1


@pytest.mark.parametrize(
    ("kind", "change", "said", "sentence"),
    [
        ("llama", lambda t: t.pop("lm_head.weight"), {}, "lm_head.weight is missing.*not tied"),
        ("llama, tied", _another_head, {}, "is tied to the embedding, but lm_head.weight is another"),
        ("llama", lambda t: t.pop("model.norm.weight"), {}, "norm.weight is missing"),
        ("llama", lambda t: t.update(more=torch.ones(1)), {}, "more is not part of a llama network"),
        ("llama", lambda t: t["model.norm.weight"].fill_(torch.nan), {}, "norm.weight is not finite"),
        ("llama", lambda t: t.update({"model.norm.weight": torch.ones(24).long()}), {}, "holds int64"),
        ("llama", None, {"intermediate_size": 48}, r"is \[40, 24\], by config.json it is \[48, 24\]"),
        ("llama", None, {"num_hidden_layers": 5}, "layers.4.* is missing"),
        ("llama", None, {"num_hidden_layers": 3}, "layers.3.* is not part of a llama network"),
        ("llama", None, {"model_type": "qwen2"}, "self_attn.q_proj.bias is missing"),
        ("llama", None, {"model_type": "qwen3"}, "self_attn.q_norm.weight is missing"),
        ("llama", None, {"num_key_value_heads": 3}, "3 heads of keys and values do not divide 4 heads"),
        ("llama", None, {"hidden_act": "gelu"}, "hidden_act: Input should be 'silu'"),
        ("llama", None, {"attention_bias": True}, "attention_bias: Input should be False"),
        ("llama", None, {"hidden_size": None}, "hidden_size: Field required"),
        (
            "llama",
            None,
            {"rope_parameters": {"rope_type": "yarn", "factor": 4.0}},
            "angles of the kind 'yarn'",
        ),
        ("gpt2", None, {"n_head": 5}, "5 heads do not divide a width of 24"),
        ("gpt2", None, {"activation_function": "relu"}, "activation_function: Input should be 'gelu_new'"),
        ("gpt2", None, {"model_type": "mamba", "architectures": ["MambaForCausalLM"]}, "'mamba' is none of"),
    ],
)
def test_what_does_not_fit_is_a_sentence(
    kind: str, change: Change | None, said: dict[str, Any], sentence: str, changed: Callable[..., Path]
) -> None:
    with pytest.raises(CheckpointError, match=sentence) as caught:
        taken_over(changed(kind, change, **said))
    assert "changed" in str(caught.value)  # where it lies


@pytest.mark.parametrize(
    ("tokenizer", "sentence"),
    [
        (word_level(WORDS + 1), "has 23 rows, the tokenizer 24 words: set data.tokenizer"),
        (word_level(WORDS + 1, mask_id=5), "has 23 rows, the tokenizer 24 words"),
    ],
)
def test_a_tokenizer_with_more_words_is_refused(
    tokenizer: Tokenizer, sentence: str, folders: dict[str, Path]
) -> None:
    with pytest.raises(CheckpointError, match=sentence):
        taken_over(folders["gpt2"], tokenizer)


def test_a_tokenizer_with_far_fewer_words_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="has 151 rows, the tokenizer 23 words"):
        taken_over(saved("gpt2", tmp_path / "one", vocab_size=WORDS + 128))


def test_a_tokenizer_of_as_many_other_words_is_refused(changed: Callable[..., Path]) -> None:
    folder = changed("gpt2")
    word_level().backend.save(str(folder / "tokenizer.json"))
    taken_over(folder)
    words = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = words["model"]["vocab"]
    vocabulary["w3"], vocabulary["w4"] = vocabulary["w4"], vocabulary["w3"]
    (folder / "tokenizer.json").write_text(json.dumps(words))
    with pytest.raises(CheckpointError, match="has 'w3' in another place, or not at all"):
        taken_over(folder)


def test_what_is_no_causal_model_is_none(changed: Callable[..., Path], tmp_path: Path) -> None:
    """It may be a checkpoint in the public layout, which needs no config.json."""
    folder = changed("gpt2", model_type="bd3lm", architectures=["BD3LM"])
    assert causal_lm_at(folder) is None
    (folder / "config.json").write_text("{")
    assert causal_lm_at(folder) is None
    (folder / "config.json").unlink()
    assert causal_lm_at(folder) is None
    with pytest.raises(CheckpointError, match="there is no such checkpoint"):
        causal_lm_at(tmp_path / "nothing")


# --- weights in several files ---------------------------------------------------------------------------
@pytest.fixture
def sharded(folders: dict[str, Path], tmp_path: Path) -> Callable[[str], Path]:
    """The same model as transformers saves it in pieces."""

    def save(kind: str) -> Path:
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(folders[kind])
        model.save_pretrained(tmp_path / "sharded", max_shard_size="8KB")
        return tmp_path / "sharded"

    return save


def pieces(folder: Path) -> list[Path]:
    assert not (folder / "model.safetensors").exists()
    return sorted(folder.glob("model-*.safetensors"))


@pytest.mark.parametrize("kind", SAVED)
def test_pieces_are_one_model(
    kind: str, folders: dict[str, Path], sharded: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = sharded(kind)
    assert len(pieces(folder)) > 2
    one, many = (taken_over(each).state_dict() for each in (folders[kind], folder))
    assert one.keys() == many.keys()
    assert all(one[name].equal(many[name]) for name in one)
    index = folder / "model.safetensors.index.json"
    assert weights_hash(folder) == weights_hash(index) != weights_hash(folders[kind])
    moved = shutil.copytree(folder, tmp_path / "moved")
    assert weights_hash(moved) == weights_hash(folder)


def reindexed(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    index = folder / "model.safetensors.index.json"
    said = json.loads(index.read_text())
    change(said["weight_map"])
    index.write_text(json.dumps(said))


PIECES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "one is gone": (lambda f: pieces(f)[1].unlink(), "model-00002-of-.* is not beside it"),
    "one is cut off": (
        lambda f: pieces(f)[1].write_bytes(pieces(f)[1].read_bytes()[:-1]),
        "model-00002-of-.*damaged or cut off",
    ),
    "one is another": (
        lambda f: shutil.copy(pieces(f)[0], pieces(f)[1]),
        "model-00002-of-.*: has .*, and by model.safetensors.index.json it has not",
    ),
    "a tensor is nowhere": (
        lambda f: reindexed(f, lambda places: places.update(more=pieces(f)[0].name)),
        "model-00001-of-.*: more is missing, and by model.safetensors.index.json it is there",
    ),
    "elsewhere": (
        lambda f: reindexed(f, lambda places: places.update(more="../model.safetensors")),
        "'../model.safetensors' is not the name of a safetensors file beside it",
    ),
    "a pickle": (
        lambda f: reindexed(f, lambda places: places.update(more="pytorch_model.bin")),
        "'pytorch_model.bin' is not the name of a safetensors file beside it",
    ),
    "no index": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": ["model.safetensors"]}'),
        "does not say which weights are in which file",
    ),
}


@pytest.mark.parametrize(("breaks", "sentence"), PIECES.values(), ids=PIECES)
def test_pieces_that_do_not_fit_are_a_sentence(
    breaks: Callable[[Path], Any], sentence: str, sharded: Callable[[str], Path]
) -> None:
    def opened() -> None:
        weights_hash(folder)
        taken_over(folder)

    folder = sharded("llama")
    breaks(folder)
    with pytest.raises(CheckpointError, match=sentence):
        opened()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_back_is_transformers_model_and_ours(kind: str, tmp_path: Path) -> None:
    """Trained meanwhile, every row: for transformers a causal model, its last word the mask."""
    model = taken_over(saved(kind, tmp_path / "source"), word_level())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    out = tmp_path / "out"
    out.mkdir()
    save_causal_lm(out, model, word_level(), LENGTH)

    words_BL = torch.arange(2 * LENGTH).reshape(2, LENGTH) % WORDS
    theirs = AutoModelForCausalLM.from_pretrained(out).eval()
    with torch.no_grad():
        found, expected = (
            theirs(words_BL).logits,
            model.logits(model.hidden(words_BL, block_causal(LENGTH, 1))),
        )
    torch.testing.assert_close(found[..., :WORDS], expected[..., :WORDS], atol=1e-5, rtol=0)
    assert theirs.config.vocab_size == WORDS + 1
    assert AutoTokenizer.from_pretrained(out).mask_token_id == MASK

    again = taken_over(out, word_level())
    for (name, was), now in zip(model.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(now, was), name
    save_file(load_file(out / "model.safetensors"), out / "model.safetensors", {"format": "pt"})
    rows_VD = taken_over(out, word_level()).embedding.weight  # nobody says that the mask's row was trained
    torch.testing.assert_close(rows_VD[MASK], rows_VD[:WORDS].mean(dim=0))
