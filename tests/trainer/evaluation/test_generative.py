"""gen_ppl against its slow version, under a small random GPT-2 and under an AR run; who cannot be a judge."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from tests.reference.generative import entropy_of, nats_of
from tests.trainer.cli.test_trainer_cli import run
from tests.trainer.tiny_runs import reports_of, tiny_config, write_corpus
from trainer.checkpoints.trained import open_trained
from trainer.data.corpus import load
from trainer.data.tokenizer import train_bpe
from trainer.errors import JudgeError, SamplesError
from trainer.evaluation import judges
from trainer.evaluation.generative import judged
from trainer.evaluation.interval import ppl_interval
from trainer.evaluation.judges import open_judge
from trainer.evaluation.lengths import document_lengths, sample_lengths, statistics
from trainer.sampling.generate import Sample
from trainer.sampling.samples_file import SavedSample, read_samples, saved, write_samples

CONTEXT = 16
TEXTS = [
    "masks and blocks.",
    "noise, noise and the noise of a token that goes on and on past the window",
    "x",
]


def save_tokenizer(folder: Path) -> None:
    """Byte-level, without merges, and with GPT-2's one special token."""
    backend = train_bpe(["abc"], 260).backend
    PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|endoftext|>", eos_token="<|endoftext|>"
    ).save_pretrained(folder)


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its weights are large enough for every context to matter."""
    folder = tmp_path_factory.mktemp("judges") / "gpt2"
    torch.manual_seed(0)
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.4}
    GPT2LMHeadModel(GPT2Config(vocab_size=262, n_positions=CONTEXT, **shape)).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="module")
def ar_run(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "ar"
    changes = {"objective__name": "ar", "finetune__block_size": 1, "pretrain__steps": 0}
    reports_of(tiny_config(corpus, finetune__lr=0.01, **changes), folder)
    return folder


def of_text(*texts: str) -> list[SavedSample]:
    return [SavedSample(text=text) for text in texts]


@pytest.mark.parametrize("window", [None, 2, 5, 16])
def test_gen_ppl_equals_the_slow_one(gpt2: Path, window: int | None) -> None:
    """Texts shorter than the judge's context and longer, with documents and a prompt."""
    samples = [
        *of_text(*TEXTS),
        SavedSample(text="", prompt="to be", documents=["gin with", "it", "then more"]),
    ]
    verdict = judged(open_judge(str(gpt2), "cpu"), samples, window)
    model = GPT2LMHeadModel.from_pretrained(gpt2).eval()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(gpt2)
    end = tokenizer.eos_token_id
    read = [[end, *tokenizer(text).input_ids] for text in TEXTS]
    scored = [[False] + [True] * (len(tokens) - 1) for tokens in read]
    read.append([end])
    scored.append([False])
    for text, counts in (("to be", False), ("gin with", True), (None, False), ("it", True), (None, False)):
        ids = [end] if text is None else tokenizer(text).input_ids
        read[-1] += ids
        scored[-1] += [counts] * len(ids)
    last = tokenizer("then more").input_ids
    read[-1] += last
    scored[-1] += [True] * len(last)

    width = window or CONTEXT
    expected = [nats_of(lambda x: model(x).logits, *each, width) for each in zip(read, scored, strict=True)]
    assert verdict.nats_S == pytest.approx(expected, rel=1e-5)
    assert verdict.tokens_S == [sum(each) for each in scored]
    total, tokens = sum(expected), sum(map(sum, scored))
    assert verdict.gen_ppl.ppl == pytest.approx(math.exp(total / tokens), rel=1e-5)
    entropies = [
        entropy_of([t for t, counts in zip(*each, strict=True) if counts])
        for each in zip(read, scored, strict=True)
    ]
    assert verdict.entropy_S == pytest.approx(entropies)
    assert verdict.gen_entropy == pytest.approx(np.mean(entropies))
    assert (verdict.window, verdict.empty) == (width, 0)


def test_the_window_matters_and_batches_do_not(gpt2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = open_judge(str(gpt2), "cpu")
    whole = judged(judge, of_text(*TEXTS)).nats_S
    assert judged(judge, of_text(*TEXTS), 4).nats_S[1] != pytest.approx(whole[1], rel=1e-3)
    monkeypatch.setattr("trainer.evaluation.generative.MAX_LOGITS", 1)
    assert judged(judge, of_text(*TEXTS)).nats_S == pytest.approx(whole)


def test_a_judge_without_bos_and_eos_scores_from_the_second_token_on(gpt2: Path) -> None:
    judge = open_judge(str(gpt2), "cpu")
    judge.start_id = judge.separator_id = None
    two = SavedSample(text="", documents=["xyz", "zyx"])
    verdict = judged(judge, [two, *of_text("xyzzyx", "x")])
    assert verdict.tokens_S == [5, 5]
    assert verdict.nats_S[0] == pytest.approx(verdict.nats_S[1])
    assert verdict.empty == 1  # one token alone has nothing before it


def test_repetition_has_a_low_entropy(gpt2: Path) -> None:
    verdict = judged(open_judge(str(gpt2), "cpu"), of_text("aaaaaaaaaa", "0123456789"))
    assert verdict.entropy_S == pytest.approx([0.0, math.log(10)])


def test_the_interval_takes_samples_as_clusters() -> None:
    nats = [2.0, 4.0, 3.0]
    se = math.sqrt(3 / 2 * 2 * 10**2) / 30  # three samples of 10 tokens, with sums 20, 40, 30
    ppl, low, high = ppl_interval(np.mean(nats), se, 3)
    assert (ppl, low, high) == pytest.approx(
        (math.exp(3), math.exp(3 - 4.302653 * se), math.exp(3 + 4.302653 * se))
    )
    assert ppl_interval(3.0, math.inf, 1) == (math.exp(3), 0.0, math.inf)
    assert ppl_interval(900.0, 1.0, 9).ppl == math.inf


def test_an_ar_run_judges_by_its_own_likelihood(ar_run: Path, corpus: Path) -> None:
    """What it gives a text of its own corpus, alone after BOS, is what the bound gives the same tokens."""
    from trainer.config.stored import read_config

    config = read_config(ar_run)
    trained = open_trained(config, ar_run / "best.safetensors", device="cpu")
    text = corpus.read_text().splitlines()[0][:20]
    ids = trained.corpus.tokenizer.encode_batch([text])[0]
    assert len(ids) < config.data.length
    verdict = judged(open_judge(str(ar_run), "cpu"), of_text(text))
    tokens = torch.tensor([[trained.corpus.tokenizer.bos_id, *ids]])
    expected = config.objective.bound(trained.model, tokens, 1, 1, [0]).sum().item()
    assert verdict.nats_S == pytest.approx([expected], rel=1e-5)
    long = judged(open_judge(str(ar_run), "cpu"), of_text(" ".join(TEXTS)))
    assert long.window == config.data.length == 16
    ran = run("judge", str(write(ar_run.parent, of_text(text, text))), "--judge", str(ar_run))
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith(f"gen_ppl under {ar_run} (autoregressive, trained here, step ")


def write(folder: Path, samples: list[SavedSample]) -> Path:
    write_samples(folder / "samples.jsonl", samples)
    return folder / "samples.jsonl"


def test_the_command_prints_what_the_function_finds(gpt2: Path, tmp_path: Path) -> None:
    path = write(tmp_path, of_text(*TEXTS, ""))
    verdict = judged(open_judge(str(gpt2), "cpu"), of_text(*TEXTS))
    shown = run("judge", str(path), "--judge", str(gpt2), "--device", "cpu")
    assert shown.stdout.startswith(f"gen_ppl under {gpt2}: {verdict.gen_ppl.ppl:.4g}  (95% interval ")
    assert f"gen_entropy: {verdict.gen_entropy:.4g} nats" in shown.stdout
    assert "1 samples without text were left out" in shown.stderr
    document = json.loads(run("judge", str(path), "--judge", str(gpt2), "--json").stdout)
    assert document["gen_ppl"] == pytest.approx(verdict.gen_ppl.ppl)
    assert document["gen_ppl_95"] == pytest.approx(list(verdict.gen_ppl[1:]))
    assert [each["tokens"] for each in document["samples"]] == verdict.tokens_S
    one = run("judge", str(write(tmp_path, of_text("once"))), "--judge", str(gpt2), "--json")
    assert json.loads(one.stdout)["gen_ppl_95"] is None


def without_tokenizer(folder: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=262, n_positions=8, n_embd=8, n_layer=1, n_head=1)).save_pretrained(
        folder
    )


def bert(folder: Path) -> None:
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    BertForMaskedLM(BertConfig(vocab_size=262, **shape)).save_pretrained(folder)
    save_tokenizer(folder)


def t5(folder: Path) -> None:
    shape = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 1}
    T5ForConditionalGeneration(T5Config(vocab_size=262, **shape)).save_pretrained(folder)
    save_tokenizer(folder)


def cut_off(folder: Path) -> None:
    without_tokenizer(folder)
    save_tokenizer(folder)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])


def pickled(folder: Path) -> None:
    without_tokenizer(folder)
    save_tokenizer(folder)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def small_vocabulary(folder: Path) -> None:
    GPT2LMHeadModel(GPT2Config(vocab_size=50, n_positions=8, n_embd=8, n_layer=1, n_head=1)).save_pretrained(
        folder
    )
    save_tokenizer(folder)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (without_tokenizer, "the judge's tokenizer is missing: put its files beside the model"),
        (bert, "not a causal model: its predictions depend on the tokens after them"),
        (t5, "not a causal model that transformers can open (ValueError: Unrecognized configuration class"),
        (cut_off, "not a causal model that transformers can open (SafetensorError: "),
        (pickled, "not a causal model that transformers can open (OSError: "),
        (small_vocabulary, "its tokenizer has words that the model has not: not its own"),
        (lambda folder: folder.mkdir(), "not a causal model that transformers can open (ValueError: "),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_who_cannot_judge_is_a_sentence(made, words: str, tmp_path: Path) -> None:
    made(tmp_path / "judge")
    result = run("judge", str(write(tmp_path, of_text("zebra"))), "--judge", str(tmp_path / "judge"))
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"{tmp_path / 'judge'}: {words}")
    assert len(result.stderr.splitlines()) == 1


def test_a_run_that_is_not_autoregressive_cannot_judge(corpus: Path, tmp_path: Path) -> None:
    reports_of(tiny_config(corpus, pretrain__steps=0, finetune__steps=1, evaluation__test=False), tmp_path)
    result = run("judge", str(write(tmp_path, of_text("zebra"))), "--judge", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr == (
        f"{tmp_path}: trained with objective.name=bd3lm; a judge is autoregressive (ar)\n"
    )


def test_without_a_hub_in_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judges, "hub_answers", lambda: False)
    with pytest.raises(JudgeError, match="no-such-owner/judge: no folder here, and the hub does not answer"):
        open_judge("no-such-owner/judge")


def test_nothing_to_judge(gpt2: Path) -> None:
    judge = open_judge(str(gpt2), "cpu")
    with pytest.raises(JudgeError, match="there is no text in any sample"):
        judged(judge, of_text("", ""))
    with pytest.raises(JudgeError, match="2 tokens at least, not 1"):
        judged(judge, of_text("a"), 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "there is no sample in it"),
        (b'{"text": "a"}\n{"text": "b', ":2: not JSON, or cut off"),
        (b'{"txt": "a"}', ":1: not a sample"),
        (b"[1]", ":1: not a sample"),
        (b'{"text": 3}', ":1: text: Input should be a valid string"),
        (b"\xff\xfe", "not a file of samples"),
    ],
)
def test_what_is_no_file_of_samples(content: bytes, words: str, gpt2: Path, tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").write_bytes(content)
    result = run("judge", str(tmp_path / "samples.jsonl"), "--judge", str(gpt2))
    assert result.returncode == 3
    assert result.stderr.startswith(f"{tmp_path}/samples.jsonl")
    assert words in result.stderr
    assert "no such file" in run("judge", str(tmp_path / "none.jsonl")).stderr


def test_a_sample_is_cut_at_each_eos_and_comes_back_from_disk(ar_run: Path, tmp_path: Path) -> None:
    from trainer.config.stored import read_config

    tokenizer = load(read_config(ar_run).data).tokenizer
    first, second = tokenizer.encode_batch(["masks token", "noise"])
    tokens = [tokenizer.bos_id, *first, tokenizer.eos_id, tokenizer.eos_id, *second, tokenizer.eos_id]
    prompt = tokenizer.decode(first[:1])
    sample = saved(Sample(tokens, [*range(len(tokens))], "eos", 9, 2, 0.5), tokenizer, prompt, 2)
    assert sample.text == "masks token\n\nnoise"
    assert sample.prompt + "".join(sample.documents or []) == "masks tokennoise"
    assert "".join(sample.words or []) == "<bos>masks token<eos><eos>noise<eos>"
    write_samples(tmp_path / "a.jsonl", [sample, sample])
    assert read_samples(tmp_path / "a.jsonl") == [sample, sample]
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_lengths_are_counted_in_tokens_of_text(ar_run: Path, corpus: Path) -> None:
    from trainer.config.stored import read_config

    packed = load(read_config(ar_run).data)
    tokenizer = packed.tokenizer
    found = document_lengths(packed.train, tokenizer)
    # From the packed rows themselves: what stands between two EOS, but for the cut-off end.
    stream = packed.train.tokens_SL[:, 1:].ravel().tolist()
    pieces: list[list[int]] = [[]]
    for token in stream:
        if token == tokenizer.eos_id:
            pieces.append([])
        else:
            pieces[-1].append(token)
    assert found.tolist() == [len(piece) for piece in pieces[:-1]]
    assert {len(ids) for ids in tokenizer.encode_batch(corpus.read_text().splitlines())} >= set(
        found.tolist()
    )

    bos, eos = tokenizer.bos_id, tokenizer.eos_id
    samples = [SavedSample(text="", tokens=[bos, *[1] * count, eos]) for count in (1, 2, 3, 10)]
    assert statistics(sample_lengths(samples, tokenizer)) == {
        "count": 4,
        "min": 1.0,
        "q1": 1.75,
        "median": 2.5,
        "q3": 4.75,
        "max": 10.0,
        "mean": 4.0,
    }
    with pytest.raises(SamplesError, match="sample 1 has no `tokens`, only a text"):
        sample_lengths(of_text("a"), tokenizer)
