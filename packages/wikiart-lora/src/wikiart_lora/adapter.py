"""The adapter: low-rank weights beside the base's own (LoRA, Hu et al. 2022), put in by peft, kept as one module."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wikiart_data.errors import InputError
from wikiart_lora.pipelines import Base

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
JOINT = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "to_qkv_mlp_proj", ".attn.to_out")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "linear_in", "linear_out")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "proj_in", "proj_out")
TARGETS = {
    "attention": (*ATTENTION, *JOINT),
    "feed-forward": (*ATTENTION, *JOINT, *FEED_FORWARD),
    "all": (*ATTENTION, *JOINT, *FEED_FORWARD, *CONVOLUTIONS),
}
"""--targets → the ends of the names of the denoiser's layers; those that a family lacks do not matter."""
OF_TEXT = ("q_proj", "k_proj", "v_proj", "out_proj")
WORDS = "token_embedding"
"""With it a word that the base does not know gets a meaning of its own, as in textual inversion (Gal et al. 2022)."""
SOONER = 3.0
"""Times the text encoders' learning rate for words: each is in few captions."""


class Adapter(nn.Module):
    """All weights that are trained, by name: a view of what peft put into the networks, to be saved and averaged.

    Args:
        weights: `unet.down_blocks.0….lora_A.weight` → the parameter; shared, not copied.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]):
        super().__init__()
        self.named = dict(weights)
        # A parameter's name must not hold a dot.
        self.held = nn.ParameterDict({name.replace(".", "/"): weight for name, weight in weights.items()})

    def tensors(self) -> dict[str, Tensor]:
        """The weights under the names that diffusers gives them in files."""
        return {name: weight.detach() for name, weight in self.named.items()}

    def average(self) -> "Adapter":
        """A copy of its own, to be averaged into."""
        copies = {
            name: nn.Parameter(weight.detach().clone(), requires_grad=False) for name, weight in self.named.items()
        }
        return Adapter(copies)

    @contextmanager
    def wearing(self, other: "Adapter") -> Iterator[None]:
        """For a while the networks carry `other`'s weights."""
        before = {name: weight.detach().clone() for name, weight in self.named.items()}
        self.put(other.tensors())
        try:
            yield
        finally:
            self.put(before)

    @torch.no_grad()
    def put(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the weights."""
        for name, weight in self.named.items():
            weight.copy_(tensors[name])


def add_adapter(base: Base, config: Any, words: Sequence[str] = ()) -> Adapter:
    """Put LoRA layers into the denoiser, and into the text encoders if asked; B starts at 0, so nothing changes yet.

    Args:
        base: its weights are frozen already.
        config: with rank, alpha, targets, rslora, dora, text_encoder.
        words: with `text_encoder="words"`, texts whose words' embeddings learn; those of all others stay as they are.

    Raises:
        InputError: the base has none of the layers that are to be adapted, or its text encoder cannot be.
    """
    from peft import LoraConfig

    adapts_text = config.text_encoder != "none"
    if adapts_text and base.family == "flux2":
        raise InputError(
            "--text-encoder: FLUX.2's text encoder is a language model of 4 B, which diffusers adapts nowhere."
        )
    carriers = {base.denoiser_name: (base.denoiser, TARGETS[config.targets])}
    if adapts_text:
        ends = (*OF_TEXT, WORDS) if config.text_encoder == "words" else OF_TEXT
        carriers |= {name: (encoder, ends) for name, encoder in base.text_encoders.items()}
    for carrier, (network, ends) in carriers.items():
        layers = [
            name
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding) and name.endswith(ends)
        ]
        if not layers:
            raise InputError(f"--targets {config.targets}: the {carrier} of {base.name} has no such layers.")
        network.add_adapter(
            LoraConfig(
                r=config.rank,
                lora_alpha=config.alpha if config.alpha is not None else config.rank,
                target_modules=layers,
                use_rslora=config.rslora,
                use_dora=config.dora,
                init_lora_weights=True,
            )
        )
    weights: dict[str, nn.Parameter] = {}
    for carrier, (network, _) in carriers.items():
        for name, weight in network.named_parameters():
            weight.requires_grad_("lora_" in name)
            if "lora_" in name:
                weight.data = weight.data.float()  # the adapter is trained in float32, whatever the base is kept in
                weights[f"{carrier}.{_name_in_files(name)}"] = weight
    for carrier, encoder in base.text_encoders.items():
        name = f"{carrier}.text_model.embeddings.{WORDS}.lora_embedding_A"
        if name in weights:
            tokenizer = getattr(base.pipeline, carrier.replace("text_encoder", "tokenizer"))
            learning = torch.zeros(encoder.config.vocab_size, device=weights[name].device)
            learning[[token for text in words for token in tokenizer(text).input_ids[1:-1]]] = 1
            weights[name].register_hook(partial(torch.mul, learning))
    return Adapter(weights)


def _name_in_files(name: str) -> str:
    """A weight's name as diffusers and peft write it: without the adapter's own name."""
    name = name.replace(".default", "").replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
    # transformers 5 has flattened CLIP's first text encoder; files keep the level, and loading takes it away again.
    return f"text_model.{name}" if name.startswith(("encoder.layers.", "embeddings.")) else name


def groups(adapter: Adapter, lr: float, text_lr: float, plus: float) -> list[dict[str, Any]]:
    """Parameter groups. With LoRA+ (Hayou et al. 2024) B learns `plus` times as fast as A."""
    found: dict[float, list[nn.Parameter]] = {}
    for name, weight in adapter.named.items():
        rate = (text_lr if name.startswith("text_encoder") else lr) * (plus if "lora_B" in name else 1.0)
        rate *= SOONER if WORDS in name else 1.0
        found.setdefault(rate, []).append(weight)
    return [{"params": weights, "lr": rate} for rate, weights in found.items()]


def peft_metadata(base: Base) -> dict[str, str]:
    """What diffusers wants to find in a file's metadata, to scale and place the adapter as it was trained."""
    carriers = {base.denoiser_name: base.denoiser, **base.text_encoders}
    found: dict[str, Any] = {}
    for carrier, network in carriers.items():
        if getattr(network, "peft_config", None):
            about = copy.deepcopy(network.peft_config["default"]).to_dict()
            for key, value in about.items():
                if isinstance(value, set):
                    value = sorted(value)
                if isinstance(value, list | tuple | str | int | float | bool | dict | type(None)):
                    found[f"{carrier}.{key}"] = value
    return {"lora_adapter_metadata": json.dumps(found, sort_keys=True, default=str), "format": "pt"}


def load_adapter(base: Base, file: Path, strength: float = 1.0) -> None:
    """Put a trained adapter on a base, as any program that uses diffusers would.

    Args:
        base: of the kind it was trained on.
        file: model.safetensors of a run, or a file that `export` wrote.
        strength: 0 is the base, 1 the adapter as trained.

    Raises:
        InputError: it is no adapter, or one for another base.
    """
    try:
        base.pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="default")
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        first = " ".join(str(error).split())[:200]
        raise InputError(f"{file} cannot be put on {base.name}: {first}") from error
    set_strength(base, strength)


def set_strength(base: Base, strength: float) -> None:
    """How much of the adapter is felt; at 0 the base's layers run alone, bit for bit."""
    if strength == 0:
        base.pipeline.disable_lora()
    else:
        base.pipeline.enable_lora()
        base.pipeline.set_adapters("default", strength)
