"""The GPU memory that each known base needs, counted on its published sizes: written to `needs.json`.

    python -m wikiart_lora.base_models.needs

takes about a minute and downloads nothing.
"""

import gc
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from wikiart_data.console import echo
from wikiart_data.files import write_bytes
from wikiart_lora.adapter import add_adapter
from wikiart_lora.base_models.known import BASES, NEEDS
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.base_models.precision import autocast_for
from wikiart_lora.base_models.published import PUBLISHED, published_base
from wikiart_lora.config import TrainConfig
from wikiart_lora.estimate import Stages, weight_memory
from wikiart_lora.simulated_gpu import SimulatedGpu, size_of

NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
"""Of a weight: 4 bits, and a scale of 8 bits for 64 weights, which has a scale of 32 bits for 256 of its kind."""
ADAPTER: dict[str, Any] = {"rank": 16, "alpha": 16.0, "targets": "attention", "text_encoder": "none"}


def count_needs(name: str) -> dict[str, int]:
    """Peak bytes of the stages of a run on a known base: one image of its size, gradient checkpointing, bf16.

    The key ends in `nf4` for a denoiser in 4 bits, and in `offloaded` for text encoders of which one layer at a time
    is on the GPU; for these two, weights are counted by their number.
    """
    published, side = PUBLISHED[name], BASES[name].size
    with FakeTensorMode(allow_non_fake_inputs=True):
        base = published_base(name)
        linear = [layer.weight.numel() for layer in base.denoiser.modules() if isinstance(layer, nn.Linear)]
        encoders = list(base.text_encoders.values())
        text_weights = sum(map(size_of, encoders))
        largest = max(size_of(layer) for encoder in encoders for layer in encoder.modules() if _is_leaf(layer))
        captions = _peak(text_weights, partial(_encode_tokens, base, published.tokens))
        # Tensors without storage cannot be moved in place, and they are where they should be.
        with patch.object(nn.Module, "to", lambda module, *_, **__: module):
            adapter = add_adapter(base, TrainConfig(**ADAPTER))
        base.denoiser.enable_gradient_checkpointing()
        weights = weight_memory(base, adapter)
        text = {"embeds": torch.zeros(1, published.tokens, published.text_width, dtype=torch.bfloat16)}
        if published.family == "sdxl":
            text["pooled"] = torch.zeros(1, 1280, dtype=torch.bfloat16)
        stages = Stages(base, side, text, autocast_for(base.device, "bf16"))
        of_autoencoder = size_of(base.pipeline.vae)
        encode = _peak(of_autoencoder, partial(stages.encode, 1))
        decode = _peak(of_autoencoder, stages.decode)
        step = _peak(weights["base"] + weights["adapter"], partial(stages.step, 1))
        adapter_alone = sum(map(torch.numel, adapter.parameters())) * 4
        denoise = _peak(weights["base"] + adapter_alone, partial(stages.denoise, 1))
    # The weights of one layer at a time are dequantised.
    smaller = sum(int(number * (2 - NF4_BYTES)) for number in linear) - 2 * max(linear)
    return {
        "captions": captions, "captions_offloaded": captions - text_weights + largest, "encode": encode, "step": step,
        "step_nf4": step - smaller, "denoise": denoise, "decode": decode,
    }  # fmt: skip


@torch.no_grad()
def _encode_tokens(base: BaseModel, tokens: int) -> None:
    for encoder in base.text_encoders.values():
        encoder(input_ids=torch.zeros(1, tokens, dtype=torch.long), output_hidden_states=True)


def _peak(weights: int, work: Callable[[], object]) -> int:
    with SimulatedGpu(weights) as gpu:
        work()
    gc.collect()
    return gpu.peak


def _is_leaf(layer: nn.Module) -> bool:
    return not any(True for _ in layer.children())


def main() -> None:
    """Count for every known base, and write the file."""
    needs: dict[str, Mapping[str, int]] = {}
    for name in PUBLISHED:
        needs[name] = count_needs(name)
        echo(f"{name}: " + ", ".join(f"{stage} {count / 1e9:.1f} GB" for stage, count in needs[name].items()))
    write_bytes(NEEDS, json.dumps(needs, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
