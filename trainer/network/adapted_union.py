"""Every causal model that can go on as a denoiser. A new one is one file and one line here."""

from trainer.network.adapted import Adapted
from trainer.network.gpt2 import Gpt2
from trainer.network.llama import Llama
from trainer.network.model import Shape
from trainer.settings.causal_lm import Gpt2Config, LlamaLike


def adapted(shape: Shape, *, causal: bool, dropout: float) -> Adapted:
    """Of shape.source, freshly drawn."""
    match shape.source:
        case Gpt2Config() as source:
            return Gpt2(shape, source, causal=causal, dropout=dropout)
        case LlamaLike() as source:
            return Llama(shape, source, causal=causal, dropout=dropout)
    raise AssertionError(f"no network for {shape.source}")
