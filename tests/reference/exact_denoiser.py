"""The synthetic source as a denoiser that errs nowhere: what it predicts are the chain's own posteriors.

What a row may read, it is told by the pass's layout, as the network's attention is. From the tokens among
these that are no mask, forward and backward over the chain give the law of the token in question. Under an
honest bound such a denoiser reaches the exact negative log-likelihood of every sequence, and under one that
leaks less.
Shapes: B batch, C copies, R rows that are read off, P patterns of what they may read, Q rows in question,
S keys, L length, K symbols, E different evidences, V vocabulary.
"""

import numpy as np
import torch
from torch import Tensor, nn

from trainer.data.synthetic import Synthetic
from trainer.network.attention import Layout, dense_mask
from trainer.network.model import Shape

CPU = torch.device("cpu")


class ExactDenoiser(nn.Module):
    """Of a chain of order 1, with the part of Denoiser that objectives use; its hidden vectors are log p."""

    def __init__(self, source: Synthetic, *, causal: bool = False, readable=dense_mask):
        """readable: which key a row of a layout of one copy may read, layout -> allowed_RS."""
        super().__init__()
        words = source.words
        self.shape = Shape(1, 1, 1, 1, source.length, words + 3, words + 2)
        self.causal, self.readable = causal, readable
        self.symbols = words + 1
        self.dtype = self.weights_dtype = torch.float64
        self.place = nn.Parameter(torch.zeros(1))  # tells of a device
        # The law of the first symbol and of the next, from the likelihood of every pair.
        token_K = np.array([*range(words), words + 1])
        first_S, second_S = map(np.ravel, np.meshgrid(token_K, token_K, indexing="ij"))
        pairs_SL = np.stack([np.full_like(first_S, words), first_S, second_S], axis=1)
        p_of_first_S, p_of_second_S = np.exp(-source.exact_nats_SL(pairs_SL)[:, 1:]).T
        self.first_K = p_of_first_S.reshape(len(token_K), -1)[:, 0]
        self.next_KK = p_of_second_S.reshape(len(token_K), -1)  # [given, next]
        self.token_K = torch.from_numpy(token_K)

    def hidden(
        self,
        tokens_BS: Tensor,
        layout: Layout,
        chosen_M: Tensor | None = None,
        sigma_B: Tensor | None = None,
    ) -> Tensor:
        """log p_BRV of the rows that the layout reads off, or log p_MV of those chosen."""
        copies, noisy, length = max(layout.copies, 1), layout.noisy, self.shape.length
        single = layout._replace(copies=1)
        position_S = single.positions(CPU)
        rows = single.num_read
        clean_BS = tokens_BS[:, layout.num_noisy :, None].mT.expand(-1, copies, -1)
        keys_BCS = torch.cat(
            [tokens_BS[:, : layout.num_noisy].unflatten(1, (copies, noisy)), clean_BS], dim=2
        )
        code_BCS = self.codes(keys_BCS) * (self.symbols + 1) ** position_S
        # Rows that may read the same have the same evidence. What two keys say of one position they say once.
        allowed_PS, pattern_R = self.readable(single, CPU)[:rows].unique(dim=0, return_inverse=True)
        known_BCPL = torch.zeros(*keys_BCS.shape[:2], len(allowed_PS), length, dtype=torch.long)
        for s, position in enumerate(position_S.tolist()):
            said_BCP = code_BCS[:, :, s, None] * allowed_PS[:, s]
            known_BCPL[..., position] = torch.maximum(known_BCPL[..., position], said_BCP)
        evidence_Q = known_BCPL.sum(dim=-1)[..., pattern_R].flatten()
        asked_Q = (position_S[:rows] + int(self.causal)).expand(*keys_BCS.shape[:2], rows).flatten()
        if chosen_M is not None:
            evidence_Q, asked_Q = evidence_Q[chosen_M], asked_Q[chosen_M]
        evidence_E, of_Q = np.unique(evidence_Q.numpy(), return_inverse=True)
        posterior_QK = torch.from_numpy(self.posterior_ELK(evidence_E)[of_Q.ravel(), asked_Q.numpy()])
        log_p_QV = torch.full((len(evidence_Q), self.shape.vocab_size), -torch.inf, dtype=torch.float64)
        log_p_QV[:, self.token_K] = posterior_QK.log()
        return log_p_QV if chosen_M is not None else log_p_QV.unflatten(0, (len(tokens_BS), -1))

    def codes(self, tokens: Tensor) -> Tensor:
        """0 for a mask and for BOS, which say nothing, else 1 + the symbol."""
        words = self.symbols - 1
        symbol = torch.where(tokens == words + 1, words, tokens)
        return torch.where((tokens == words) | (tokens == self.shape.mask_id), 0, symbol + 1)

    def posterior_ELK(self, evidence_E: np.ndarray) -> np.ndarray:
        """The law of each position's symbol given the evidence, in base symbols + 1 a digit for each
        position."""
        length, base = self.shape.length, self.symbols + 1
        digits_EL = evidence_E[:, None] // base ** np.arange(length, dtype=np.int64) % base
        is_symbol_ELK = digits_EL[..., None] == 1 + np.arange(self.symbols)
        likely_ELK = np.where(digits_EL[..., None] == 0, 1.0, is_symbol_ELK)
        forward_ELK, backward_ELK = np.empty_like(likely_ELK), np.ones_like(likely_ELK)
        forward_ELK[:, 0] = 0  # BOS
        forward_ELK[:, 1] = self.first_K
        for i in range(2, length):
            forward_ELK[:, i] = (forward_ELK[:, i - 1] * likely_ELK[:, i - 1]) @ self.next_KK
        for i in range(length - 2, -1, -1):
            backward_ELK[:, i] = (backward_ELK[:, i + 1] * likely_ELK[:, i + 1]) @ self.next_KK.T
        joint_ELK = forward_ELK * likely_ELK * backward_ELK
        total_EL1 = joint_ELK.sum(axis=2, keepdims=True)
        return np.divide(joint_ELK, total_EL1, out=np.zeros_like(joint_ELK), where=total_EL1 > 0)

    def cross_entropy(self, log_p_MV: Tensor, target_M: Tensor, charge_M: Tensor) -> Tensor:
        return -charge_M * log_p_MV.gather(1, target_M[:, None]).squeeze(1)

    def logits(self, log_p_MV: Tensor, sigma_M: Tensor | None = None) -> Tensor:
        """Such that, read as scores, they sum to 1."""
        return log_p_MV + np.log(self.shape.vocab_size - 1)
