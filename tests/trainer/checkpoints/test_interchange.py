"""The public BD3-LM layout: names and shapes, both ways, and every mistake a sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer as Backend
from tokenizers import models, pre_tokenizers
from typer.testing import CliRunner

from tests.trainer.networks import randomised
from tests.trainer.objectives.test_parity import FOLDER, Fixture
from tests.trainer.tiny_runs import (
    WORDS,
    reports_of,
    returned,
    same_tensors,
    tiny_config,
    without_seconds,
    write_corpus,
)
from trainer.checkpoints import checkpoint
from trainer.checkpoints.exchange import export_run, import_checkpoint
from trainer.checkpoints.interchange import PublicConfig, load_published, read_public_config, save_published
from trainer.checkpoints.trained import open_trained
from trainer.cli.main import app
from trainer.config.problems import InvalidConfig
from trainer.config.published import weights_hash
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.data.tokenizer import Tokenizer
from trainer.errors import CheckpointError, DataError
from trainer.evaluation.bound import evaluate
from trainer.network.attention import block_causal, noised
from trainer.network.dit import DiT
from trainer.network.model import Denoiser, Shape
from trainer.settings.sizes import SIZES

SHAPE = Shape(width=16, layers=2, heads=2, cond_width=8, length=16, vocab_size=40, mask_id=39)


def public_layout(V: int, D: int, C: int, layers: int, heads: int) -> dict[str, tuple[int, ...]]:
    """The names and shapes that the public module's state_dict prints, in the order of its parameters."""
    layout: dict[str, tuple[int, ...]] = {
        "vocab_embed.embedding": (V, D),
        "sigma_map.mlp.0.weight": (C, 256),
        "sigma_map.mlp.0.bias": (C,),
        "sigma_map.mlp.2.weight": (C, C),
        "sigma_map.mlp.2.bias": (C,),
        "rotary_emb.inv_freq": (D // heads // 2,),
    }
    for i in range(layers):
        block = {
            "norm1.weight": (D,),
            "attn_qkv.weight": (3 * D, D),
            "attn_out.weight": (D, D),
            "norm2.weight": (D,),
            "mlp.0.weight": (4 * D, D),
            "mlp.0.bias": (4 * D,),
            "mlp.2.weight": (D, 4 * D),
            "mlp.2.bias": (D,),
            "adaLN_modulation.weight": (6 * D, C),
            "adaLN_modulation.bias": (6 * D,),
        }
        layout |= {f"blocks.{i}.{name}": shape for name, shape in block.items()}
    return layout | {
        "output_layer.norm_final.weight": (D,),
        "output_layer.linear.weight": (V, D),
        "output_layer.linear.bias": (V,),
        "output_layer.adaLN_modulation.weight": (2 * D, C),
        "output_layer.adaLN_modulation.bias": (2 * D,),
    }


def shape_of_size(name: str, vocab_size: int, layers: int | None = None) -> Shape:
    size = SIZES[name]
    return Shape(
        size.width, layers or size.layers, size.heads, size.cond_width, 128, vocab_size, vocab_size - 1
    )


def denoiser(shape: Shape) -> Denoiser:
    return DiT(shape, causal=False, dropout=0.0)


def word_level(vocab_size: int) -> Tokenizer:
    """One word an id; the mask is the last id and no word of the tokenizer, as with gpt2."""
    words = ["<eos>", "<unk>", *WORDS]
    words += [f"w{i}" for i in range(vocab_size - 1 - len(words))]
    backend = Backend(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    return Tokenizer(backend, vocab_size, bos_id=0, eos_id=0, mask_id=vocab_size - 1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def trained(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "one"
    reports_of(tiny_config(corpus, pretrain__steps=0, finetune__steps=10, finetune__clip__low=0.2), folder)
    return folder


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("published") / "model"
    export_run(trained, out)
    return out


@pytest.fixture
def broken(exported: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(exported, tmp_path / "broken"))


def rewrite(folder: Path, change: Callable[[dict[str, torch.Tensor]], Any]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def corpus_settings(corpus: Path) -> dict[str, Any]:
    return {"data.name": "files", "data.train": str(corpus), "data.document": "line"}


# --- names and shapes -----------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("size", "words", "count"), [("tiny", 30522, 22_816_442), ("small", 50258, 169_627_218)]
)
def test_full_shapes_are_the_public_ones(size: str, words: int, count: int) -> None:
    shape = shape_of_size(size, words)
    with torch.device("meta"):
        model = denoiser(shape)
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    expected = public_layout(words, shape.width, shape.cond_width, shape.layers, shape.heads)
    assert list(found.items()) == list(expected.items())
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize(("size", "layers"), [("tiny", 8), ("small", 2)])
def test_weights_come_back_to_the_bit(size: str, layers: int, tmp_path: Path) -> None:
    shape = shape_of_size(size, 300, layers)
    model = randomised(denoiser(shape))
    tokenizer = word_level(300)
    config = PublicConfig(vocab_size=300, hidden_dim=shape.width, cond_dim=shape.cond_width, n_blocks=layers)
    save_published(tmp_path, model.state_dict(), config, tokenizer)
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        assert file.metadata() == {"format": "pt"}
    layout = public_layout(300, shape.width, shape.cond_width, layers, shape.heads)
    interval = {"sampling_eps_min": (), "sampling_eps_max": ()}
    assert found == {f"backbone.{name}": shape for name, shape in layout.items()} | interval
    with torch.device("meta"):
        empty = denoiser(shape)
    assert same_tensors(load_published(tmp_path, empty), dict(model.state_dict()))
    assert read_public_config(tmp_path) == config


def bare(weights: dict[str, torch.Tensor], _: Denoiser) -> dict[str, torch.Tensor]:
    return weights


def prefixed(weights: dict[str, torch.Tensor], _: Denoiser) -> dict[str, torch.Tensor]:
    interval = {"sampling_eps_min": torch.tensor(0.3), "sampling_eps_max": torch.tensor(0.8)}
    return {f"backbone.{name}": w for name, w in weights.items()} | interval


def lightning(weights: dict[str, torch.Tensor], model: Denoiser) -> dict[str, torch.Tensor]:
    """Compiled; its weights are not wanted, their moving average is."""
    old = {f"backbone._orig_mod.{n}": w if "inv_freq" in n else w + 1 for n, w in weights.items()}
    shadows = [weights[name] for name, _ in model.named_parameters()]
    return (
        old
        | {f"ema.shadow_params.{i}": w.clone() for i, w in enumerate(shadows)}
        | {"ema.decay": torch.tensor(0.9999)}
    )


@pytest.mark.parametrize("layout", [bare, prefixed, lightning])
def test_every_layout_is_read(layout: Callable[..., dict[str, torch.Tensor]], tmp_path: Path) -> None:
    model = randomised(denoiser(SHAPE))
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    save_file(layout(weights, model), tmp_path / "one.safetensors")
    assert same_tensors(load_published(tmp_path / "one.safetensors", denoiser(SHAPE)), weights)


def test_several_files_are_read_as_one(tmp_path: Path) -> None:
    """The layers' in one, the rest in another; the interval is what the network trained with."""
    model = randomised(denoiser(SHAPE))
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    named = prefixed(weights, model)
    homes = {name: f"part-{'layer' if '.blocks.' in name else 'rest'}.safetensors" for name in named}
    for home in set(homes.values()):
        save_file({name: w for name, w in named.items() if homes[name] == home}, tmp_path / home)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": homes}))
    (tmp_path / "config.json").write_text("{}")
    assert same_tensors(load_published(tmp_path, denoiser(SHAPE)), weights)
    config = read_public_config(tmp_path)
    assert (config.sampling_eps_min, config.sampling_eps_max) == (0.3, 0.8)


def test_half_precision_is_widened(tmp_path: Path) -> None:
    weights = {name: w.bfloat16() for name, w in randomised(denoiser(SHAPE)).state_dict().items()}
    save_file(weights, tmp_path / "one.safetensors")
    found = load_published(tmp_path / "one.safetensors", denoiser(SHAPE))
    assert same_tensors(found, {name: w.float() for name, w in weights.items()})


# --- the public network's own numbers -------------------------------------------------------------
@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no public numbers in {FOLDER}")
@pytest.mark.parametrize("algorithm", ["bd3lm", "mdlm", "sedd", "ar"])
def test_an_imported_network_gives_the_public_logits(algorithm: str, corpus: Path, tmp_path: Path) -> None:
    public = Fixture(algorithm) if algorithm != "sedd" else None
    with safe_open(FOLDER / f"nano_{algorithm}_L32_V101.safetensors", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        settings = json.loads(file.metadata()["config"])
    prefix = "state_dict."
    weights = {n.removeprefix(prefix): w for n, w in tensors.items() if n.startswith(prefix)}
    source = tmp_path / "public"
    source.mkdir()
    config = PublicConfig(
        block_size=settings["block_size"],
        vocab_size=101,
        model_length=32,
        hidden_dim=64,
        cond_dim=16,
        n_blocks=sum(name.endswith("norm1.weight") for name in weights),
        n_heads=64 // (2 * len(weights["rotary_emb.inv_freq"])),
        causal=algorithm == "ar",
        adaln=algorithm != "ar",
        cross_attn=algorithm == "bd3lm",
        time_conditioning=algorithm == "sedd",
        var_min=algorithm == "bd3lm",
    )
    save_published(source, weights, config, word_level(101))
    import_checkpoint(source, tmp_path / "run", corpus_settings(corpus))

    run = read_config(tmp_path / "run")
    assert run.objective.name == algorithm
    assert run.finetune.block_size == settings["block_size"]
    model, _, block_size, step = open_trained(run, tmp_path / "run" / "best.safetensors", device="cpu")
    assert (block_size, step, model.shape.mask_id) == (settings["block_size"], 0, settings["mask_index"])
    x0, xt = tensors["x0"], tensors.get("xt")
    model.eval()
    with torch.no_grad():
        if algorithm == "ar":
            logits = model.logits(model.hidden(x0[:, :-1], block_causal(31, 1)))
        elif algorithm == "sedd":
            sigma = tensors["sigma"].flatten()
            logits = model.logits(model.hidden(xt, noised(32, 32), None, sigma), sigma[:, None])
        else:
            both = torch.cat([xt, x0[:, : 32 - block_size]], dim=1)
            logits = model.logits(model.hidden(both, noised(32, block_size)))
    words = torch.arange(101) != settings["mask_index"]
    torch.testing.assert_close(logits[..., words], tensors["raw_logits"][..., words], atol=1e-5, rtol=0)
    export_run(tmp_path / "run", tmp_path / "back")
    whole = config.model_copy(update={"sampling_eps_max": 1.0})  # to this trainer 0.999 is the whole interval
    assert read_public_config(tmp_path / "back") == whole
    assert same_tensors(load_published(tmp_path / "back", model), weights)
    if public is not None:  # the order in which the moving average of the public code lists its parameters
        assert [name for name, _ in model.named_parameters()] == list(public.grad_norms)


# --- there and back -------------------------------------------------------------------------------
def test_a_run_comes_back_as_it_was(trained: Path, exported: Path, corpus: Path, tmp_path: Path) -> None:
    import_checkpoint(exported, tmp_path / "again", corpus_settings(corpus))
    before, after = (load_file(folder / "best.safetensors") for folder in (trained, tmp_path / "again"))
    for part in ("model", "ema"):
        for name in read_names(before, "ema."):
            assert torch.equal(after[f"{part}.{name}"], before[f"ema.{name}"]), name

    def score(folder: Path) -> Any:
        config = read_config(folder)
        model, corpus, block_size, step = open_trained(config, folder / "best.safetensors", device="cpu")
        return returned(evaluate(model, config.objective, block_size, "valid", corpus, tiny.evaluation, step))

    tiny = read_config(trained)
    first, second = score(trained), score(tmp_path / "again")
    assert first.nelbo == second.nelbo
    assert first.identity == second.identity
    found = read_config(tmp_path / "again")
    assert (found.finetune.clip, found.finetune.block_size) == (tiny.finetune.clip, tiny.finetune.block_size)
    assert found.data.tokenizer == str(tmp_path / "again" / "tokenizer")


def read_names(tensors: dict[str, torch.Tensor], prefix: str) -> list[str]:
    return [name.removeprefix(prefix) for name in tensors if name.startswith(prefix)]


def test_transformers_opens_the_tokenizer(exported: Path, trained: Path) -> None:
    from transformers import AutoTokenizer

    theirs = AutoTokenizer.from_pretrained(str(exported), local_files_only=True)
    config = read_config(trained)
    ours = open_trained(config, trained / "best.safetensors", device="cpu").corpus.tokenizer
    assert (theirs.bos_token_id, theirs.eos_token_id, theirs.mask_token_id, len(theirs)) == (
        ours.bos_id,
        ours.eos_id,
        ours.mask_id,
        ours.vocab_size,
    )
    assert theirs("masked blocks")["input_ids"] == ours.encode_batch(["masked blocks"])[0]


def test_config_json_speaks_the_public_names(exported: Path) -> None:
    config = json.loads((exported / "config.json").read_text())
    assert config["model_type"] == "bd3lm"
    assert (config["hidden_dim"], config["cond_dim"], config["n_blocks"], config["n_heads"]) == (16, 8, 1, 1)
    assert (config["model_length"], config["block_size"], config["sampling_eps_min"]) == (16, 4, 0.2)
    assert config["vocab_size"] == len(
        load_file(exported / "model.safetensors")["backbone.vocab_embed.embedding"]
    )


def test_the_buffers_go_before_config_json(broken: Path) -> None:
    rewrite(broken, lambda tensors: tensors.update(sampling_eps_min=torch.tensor(0.3)))
    assert read_public_config(broken).sampling_eps_min == 0.3


def test_commands(trained: Path, corpus: Path, tmp_path: Path) -> None:
    def run(*words: object) -> str:
        result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
        assert result.exit_code == 0, result.stderr
        return result.stdout

    run("export", trained, "--out", tmp_path / "model")
    settings = [f"{key}={value}" for key, value in corpus_settings(corpus).items()]
    run("import", tmp_path / "model", "--out", tmp_path / "run", *settings)
    assert "val_nelbo" in run("evaluate", tmp_path / "run", "evaluation.sequences=16")
    assert "--- sample 0" in run("sample", tmp_path / "run", "--num", 1)


# --- training from one ----------------------------------------------------------------------------
def from_published(corpus: Path, published: Path, **changes: Any) -> TrainConfig:
    return tiny_config(
        corpus, **{"pretrain__from": str(published), "pretrain__steps": 0, "finetune__steps": 10, **changes}
    )


def test_finetuning_starts_from_the_checkpoint(corpus: Path, exported: Path, tmp_path: Path) -> None:
    config = from_published(corpus, exported, finetune__lr=1e-12, finetune__steps=1)
    reports_of(config, tmp_path / "run")
    start = load_file(exported / "model.safetensors")
    after = load_file(tmp_path / "run" / "last.safetensors")
    for name in read_names(after, "ema."):
        torch.testing.assert_close(after[f"model.{name}"], start[f"backbone.{name}"], atol=1e-9, rtol=0)
        torch.testing.assert_close(after[f"ema.{name}"], start[f"backbone.{name}"], atol=1e-9, rtol=0)


def test_a_pretrain_goes_on_from_the_checkpoint(corpus: Path, exported: Path, tmp_path: Path) -> None:
    config = from_published(corpus, exported, pretrain__steps=1, pretrain__lr=1e-12)
    reports_of(config, tmp_path / "run")
    start = load_file(exported / "model.safetensors")
    stage = load_file(tmp_path / "run" / "pretrain" / "last.safetensors")
    name = "blocks.0.mlp.0.weight"
    torch.testing.assert_close(stage[f"ema.{name}"], start[f"backbone.{name}"], atol=1e-9, rtol=0)


def test_closed_and_gone_on_equals_undisturbed(corpus: Path, exported: Path, tmp_path: Path) -> None:
    from trainer.training.train import train

    config = from_published(corpus, exported)
    whole = reports_of(config, tmp_path / "whole")
    running = train(config, tmp_path / "parts", device="cpu")
    next(report for report in running if report is not None)
    running.close()
    assert without_seconds(reports_of(config, tmp_path / "parts")) == without_seconds(whole)
    ends = [load_file(tmp_path / name / "last.safetensors") for name in ("whole", "parts")]
    assert same_tensors(*ends)


def test_it_is_known_by_its_contents(corpus: Path, broken: Path, exported: Path, tmp_path: Path) -> None:
    first, second = from_published(corpus, exported), from_published(corpus, broken)
    assert first.stage_content()["pretrain.from"] == weights_hash(exported)
    assert (first.stage_key(), first.content()) == (second.stage_key(), second.content())
    rewrite(broken, lambda tensors: tensors["backbone.output_layer.linear.bias"].add_(1))
    assert second.stage_key() != first.stage_key()
    assert second.content() != first.content()
    none = tiny_config(corpus)
    assert "pretrain.from" not in none.stage_content()  # so keys are what they were before there was one
    assert none.to_dotted()["pretrain.from"] is None


def test_a_relative_path_is_made_absolute(
    corpus: Path, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exported.parent)
    assert from_published(corpus, Path("model")).to_dotted()["pretrain.from"] == str(exported)


def test_a_checkpoint_that_is_gone_is_a_problem_of_the_field(corpus: Path, tmp_path: Path) -> None:
    config = from_published(corpus, tmp_path / "gone")
    with pytest.raises(InvalidConfig, match=r"^pretrain.from: .*gone: there is no such checkpoint$"):
        config.stage_key()
    words = [f"{key}={'null' if value is None else value}" for key, value in config.to_dotted().items()]
    result = CliRunner().invoke(
        app, ["train", *words, "--out", str(tmp_path / "run")], catch_exceptions=False
    )
    assert (result.exit_code, result.stderr.count("\n")) == (3, 1)


def test_another_network_is_named(corpus: Path, exported: Path, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"vocab_embed.embedding is \[\d+, 16\], this network's is \[\d+, 32\]$"
    ):
        reports_of(from_published(corpus, exported, model__width=32), tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"inv_freq is \[8\], this network's is \[4\]$"):
        reports_of(from_published(corpus, exported, model__heads=2), tmp_path / "b")
    with pytest.raises(CheckpointError, match=r"set data.tokenizer to the one it was trained with$"):
        reports_of(from_published(corpus, exported, data__vocab_size=280), tmp_path / "c")
    with pytest.raises(CheckpointError, match=r"adaLN_modulation.bias is not part of this network$"):
        reports_of(
            from_published(corpus, exported, objective__name="ar", finetune__block_size=1), tmp_path / "d"
        )


# --- mistakes -------------------------------------------------------------------------------------
def cut_off(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def configured(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def without_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json", "special_ids.json"):
        (folder / name).unlink()


MISTAKES: list[tuple[str, Callable[[Path], Any], str]] = [
    (
        "missing",
        lambda f: rewrite(f, lambda t: t.pop("backbone.blocks.0.norm2.weight")),
        "norm2.weight is missing",
    ),
    ("extra", lambda f: rewrite(f, lambda t: t.update(odd=torch.ones(2))), "odd is not part of this network"),
    (
        "shape",
        lambda f: rewrite(f, lambda t: t.update({"backbone.blocks.0.attn_out.weight": torch.ones(16, 8)})),
        r"blocks.0.attn_out.weight is \[16, 8\], this network's is \[16, 16\]",
    ),
    (
        "twice",
        lambda f: rewrite(f, lambda t: t.update({"blocks.0.norm1.weight": torch.ones(16)})),
        "blocks.0.norm1.weight stands in it twice",
    ),
    (
        "integers",
        lambda f: rewrite(f, lambda t: t.update({"backbone.blocks.0.norm1.weight": torch.ones(16).int()})),
        "norm1.weight holds int32",
    ),
    (
        "average",
        lambda f: rewrite(f, lambda t: t.update({"ema.shadow_params.0": torch.ones(2)})),
        "its moving average has 1 tensors, this network 20 parameters",
    ),
    ("cut off", cut_off, "damaged or cut off"),
    ("pickle", pickled, "only safetensors are read.*convert it with"),
    (
        "sharded",
        lambda f: (f / "model.safetensors").rename(f / "model.safetensors.index.json"),
        "does not say which weights are in which file",
    ),
    ("no weights", lambda f: (f / "model.safetensors").unlink(), "there is no model.safetensors in it"),
    (
        "no config",
        lambda f: (f / "config.json").unlink(),
        "config.json: there is none, and it must say block_size",
    ),
    ("config", lambda f: (f / "config.json").write_text("{"), "config.json: Invalid JSON"),
    (
        "value",
        lambda f: configured(f, n_heads="many"),
        "config.json: n_heads: Input should be a valid integer",
    ),
    (
        "vocabulary",
        lambda f: configured(f, vocab_size=7),
        "its vocabulary has 7 words, the mask included, the tokenizer [0-9]+$",
    ),
    ("no tokenizer", without_tokenizer, "there is no tokenizer in it; name one"),
    ("tokenizer", lambda f: (f / "tokenizer.json").write_text("{"), "is damaged"),
]


@pytest.mark.parametrize(("breaks", "sentence"), [m[1:] for m in MISTAKES], ids=[m[0] for m in MISTAKES])
def test_a_mistake_is_a_sentence_and_leaves_nothing(
    breaks: Callable[[Path], Any], sentence: str, broken: Path, corpus: Path, tmp_path: Path
) -> None:
    breaks(broken)
    with pytest.raises((CheckpointError, DataError), match=sentence) as raised:
        import_checkpoint(broken, tmp_path / "out", corpus_settings(corpus))
    assert "\n" not in str(raised.value)
    assert [path.name for path in tmp_path.iterdir()] == ["broken"]


def test_a_run_is_no_checkpoint(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a run; python -m trainer export"):
        import_checkpoint(trained, tmp_path / "out", {})


def test_bpe_cannot_be_the_tokenizer_of_a_checkpoint(exported: Path, corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="bpe is trained anew"):
        import_checkpoint(exported, tmp_path / "out", {**corpus_settings(corpus), "data.tokenizer": "bpe"})


def test_a_corpus_that_brings_its_own_tokenizer_keeps_it(tmp_path: Path) -> None:
    settings = {"data.name": "synthetic"}
    config = TrainConfig.from_dotted(settings)
    tokenizer = config.data.own_tokenizer()
    assert tokenizer is not None
    shape = SHAPE._replace(vocab_size=tokenizer.vocab_size)
    public = PublicConfig(
        block_size=4,
        vocab_size=shape.vocab_size,
        model_length=16,
        hidden_dim=16,
        cond_dim=8,
        n_blocks=2,
        n_heads=2,
    )
    (tmp_path / "model").mkdir()
    save_published(tmp_path / "model", denoiser(shape).state_dict(), public, tokenizer)
    import_checkpoint(tmp_path / "model", tmp_path / "run", settings)
    assert read_config(tmp_path / "run").data == config.data.model_copy(update={"length": 16})


def test_a_sweep_is_told_where_its_checkpoint_is_not() -> None:
    from sweeper.spec.load import read_spec
    from sweeper.spec.yaml_source import InvalidSpec

    text = "name: a\nmetric: val_ppl\ntrainer:\n  pretrain.from: nowhere\n"
    text += "space:\n  finetune.block_size: {choice: [4, 8]}\nsearch: {sampler: grid}\n"
    with pytest.raises(InvalidSpec, match=r"4:3: pretrain.from: nowhere: there is no such checkpoint"):
        read_spec(text, "a.yaml", "a")


def test_nothing_is_written_over(trained: Path, exported: Path, corpus: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(CheckpointError, match="is there already"):
        export_run(trained, tmp_path)
    with pytest.raises(CheckpointError, match="is there already"):
        import_checkpoint(exported, tmp_path / "mine", corpus_settings(corpus))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_another_corpus_tokenizer_is_not_exported(trained: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    path = folder / "best.safetensors"
    facts = checkpoint.read_facts(path)
    tensors = load_file(path)
    checkpoint.save(path, tensors, {**facts, "corpus": {**facts["corpus"], "tokenizer": "another"}})
    with pytest.raises(CheckpointError, match="another tokenizer"):
        export_run(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()
