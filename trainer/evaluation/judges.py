"""The judges of generated text: any causal model of transformers, or an AR run that was trained here.

Shapes: B windows, W tokens of a window, V vocabulary.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from trainer.checkpoints.trained import open_trained
from trainer.config.stored import read_config
from trainer.config.train_config import TrainConfig
from trainer.data.online import hub_answers
from trainer.errors import JudgeError, lacks
from trainer.evaluation.generative import FIELDS_WINDOW, Judge
from trainer.network.attention import block_causal
from trainer.network.hardware import pick_device
from trainer.network.model import evaluating

PROBE = "The judge reads this."


def open_judge(name: str, device: str = "auto") -> Judge:
    """A name on the hub, a folder of transformers, or a run's folder.

    Raises JudgeError, and for a run CheckpointError or DataError.
    """
    folder = Path(name).expanduser()
    return TrainedJudge(folder, device) if _is_run(folder) else TransformersJudge(name, device)


def check_judge(name: str) -> None:
    """That there is one, as far as small files tell: no weights are read. Raises as open_judge does."""
    folder = Path(name).expanduser()
    if _is_run(folder):
        _config_of(folder)
        return
    path, found, here = _place(name)
    _config(path, found, here)
    _tokenizer(path, found)


def _is_run(folder: Path) -> bool:
    return any((folder / f"{each}.safetensors").is_file() for each in ("best", "last"))


def _config_of(run: Path) -> TrainConfig:
    config = read_config(run)
    if config.objective.noisy:
        kind = config.objective.name
        raise JudgeError(f"{run}: trained with objective.name={kind}; a judge is autoregressive (ar)")
    return config


class TrainedJudge(Judge):
    """The best checkpoint of an AR run, its moving average. Its number compares with no other judge's."""

    def __init__(self, folder: Path, device: str):
        config = _config_of(folder)
        self._model, corpus, _, step = open_trained(config, folder / "best.safetensors", device=device)
        self._tokenizer = corpus.tokenizer
        self.label = f"{folder} (autoregressive, trained here, step {step})"
        self.context = self._model.shape.length
        self.vocab_size = self._model.shape.vocab_size
        self.start_id, self.separator_id = corpus.tokenizer.bos_id, corpus.tokenizer.eos_id

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode_batch([text])[0]

    def nats(self, tokens_BW: Tensor) -> Tensor:
        tokens_BW = tokens_BW.to(next(self._model.parameters()).device)
        with evaluating(self._model):
            hidden = self._model.hidden(tokens_BW[:, :-1], block_causal(tokens_BW.shape[1] - 1, block_size=1))
            return _nats(self._model.logits(hidden), tokens_BW)


class TransformersJudge(Judge):
    """In float32, from safetensors alone; no code of a repository is run."""

    def __init__(self, name: str, device: str):
        path, found, here = _place(name)
        self._model, config = _model(path, pick_device(device), found, here)
        self._tokenizer = _tokenizer(path, found)
        self.label = name
        positions = config.get("max_position_embeddings") or config.get("n_positions")
        self.context = int(positions or FIELDS_WINDOW)
        bos, self.separator_id = self._tokenizer.bos_token_id, self._tokenizer.eos_token_id
        self.start_id = self.separator_id if bos is None else bos
        logits_2WV = self._probe()
        self.vocab_size = logits_2WV.shape[-1]
        ahead = (logits_2WV[0] - logits_2WV[1]).abs().max() > 1e-5 * logits_2WV.abs().max()
        if ahead:  # transformers opens BERT as a causal model too
            raise JudgeError(f"{name}: not a causal model: its predictions depend on the tokens after them")

    def encode(self, text: str) -> list[int]:
        # A '<|endoftext|>' that was generated letter by letter is text.
        return self._tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids

    def nats(self, tokens_BW: Tensor) -> Tensor:
        tokens_BW = tokens_BW.to(self._model.device)
        with torch.no_grad():
            return _nats(self._model(input_ids=tokens_BW[:, :-1]).logits, tokens_BW)

    def _probe(self) -> Tensor:
        """logits_2WV of the same tokens twice, after which another stands in the second row."""
        tokens_2W = torch.tensor([[0, 1, 2, 3], [0, 1, 2, 0]], device=self._model.device)
        with torch.no_grad():
            return self._model(input_ids=tokens_2W).logits[:, :-1]


def _nats(logits_BWV: Tensor, tokens_BW: Tensor) -> Tensor:
    targets_BW = tokens_BW[:, 1:]
    nats = F.cross_entropy(logits_BWV.float().flatten(0, 1), targets_BW.flatten(), reduction="none")
    return nats.view_as(targets_BW).double()


def _place(name: str) -> tuple[str, dict[str, bool], bool]:
    """Where transformers is to look, how, and whether that is a folder here."""
    if find_spec("transformers") is None:
        raise JudgeError(lacks(f"the judge {name}", "transformers", "judge"))
    here = Path(name).expanduser().is_dir()
    path = str(Path(name).expanduser()) if here else name
    # Asked first: offline, only what was downloaded before is looked for.
    return path, {"local_files_only": here or not hub_answers(), "trust_remote_code": False}, here


def _config(path: str, found: dict[str, bool], here: bool) -> None:
    import transformers

    try:
        transformers.AutoConfig.from_pretrained(path, **found)
    except Exception as error:
        raise _unopened(path, found, here, error) from None


def _model(path: str, device: torch.device, found: dict[str, bool], here: bool) -> tuple[Any, dict[str, Any]]:
    import transformers

    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    try:
        opened: Any = transformers.AutoModelForCausalLM.from_pretrained(
            path, dtype=torch.float32, use_safetensors=True, output_loading_info=True, **found
        )
        model, loaded = opened
    except Exception as error:
        raise _unopened(path, found, here, error) from None
    if missing := sorted(loaded["missing_keys"]):
        raise JudgeError(f"{path}: its weights lack {missing[0]} ({len(missing)} in all)")
    return model.to(device).eval(), model.config.to_dict()


def _unopened(path: str, found: dict[str, bool], here: bool, error: Exception) -> JudgeError:
    if isinstance(error, OSError) and found["local_files_only"] and not here:
        return JudgeError(
            f"{path}: no folder here, and the hub does not answer: name a folder with a causal model "
            "and its tokenizer, or a run that was trained with objective.name=ar"
        )
    return JudgeError(f"{path}: not a causal model that transformers can open ({_line(error)})")


def _tokenizer(path: str, found: dict[str, bool]) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path, **found)
        reads = bool(tokenizer(PROBE, add_special_tokens=False).input_ids)
    except Exception as error:
        raise JudgeError(f"{path}: the judge's tokenizer cannot be opened ({_line(error)})") from None
    if not reads:  # without its files transformers makes an empty one
        raise JudgeError(f"{path}: the judge's tokenizer is missing: put its files beside the model")
    return tokenizer


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0].rstrip('.')[:200]}"
