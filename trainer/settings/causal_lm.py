"""What config.json says of a causal language model of transformers: of those that a run can go on from.

Keys are transformers' own, under which they stand in the file and in a run's checkpoints; what they come to
has the house's words, as properties. Of the others only those are looked at that would make it another
network. A new architecture is one class, its place in the union at the foot, and a network for it
(trainer/network/adapted_union.py). No torch.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator

from trainer.values import Settings


class CausalLM(Settings):
    """Abstract. A subclass is final and carries a Literal `model_type`."""

    model_config = ConfigDict(extra="ignore")

    # transformers' class, and what stands before the names of its weights but the head's.
    architecture: ClassVar[str]
    prefix: ClassVar[str] = "model."

    model_type: str
    vocab_size: int = Field(ge=1, description="Rows of the embedding; more than words where it is padded.")
    tie_word_embeddings: bool = Field(description="The head is the embedding.")

    @property
    @abstractmethod
    def width(self) -> int:
        """D."""

    @property
    @abstractmethod
    def layers(self) -> int: ...

    @property
    @abstractmethod
    def heads(self) -> int: ...

    @property
    def most_positions(self) -> int | None:
        """Tokens of a text at most, where positions are learned; None: no limit."""
        return None

    def shape(self) -> dict[str, int]:
        """By the names of `model.*`."""
        return {"width": self.width, "layers": self.layers, "heads": self.heads}

    def problem(self) -> str | None:
        """What sizes contradict each other."""
        if self.width % self.heads:
            return f"{self.heads} heads do not divide a width of {self.width}"
        return None


class Gpt2Config(CausalLM):
    """GPT-2 (Radford et al. 2019): learned positions, LayerNorm, GELU, biases everywhere but in the head."""

    architecture: ClassVar[str] = "GPT2LMHeadModel"
    prefix: ClassVar[str] = "transformer."

    model_type: Literal["gpt2"] = "gpt2"
    n_embd: int = Field(ge=1)
    n_layer: int = Field(ge=1)
    n_head: int = Field(ge=1)
    n_positions: int = Field(ge=2)
    n_inner: int | None = Field(None, ge=1, description="Of the MLP. Default: 4 * n_embd.")
    layer_norm_epsilon: float = Field(1e-5, gt=0)
    tie_word_embeddings: bool = True
    activation_function: Literal["gelu_new", "gelu_pytorch_tanh"] = "gelu_new"
    scale_attn_weights: Literal[True] = True
    scale_attn_by_inverse_layer_idx: Literal[False] = False
    add_cross_attention: Literal[False] = False

    @property
    def width(self) -> int:
        return self.n_embd

    @property
    def layers(self) -> int:
        return self.n_layer

    @property
    def heads(self) -> int:
        return self.n_head

    @property
    def inner(self) -> int:
        return self.n_inner or 4 * self.n_embd

    @property
    def most_positions(self) -> int:
        return self.n_positions


class Llama3Rope(Settings):
    """Llama 3.1's stretched angles (arXiv 2407.21783): slow ones are slower, for longer texts."""

    model_config = ConfigDict(extra="ignore")

    rope_type: Literal["llama3"] = "llama3"
    factor: float = Field(ge=1, description="By what slow angles are divided.")
    low_freq_factor: float = Field(gt=0, description="Slow: fewer turns than this in the original length.")
    high_freq_factor: float = Field(gt=0, description="Fast, and as they were: more turns than this.")
    original_max_position_embeddings: int = Field(ge=1, description="The original length, tokens.")


class LlamaLike(CausalLM):
    """Abstract: rotary positions, RMSNorm, SwiGLU, grouped-query attention."""

    hidden_size: int = Field(ge=1)
    intermediate_size: int = Field(ge=1, description="Of the MLP.")
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int | None = Field(None, ge=1, description="Default: num_attention_heads.")
    head_dim: int | None = Field(None, ge=2, description="Default: hidden_size / num_attention_heads.")
    rms_norm_eps: float = Field(1e-6, gt=0)
    rope_theta: float = Field(10_000.0, gt=0, description="The base of the rotary angles.")
    rope_scaling: Llama3Rope | None = Field(None, description="None: plain angles.")
    tie_word_embeddings: bool = False
    hidden_act: Literal["silu"] = "silu"
    attention_bias: Literal[False] = False
    mlp_bias: Literal[False] = False
    use_sliding_window: Literal[False] = False

    @model_validator(mode="before")
    @classmethod
    def _angles(cls, raw: Any) -> Any:
        """Their base stands by itself, or since transformers 5 among rope_parameters."""
        if not isinstance(raw, Mapping):
            return raw
        said = raw.get("rope_parameters") or raw.get("rope_scaling") or {}
        kind = said.get("rope_type", said.get("type", "default")) if isinstance(said, Mapping) else said
        if kind not in ("default", "llama3"):
            raise ValueError(f"rotary angles of the kind {kind!r} are not read, plain ones and llama3 alone")
        base = {"rope_theta": said["rope_theta"]} if "rope_theta" in said else {}
        return {**raw, **base, "rope_scaling": said if kind == "llama3" else None}

    @property
    def width(self) -> int:
        return self.hidden_size

    @property
    def layers(self) -> int:
        return self.num_hidden_layers

    @property
    def heads(self) -> int:
        return self.num_attention_heads

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values, each shared by a group of queries' (Ainslie et al. 2023)."""
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_size(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def qkv_bias(self) -> bool:
        return False

    @property
    def qk_norm(self) -> bool:
        """Queries and keys are normalised, head by head."""
        return False

    def problem(self) -> str | None:
        if self.heads % self.kv_heads:
            return f"{self.kv_heads} heads of keys and values do not divide {self.heads} heads"
        if self.head_size % 2:
            return f"heads of {self.head_size} numbers cannot be rotated"
        return None if self.head_dim else super().problem()


class LlamaConfig(LlamaLike):
    """Llama (Touvron et al. 2023, arXiv 2302.13971), and what is built like it: SmolLM, TinyLlama."""

    architecture: ClassVar[str] = "LlamaForCausalLM"

    model_type: Literal["llama"] = "llama"


class Qwen2Config(LlamaLike):
    """Qwen2 and 2.5 (arXiv 2407.10671): queries, keys and values have a bias."""

    architecture: ClassVar[str] = "Qwen2ForCausalLM"

    model_type: Literal["qwen2"] = "qwen2"
    num_key_value_heads: int = Field(ge=1)

    @property
    def qkv_bias(self) -> bool:
        return True


class Qwen3Config(LlamaLike):
    """Qwen3 (arXiv 2505.09388): queries and keys are normalised, and a head has a size of its own."""

    architecture: ClassVar[str] = "Qwen3ForCausalLM"

    model_type: Literal["qwen3"] = "qwen3"
    num_key_value_heads: int = Field(ge=1)
    head_dim: int = Field(128, ge=2)

    @property
    def qk_norm(self) -> bool:
        return True


AnyCausalLM = Annotated[
    Gpt2Config | LlamaConfig | Qwen2Config | Qwen3Config, Field(discriminator="model_type")
]
