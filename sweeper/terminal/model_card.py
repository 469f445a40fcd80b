"""What does a model that is given away say of itself? A README.md as the hub's model cards are."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from sweeper.results.leaderboard import Board, best_run, first_row
from sweeper.results.repro import as_yaml, not_default
from sweeper.spec.load import as_typed
from sweeper.store.queries import Reader
from sweeper.store.records import SweepRecord, TrialRecord
from sweeper.terminal.again import again
from sweeper.terminal.console import number, perplexity, shown
from sweeper.words import times
from trainer.config.problems import InvalidConfig
from trainer.metrics import BY_NAME

TASKS = {"ar": "text-generation"}  # of the others: fill-mask

QUALITY = re.compile(r"(val|test|ranked)_(nelbo|ppl|bpb)")

_LOADING = """
import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER", trust_remote_code=True)
model = AutoModelForMaskedLM.from_pretrained("FOLDER", trust_remote_code=True).eval()
text = tokenizer.bos_token + "some text"  # a text begins with BOS
ids = tokenizer(text, return_tensors="pt").input_ids
"""
_ASKED = {
    "ar": "logits = model(ids).logits  # row i predicts token i + 1",
    "sedd": "logits = model(ids, sigma=torch.tensor([0.7])).logits  # -log(1 - share that is masked)",
}
_ADAPTED = """
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained("FOLDER")
model = AutoModelForCausalLM.from_pretrained("FOLDER").eval()
ids = tokenizer("some text", return_tensors="pt").input_ids
logits = model(ids).logits  # row i predicts token i + 1; the mask's column is not asked
"""
_GOES_ON = (
    "With transformers' own class, which reads left to right and knows no blocks. Under the masks of blocks "
    "row i - 1 predicts token i, masked or not; the first of a block is predicted by the clean row before. "
    "To go on from it: `pretrain.from=FOLDER data.tokenizer=FOLDER`, its mask's row included."
)
_OTHERS = "logits = model(ids).logits  # of each token; what stands at a masked one is predicted"
_DRAWN = "drawn = model.draw(ids, length=model.config.model_length)\nprint(tokenizer.decode(drawn[0]))"


class Chosen(NamedTuple):
    """A trial to be given away, and why that one."""

    trial: TrialRecord
    why: str  # a sentence
    settled: bool  # it is what the board's answer takes, and that is settled


def winner(reader: Reader, board: Board) -> Chosen | None:
    """The best-scored run of the row that the answer takes; None: nothing is ranked."""
    row = first_row(board)
    trial = None if row is None else best_run(reader, board, row)
    if trial is None:
        return None
    first, *others = board.answers
    why = f"Trial {trial.called} is the best-scored run of the row that the board's answer takes."
    if others:
        why = f"{why[:-1]}, the first of its {len(board.answers)} answers."
    if not first.settled:
        why += " Nothing is settled yet: what the board says of it stands in the answer."
    return Chosen(trial, why, first.settled)


def named(reader: Reader, board: Board, trial: TrialRecord) -> Chosen:
    """A trial that somebody asked for."""
    best = winner(reader, board)
    if best is not None and best.trial.id == trial.id:
        return best
    takes = "the board ranks nothing" if best is None else f"the answer leads to trial {best.trial.called}"
    return Chosen(trial, f"Trial {trial.called} was asked for by its number; {takes}.", False)


def card(
    reader: Reader, sweep: SweepRecord, board: Board, chosen: Chosen, checkpoint: str, adapted: str | None
) -> str:
    """checkpoint: 'best' or 'last', whose moving average the weights are. adapted: the model_type of the
    causal model of transformers that it went on from, if it did."""
    trial = chosen.trial
    values = reader.configurations(sweep.id)[trial.configuration]
    objective, average = values["objective.name"], values.get("optimizer.ema")
    tags = dict.fromkeys(["bd3lm", objective, "language-model"])
    task = TASKS["ar"] if adapted else TASKS.get(objective, "fill-mask")
    front = f"library_name: transformers\npipeline_tag: {task}\ntags: [{', '.join(tags)}]"
    came = f", adapted from a {adapted}" if adapted else ""
    about = (
        f"{_kind(values)}{came}, of the sweep {_code(sweep.name)} ({trial.role}, seed {trial.seed}). "
        f"{chosen.why} "
        f"The weights are the moving average (decay {average}) of its {checkpoint} checkpoint: evaluations "
        "are of that, never of the weights as they are trained."
    )
    made = again(reader, sweep, trial, f"Trial {trial.called}")
    parts = [
        f"---\n{front}\n---",
        f"# {_plain(sweep.name)}, trial {trial.called}\n{about}",
        "## The answer\n" + "\n\n".join(_quoted(line) for line in board.said),
        "## Its numbers\n" + _numbers(reader, sweep, board, trial),
        "## To load it\n" + (_going_on() if adapted else _loading(objective)),
        "## Its settings\nThose that are not a default.\n" + _fenced(_settings(values, trial), "yaml"),
        "## To make it again\n" + "\n\n".join(f"{what}:\n{_fenced(line, 'sh')}" for what, line in made),
        f"Code that ran it: {_code(sweep.code_version)}.",
        "## The specification\n" + _fenced(as_typed(sweep.spec_text)[1], "yaml"),
    ]
    return "\n\n".join(parts) + "\n"


def _loading(objective: str) -> str:
    """The code is in the folder. SEDD is not drawn from there."""
    asked = _ASKED.get(objective, _OTHERS)
    lines = [_LOADING.strip(), asked, *([] if objective == "sedd" else [_DRAWN])]
    said = "With torch and transformers alone; FOLDER is where this file is. Its code is in it, and is run."
    return f"{said}\n" + _fenced("\n".join(lines), "python")


def _going_on() -> str:
    return f"{_GOES_ON}\n" + _fenced(_ADAPTED.strip(), "python")


def _kind(values: Mapping[str, Any]) -> str:
    """'A block diffusion language model (bd3lm) with blocks of 16 tokens'."""
    blocks = f"with blocks of {values.get('finetune.block_size')} tokens"
    return {
        "ar": "An autoregressive language model",
        "sedd": "A score entropy diffusion language model (SEDD)",
        "mdlm": "A masked diffusion language model (MDLM)",
    }.get(
        values["objective.name"],
        f"A block diffusion language model (BD3-LM) {blocks}",
    )


def _numbers(reader: Reader, sweep: SweepRecord, board: Board, trial: TrialRecord) -> str:
    """The run's own, with what they are of; and its row's on the board."""
    parts = []
    latest = {row.name: row for row in reader.latest(sweep.id) if row.trial == trial.id}
    rows = [
        (
            BY_NAME[row.name].label,
            f"{number(row.best)} {BY_NAME[row.name].unit}".strip(),
            f"{row.best_step:,}",
        )
        for row in (latest[name] for name in BY_NAME if name in latest and QUALITY.fullmatch(name))
    ]
    if rows:
        parts.append(_table(("of this run", "best", "at step"), rows))
    row = next((row for row in board.rows if row.configuration == trial.configuration), None)
    if row is not None and row.rank is not None:
        at, ppl = board.rows.index(row) + 1, row.confirmed_ppl or row.val_ppl
        runs = f"{row.confirmed_seeds} on fresh seeds" if row.confirmed_seeds else f"{row.seeds}"
        parts.append(
            f"Its configuration is row {at} of the board: val_ppl {perplexity(ppl)}; runs that count: {runs}."
        )
    each = next((e for e in reader.evaluations(sweep.id, "valid") if e.trial == trial.id), None)
    if each is not None:
        bound, low, high = (perplexity(times(each.nelbo + z * each.se)) for z in (0, -1.96, 1.96))
        parts += [
            f"The bound on the valid split at step {each.step:,}: {number(each.nelbo)} nats per token, so "
            f"perplexity at most {bound} [{low}, {high}] (95%, over text and masks alone). "
            "It compares only to numbers whose identity is equal; then how it was estimated.",
            _table(("identity", ""), [(key, shown(value)) for key, value in each.identity.items()]),
            _table(("provenance", ""), [(key, shown(value)) for key, value in each.provenance.items()]),
        ]
    return "\n\n".join(parts) or "It was never evaluated."


def _settings(values: Mapping[str, Any], trial: TrialRecord) -> str:
    mine = {**values, "seed": trial.seed}
    with suppress(InvalidConfig):  # of another version: all of them
        mine = not_default(mine)
    return "\n".join(f"{key}: {as_yaml(value)}" for key, value in mine.items())


def _table(titles: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [titles, tuple("---" for _ in titles), *(tuple(map(_plain, row)) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """As text, in one line: nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", " ".join(text.split()))


def _quoted(text: str) -> str:
    return f"> {_plain(text)}"


def _code(text: str) -> str:
    """In a line, whatever backticks it holds."""
    fence = _longer_than_in(text, 1)
    return f"{fence}{text}{fence}" if fence == "`" else f"{fence} {text} {fence}"


def _fenced(text: str, kind: str) -> str:
    fence = _longer_than_in(text, 3)
    return f"{fence}{kind}\n{text.rstrip()}\n{fence}"


def _longer_than_in(text: str, least: int) -> str:
    return "`" * max(least, 1 + max(map(len, re.findall("`+", text)), default=0))
