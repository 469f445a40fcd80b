"""How a step is computed, not what: its settings. No torch here."""

from typing import Any, Literal

from pydantic import Field

from trainer.values import Settings


class ComputeConfig(Settings):
    """Changes a run by rounding, so it is one for all trials of a sweep, and never searched."""

    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto",
        description="Of products and activations; weights, moments, norms and losses stay in float32. auto: "
        "bfloat16 where this machine's processor or GPU has it in hardware and the network is wide enough to "
        "gain, by a rule.",
    )
    attention: Literal["auto", "dense", "tiles", "flex", "flash"] = Field(
        "auto",
        description="The backend. auto: by device, precision and length. flash: for ar, mdlm and sedd.",
    )
    compile: Literal["auto", "off", "layers"] = Field(
        "auto", description="torch.compile of each layer. auto: on a GPU alone."
    )
    graph: Literal["auto", "off", "step"] = Field(
        "auto", description="A CUDA graph of forward and backward. auto: on a GPU where batches are small."
    )

    def identified(self) -> dict[str, Any]:
        """What tells a run from one with every field at auto on a machine of plain float32."""
        plain = {"precision": "float32", "compile": "off", "graph": "off"}
        return {
            name: value for name, value in self.model_dump().items() if value not in ("auto", plain.get(name))
        }
