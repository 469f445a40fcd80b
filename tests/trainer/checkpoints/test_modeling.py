"""The code that goes out with a network: it gives our logits, and needs nothing of this project."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.trainer.networks import randomised
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.checkpoints.exchange import EXPORTED, export_run
from trainer.checkpoints.interchange import CODE
from trainer.checkpoints.trained import open_trained
from trainer.config.stored import read_config
from trainer.errors import CheckpointError
from trainer.network.attention import block_causal, noised
from trainer.network.dit import DiT
from trainer.network.model import Denoiser, Shape, evaluating

V, L = 40, 16
SHAPE = Shape(width=16, layers=2, heads=2, cond_width=8, length=L, vocab_size=V, mask_id=7)
KINDS = ("bd3lm", "mdlm", "sedd", "ar")


def passes(model: Denoiser, kind: str, block_size: int, x0_BL: torch.Tensor) -> dict[str, Any]:
    """What the network is asked, by the names of the exported one's arguments, and our logits_BLV."""
    mask_BL = torch.rand(x0_BL.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    mask_BL[:, 0] = False
    xt_BL = torch.where(mask_BL, model.shape.mask_id, x0_BL)
    sigma_B = torch.linspace(0.2, 2.0, len(x0_BL))
    length = x0_BL.shape[1]
    with evaluating(model):
        if kind == "ar":
            return {
                "input_ids": x0_BL,
                "expected": model.logits(model.hidden(x0_BL, block_causal(length, 1))),
            }
        if kind == "sedd":
            hidden = model.hidden(xt_BL, noised(length, length), None, sigma_B)
            return {"input_ids": xt_BL, "sigma": sigma_B, "expected": model.logits(hidden, sigma_B[:, None])}
        both = torch.cat([xt_BL, x0_BL[:, : length - block_size]], dim=1)
        expected = model.logits(model.hidden(both, noised(length, block_size)))
        asked = {"input_ids": xt_BL, "expected": expected}
        return {**asked, "clean_ids": x0_BL} if kind == "bd3lm" else asked


def exported_class(kind: str, block_size: int, **changes: Any) -> Any:
    """A fresh one of the exported code's."""
    from trainer.checkpoints.configuration_bd3lm import BD3LMConfig
    from trainer.checkpoints.modeling_bd3lm import BD3LM

    settings = {
        "block_size": block_size,
        "vocab_size": SHAPE.vocab_size,
        "model_length": SHAPE.length,
        "hidden_dim": SHAPE.width,
        "cond_dim": SHAPE.cond_width,
        "n_blocks": SHAPE.layers,
        "n_heads": SHAPE.heads,
        "causal": kind == "ar",
        "adaln": kind != "ar",
        "cross_attn": kind == "bd3lm",
        "var_min": kind == "bd3lm",
        "time_conditioning": kind == "sedd",
        "mask_token_id": SHAPE.mask_id,
        **changes,
    }
    return BD3LM(BD3LMConfig(**settings)).eval()


def of_ours(kind: str, block_size: int = 4) -> tuple[Denoiser, Any]:
    """Ours with random weights, and the exported code with the same."""
    ours = randomised(DiT(SHAPE, causal=kind == "ar", dropout=0.0))
    theirs = exported_class(kind, block_size)
    theirs.backbone.load_state_dict(ours.state_dict())  # strict: the same names and shapes
    return ours, theirs


def tokens(batch: int = 3, length: int = L) -> torch.Tensor:
    """Without the mask."""
    ids = torch.randint(0, V - 1, (batch, length), generator=torch.Generator().manual_seed(0))
    return ids + (ids >= SHAPE.mask_id)


# --- its logits -----------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_ours(kind: str) -> None:
    ours, theirs = of_ours(kind)
    asked = passes(ours, kind, 4 if kind == "bd3lm" else L, tokens())
    expected = asked.pop("expected")
    with torch.no_grad():
        found = theirs(**asked).logits
    words = torch.arange(V) != SHAPE.mask_id
    assert expected[..., words].std() > 0.1  # not those of a fresh network, which are all equal
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


def test_a_block_after_a_finished_text_is_predicted_as_among_clean_tokens() -> None:
    """Without clean_ids, where the earlier blocks hold no mask."""
    ours, theirs = of_ours("bd3lm")
    x0_BL = tokens()
    xt_BL = x0_BL.clone()
    xt_BL[:, -4:] = SHAPE.mask_id
    with torch.no_grad():
        both, alone = theirs(xt_BL, clean_ids=x0_BL).logits, theirs(xt_BL).logits
    torch.testing.assert_close(both[:, -4:], alone[:, -4:], atol=1e-5, rtol=0)
    expected = ours.logits(ours.hidden(xt_BL, block_causal(L, 4)))
    torch.testing.assert_close(alone, expected.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str) -> None:
    _, theirs = of_ours(kind)
    x0_BL = tokens()
    padded, mask = torch.cat([x0_BL, x0_BL[:, :4]], dim=1), torch.ones(3, L + 4, dtype=torch.long)
    mask[:, L:] = 0
    more = {"sigma": torch.ones(3)} if kind == "sedd" else {}
    with torch.no_grad():
        found = theirs(padded, attention_mask=mask, **more).logits
        expected = theirs(x0_BL, **more).logits
    torch.testing.assert_close(found[:, :L], expected, atol=1e-5, rtol=0)
    words = torch.arange(V) != SHAPE.mask_id
    assert found[..., words].isfinite().all()


@pytest.mark.parametrize("kind", ["bd3lm", "ar"])
def test_the_loss_is_the_mean_over_labels(kind: str) -> None:
    _, theirs = of_ours(kind)
    x0_BL = tokens()
    labels = torch.where(torch.arange(L) % 3 == 0, x0_BL, -100)
    found = theirs(x0_BL, labels=labels)
    log_p = found.logits.detach().log_softmax(-1)
    ahead = int(kind == "ar")
    nats = [-float(log_p[b, i - ahead, x0_BL[b, i]]) for b in range(3) for i in range(ahead, L) if i % 3 == 0]
    assert found.loss.item() == pytest.approx(sum(nats) / len(nats), rel=1e-5)
    found.loss.backward()


def test_in_half_precision_it_stays_close() -> None:
    """Places and noise are not blurred."""
    _, theirs = of_ours("bd3lm")
    x0_BL = tokens()
    with torch.no_grad():
        whole = theirs(x0_BL).logits.softmax(-1)
        half = theirs.bfloat16()(x0_BL).logits.float().softmax(-1)
    torch.testing.assert_close(half, whole, atol=0.05, rtol=0.2)


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(ValueError, match=r"^sigma: "):
        exported_class("sedd", L)(tokens())
    with pytest.raises(ValueError, match=r"^clean_ids: "):
        exported_class("mdlm", L)(tokens(), clean_ids=tokens())
    with pytest.raises(ValueError, match="told its noise"):
        exported_class("sedd", L).draw(tokens(length=1), L)
    with pytest.raises(ValueError, match=r"length <= 16, not 1 and 17$"):
        exported_class("bd3lm", 4).draw(tokens(length=1), L + 1)


# --- what it draws --------------------------------------------------------------------------------
@pytest.mark.parametrize("kind", ["bd3lm", "mdlm", "ar"])
@pytest.mark.parametrize("prompt", [1, 6])
def test_a_drawn_text_keeps_its_prompt_and_has_no_mask(kind: str, prompt: int) -> None:
    _, theirs = of_ours(kind)
    given = tokens(length=prompt)
    first, again = (theirs.draw(given, L, torch.Generator().manual_seed(3)) for _ in range(2))
    assert first.shape == (3, L)
    assert torch.equal(first[:, :prompt], given)
    assert (first != SHAPE.mask_id).all()
    assert torch.equal(first, again)


@pytest.mark.parametrize("kind", ["bd3lm", "mdlm", "ar"])
def test_it_draws_as_often_as_the_network_says(kind: str) -> None:
    """Texts of two tokens after BOS, all 4 of them: their frequencies against the product of the chances."""
    theirs = exported_class(kind, 3, vocab_size=4, model_length=3, mask_token_id=3)
    randomised(theirs)
    count = 4000
    bos = torch.full((1, 1), 2)
    drawn = theirs.draw(bos.expand(count, 1), 3, torch.Generator().manual_seed(0))
    for a in range(3):
        for b in range(3):
            share = float(((drawn[:, 1] == a) & (drawn[:, 2] == b)).double().mean())
            chance = chance_of(theirs, kind, a, b)
            assert abs(share - chance) < 5 * (chance * (1 - chance) / count) ** 0.5


@torch.no_grad()
def chance_of(theirs: Any, kind: str, a: int, b: int) -> float:
    def p(text: list[int], place: int, word: int) -> float:
        row = place - 1 if kind == "ar" else place
        return float(theirs(torch.tensor([text])).logits[0, row].softmax(-1)[word])

    if kind == "ar":
        return p([2], 1, a) * p([2, a], 2, b)
    one_first = p([2, 3, 3], 1, a) * p([2, a, 3], 2, b)
    two_first = p([2, 3, 3], 2, b) * p([2, 3, b], 1, a)
    return (one_first + two_first) / 2


# --- a folder -------------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of each kind a run that was trained."""
    folder = tmp_path_factory.mktemp("runs")
    corpus = write_corpus(folder)
    for kind in KINDS:
        block_size = {"bd3lm": 4, "ar": 1}.get(kind, 16)
        how = {"finetune__steps": 40, "finetune__lr": 0.01, "finetune__block_size": block_size}
        config = tiny_config(corpus, objective__name=kind, pretrain__steps=0, **how)
        reports_of(config, folder / kind)
    return folder


def test_it_takes_only_the_place_of_an_exported_one(runs: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "model", runs / "bd3lm"
    export_run(run, out, beside={"README.md": "# One\n"})
    assert {each.name for each in out.iterdir()} <= {*EXPORTED}
    assert all((out / name).is_file() for name in CODE)
    with pytest.raises(CheckpointError, match="is there already"):
        export_run(run, out)
    assert (out / "README.md").read_text() == "# One\n"
    export_run(run, out, beside={"README.md": "# Two\n"}, replace=True)
    assert (out / "README.md").read_text() == "# Two\n"
    (out / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"notes\.txt is no part of an exported model"):
        export_run(run, out, replace=True)
    assert (out / "README.md").read_text() == "# Two\n"
    assert os.listdir(tmp_path) == ["model"]


def test_an_error_leaves_what_was_there(runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "model"
    export_run(runs / "bd3lm", out, beside={"README.md": "# One\n"})

    def full(temporary: Path, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("trainer.checkpoints.exchange.replace_durably", full)
    with pytest.raises(CheckpointError, match="cannot be written"):
        export_run(runs / "bd3lm", out, replace=True)
    assert (out / "README.md").read_text() == "# One\n"
    assert os.listdir(tmp_path) == ["model"]


ALONE = """
import sys
sys.modules.update(trainer=None, sweeper=None)  # importing them is an error
import json
from pathlib import Path
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer

found = {}
for folder in map(Path, sys.argv[1:]):
    # Where nobody says, transformers asks whether the model's code may be run; here nobody answers.
    asking = AutoTokenizer.from_pretrained(str(folder))
    tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    assert asking.get_vocab() == tokenizer.get_vocab()
    model = AutoModelForMaskedLM.from_pretrained(str(folder), trust_remote_code=True).eval()
    config = AutoConfig.from_pretrained(str(folder), trust_remote_code=True)
    asked = load_file(folder.with_suffix(".asked"))
    expected = asked.pop("expected")
    with torch.no_grad():
        logits = model(**asked).logits
    words = torch.arange(logits.shape[-1]) != tokenizer.mask_token_id
    text = tokenizer("masked blocks", return_tensors="pt")
    told = {"sigma": torch.ones(1)} if config.time_conditioning else {}
    loss = model(**text, labels=text["input_ids"], **told).loss
    drawn = None
    if not config.time_conditioning:
        bos = torch.tensor([[tokenizer.bos_token_id]])
        drawn = tokenizer.decode(model.draw(bos, config.model_length)[0], skip_special_tokens=True)
    found[folder.name] = {
        "off": float((logits - expected)[..., words].abs().max()),
        "mask": bool((logits[..., tokenizer.mask_token_id] == -torch.inf).all()),
        "ids": text["input_ids"][0].tolist(),
        "special": [tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.mask_token_id],
        "loss": float(loss),
        "drawn": drawn,
        "trained": not model.training,
    }
Path("found.json").write_text(json.dumps(found))
"""


@pytest.mark.long
def test_transformers_opens_it_where_nothing_of_ours_is(runs: Path, tmp_path: Path) -> None:
    expected = {}
    for kind in KINDS:
        export_run(runs / kind, tmp_path / kind)
        config = read_config(runs / kind)
        trained = open_trained(config, runs / kind / "best.safetensors", device="cpu")
        x0_BL = torch.from_numpy(trained.corpus.valid.tokens_SL[:4].astype("int64"))
        asked = passes(trained.model, kind, trained.block_size, x0_BL)
        save_file({name: each.contiguous() for name, each in asked.items()}, tmp_path / f"{kind}.asked")
        words = trained.corpus.tokenizer
        expected[kind] = words.encode_batch(["masked blocks"])[0], [words.bos_id, words.eos_id, words.mask_id]
        stored = load_file(tmp_path / kind / "model.safetensors")
        best = load_file(runs / kind / "best.safetensors")
        weights = "output_layer.linear.weight"
        assert torch.equal(stored[f"backbone.{weights}"], best[f"ema.{weights}"])  # what is evaluated
        assert not torch.equal(best[f"ema.{weights}"], best[f"model.{weights}"])
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-c", ALONE, *(str(tmp_path / kind) for kind in KINDS)],
        capture_output=True, stdin=subprocess.DEVNULL, text=True, cwd=tmp_path, env=environment, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "found.json").read_text())
    for kind in KINDS:
        said = found[kind]
        assert said["off"] < 1e-5
        assert said["mask"]
        assert (said["ids"], said["special"]) == expected[kind]
        assert 0 < said["loss"] < 20
        assert kind == "sedd" or said["drawn"]
