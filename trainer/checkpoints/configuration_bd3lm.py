"""config.json of an exported network, for transformers. Copied into its folder; needs transformers alone.

Names and defaults are the public BD3LMConfig's (Arriola et al. 2025, arXiv 2503.09573).
"""

from typing import Any

from transformers import PretrainedConfig


class BD3LMConfig(PretrainedConfig):
    """What a network is made from.

    causal: an AR network, else one that unmasks. cross_attn: block by block (BD3-LM), else all at once (MDLM,
    SEDD). time_conditioning: it is told its noise (SEDD). var_min: the two buffers of the times that it was
    trained on are there; nothing here reads them. mask_token_id: by default the last of the vocabulary.
    """

    model_type = "bd3lm"
    attribute_map = {  # noqa: RUF012  # transformers' names, and ours
        "hidden_size": "hidden_dim",
        "num_hidden_layers": "n_blocks",
        "num_attention_heads": "n_heads",
        "max_position_embeddings": "model_length",
    }

    def __init__(
        self,
        block_size: int = 1,
        vocab_size: int = 50258,
        model_length: int = 1024,
        cross_attn: bool = True,
        adaln: bool = True,
        causal: bool = False,
        hidden_dim: int = 768,
        cond_dim: int = 129,
        n_blocks: int = 12,
        n_heads: int = 12,
        dropout: float = 0.1,
        time_conditioning: bool = False,
        var_min: bool = True,
        sampling_eps_min: float = 1e-3,
        sampling_eps_max: float = 0.999,
        mask_token_id: int | None = None,
        **others: Any,
    ):
        others.setdefault("tie_word_embeddings", False)
        super().__init__(**others)
        self.block_size = block_size
        self.vocab_size = vocab_size
        self.model_length = model_length
        self.cross_attn = cross_attn
        self.adaln = adaln
        self.causal = causal
        self.hidden_dim = hidden_dim
        self.cond_dim = cond_dim
        self.n_blocks = n_blocks
        self.n_heads = n_heads
        self.dropout = dropout
        self.time_conditioning = time_conditioning
        self.var_min = var_min
        self.sampling_eps_min = sampling_eps_min
        self.sampling_eps_max = sampling_eps_max
        self.mask_token_id = vocab_size - 1 if mask_token_id is None else mask_token_id
