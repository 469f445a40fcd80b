"""What is left to chance by the text: documents are the clusters of every value that is measured on them.

Shapes: C and K configurations, D documents.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEW = 20  # effective documents below which an interval over text is a rough one


class Text(NamedTuple):
    """The documents of an evaluation set by their scored tokens.

    A value is sum_d nats_d / sum_d tokens_d, a ratio estimator. Its variance is the sum of squared residuals
    nats_d - value * tokens_d, each over 1 - its share of the tokens (CR2: Bell and McCaffrey 2002; for equal
    documents the usual D / (D - 1)), over the square of all tokens.
    """

    tokens_D: Array

    @property
    def effective(self) -> float:
        """(sum t)^2 / sum t^2: as many equal documents would say as much. 26 may be worth 12."""
        return float(self.tokens_D.sum() ** 2 / (self.tokens_D**2).sum())

    @property
    def degrees(self) -> float:
        return max(self.effective - 1, 1.0)  # as two equal ones have: below, a quantile says nothing more

    def residuals(self, nats_CD: Array) -> Array:
        """residual_CD: their products over documents sum to the covariance of two values."""
        all_tokens = self.tokens_D.sum()
        value_C = nats_CD.sum(-1) / all_tokens
        share_D = self.tokens_D / all_tokens
        left = np.sqrt(np.maximum(1 - share_D, 1e-12))
        return (nats_CD - value_C[:, None] * self.tokens_D) / (left * all_tokens)

    def error(self, nats_CD: Array) -> Array:
        """Standard error of each value; infinite for one document."""
        if len(self.tokens_D) < 2:
            return np.full(len(nats_CD), np.inf)
        return np.sqrt((self.residuals(nats_CD) ** 2).sum(1))

    def errors(self, residual_CD: Array, residual_KD: Array) -> Array:
        """Standard error of each difference; infinite for one document."""
        if len(self.tokens_D) < 2:
            return np.full((len(residual_CD), len(residual_KD)), np.inf)
        variance_CK = (
            (residual_CD**2).sum(1)[:, None] + (residual_KD**2).sum(1) - 2 * residual_CD @ residual_KD.T
        )
        return np.sqrt(np.maximum(variance_CK, 0.0))
