"""The adapter: low-rank matrices next to the base's own weights (LoRA, Hu et al. 2022), held as one module."""

import copy
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import read_model
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.config import TrainConfig

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
JOINT = ("add_q_proj", "add_k_proj", "add_v_proj", "to_add_out", "to_qkv_mlp_proj", ".attn.to_out")
FEED_FORWARD = ("ff.net.0.proj", "ff.net.2", "linear_in", "linear_out")
CONVOLUTIONS = ("conv1", "conv2", "conv_shortcut", "time_emb_proj", "proj_in", "proj_out")
TARGETS = {
    "attention": (*ATTENTION, *JOINT),
    "feed-forward": (*ATTENTION, *JOINT, *FEED_FORWARD),
    "all": (*ATTENTION, *JOINT, *FEED_FORWARD, *CONVOLUTIONS),
}
"""--targets → suffixes of the names of the denoiser's layers; those that a family lacks are skipped."""
TEXT_ATTENTION = ("q_proj", "k_proj", "v_proj", "out_proj")
TOKEN_EMBEDDING = "token_embedding"
"""Adapting it gives a token that the base does not know a meaning, as in textual inversion (Gal et al. 2022)."""
TOKEN_EMBEDDING_LR_RATIO = 3.0
"""Learning rate of token embeddings over that of the text encoders: each occurs in few captions."""


class Adapter(nn.Module):
    """All trained weights by name: views of the parameters that peft added to the networks, to be saved and averaged.

    Args:
        weights: `unet.down_blocks.0….lora_A.weight` → the parameter; shared, not copied.
    """

    def __init__(self, weights: Mapping[str, nn.Parameter]):
        super().__init__()
        self.by_name = dict(weights)
        # A parameter's name must not hold a dot.
        self.held = nn.ParameterDict({name.replace(".", "/"): weight for name, weight in weights.items()})

    def tensors(self) -> dict[str, Tensor]:
        """The weights under the names that diffusers gives them in files."""
        return {name: weight.detach() for name, weight in self.by_name.items()}

    def clone(self) -> "Adapter":
        """A copy with weights of its own and without gradients, for the moving average."""
        copies = {
            name: nn.Parameter(weight.detach().clone(), requires_grad=False) for name, weight in self.by_name.items()
        }
        return Adapter(copies)

    @contextmanager
    def swapped_weights(self, other: "Adapter") -> Iterator[None]:
        """Within the context, the networks use the weights of `other`."""
        original = {name: weight.detach().clone() for name, weight in self.by_name.items()}
        self.copy_from(other.tensors())
        try:
            yield
        finally:
            self.copy_from(original)

    @torch.no_grad()
    def copy_from(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrite the weights."""
        for name, weight in self.by_name.items():
            weight.copy_(tensors[name])


def add_adapter(base: BaseModel, config: TrainConfig, texts: Sequence[str] = ()) -> Adapter:
    """Add LoRA layers to the denoiser and, if configured, the text encoders; B is 0, so outputs do not change yet.

    Args:
        base: with frozen weights.
        config: with rank, alpha, targets, rslora, dora, text_encoder.
        texts: with `text_encoder="embeddings"`, the texts whose tokens' embeddings are trained; all others stay.

    Raises:
        InputError: the base has none of the layers to adapt, or its text encoder cannot be adapted.
    """
    from peft import LoraConfig

    adapts_text = config.text_encoder != "none"
    if adapts_text and base.family == "flux2":
        raise InputError(
            "--text-encoder: FLUX.2's text encoder is a language model of 4 B parameters, for which diffusers loads no "
            "adapter.",
            field="--text-encoder",
        )
    adapted = {base.denoiser_name: (base.denoiser, TARGETS[config.targets])}
    if adapts_text:
        suffixes = (*TEXT_ATTENTION, TOKEN_EMBEDDING) if config.text_encoder == "embeddings" else TEXT_ATTENTION
        adapted |= {name: (encoder, suffixes) for name, encoder in base.text_encoders.items()}
    for part, (network, suffixes) in adapted.items():
        layers = [
            name
            for name, layer in network.named_modules()
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.Embedding) and name.endswith(suffixes)
        ]
        if not layers:
            raise InputError(
                f"--targets {config.targets}: the {part} of {base.name} has no such layers.", field="--targets"
            )
        network.add_adapter(
            LoraConfig(
                r=config.rank,
                lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]  (peft takes any number)
                target_modules=layers,
                use_rslora=config.rslora,
                use_dora=config.dora,
                lora_dropout=config.lora_dropout,
                init_lora_weights=True,
            )
        )
    set_dropout(base, False)
    weights: dict[str, nn.Parameter] = {}
    for part, (network, _) in adapted.items():
        for name, weight in network.named_parameters():
            weight.requires_grad_("lora_" in name)
            if "lora_" in name:
                weight.data = weight.data.float()  # the adapter is trained in float32, whatever the base's type is
                weights[f"{part}.{_name_in_files(name)}"] = weight
    for part, encoder in base.text_encoders.items():
        name = f"{part}.text_model.embeddings.{TOKEN_EMBEDDING}.lora_embedding_A"
        if name in weights:
            tokenizer = getattr(base.pipeline, part.replace("text_encoder", "tokenizer"))
            trained = torch.zeros(encoder.config.vocab_size, device=weights[name].device)
            trained[[token for text in texts for token in tokenizer(text).input_ids[1:-1]]] = 1
            weights[name].register_hook(partial(_mask_gradient, trained))
    return Adapter(weights)


def _mask_gradient(mask: Tensor, gradient: Tensor) -> Tensor:
    return mask.to(gradient.device) * gradient  # the network may have been moved since the hook was made


def _name_in_files(name: str) -> str:
    """A weight's name as diffusers and peft write it: without the adapter's own name."""
    name = name.replace(".default", "").replace("lora_magnitude_vector.weight", "lora_magnitude_vector")
    # transformers 5 has flattened CLIP's first text encoder; files keep the level, and loading removes it again.
    return f"text_model.{name}" if name.startswith(("encoder.layers.", "embeddings.")) else name


def parameter_groups(adapter: Adapter, config: TrainConfig) -> list[dict[str, Any]]:
    """Parameter groups of equal learning rate. With LoRA+ (Hayou et al. 2024) B learns faster than A by a ratio."""
    by_rate: dict[float, list[nn.Parameter]] = {}
    for name, weight in adapter.by_name.items():
        rate = config.text_encoder_lr if name.startswith("text_encoder") else config.lr
        rate *= config.loraplus_ratio if "lora_B" in name else 1.0
        rate *= TOKEN_EMBEDDING_LR_RATIO if TOKEN_EMBEDDING in name else 1.0
        by_rate.setdefault(rate, []).append(weight)
    return [{"params": weights, "lr": rate} for rate, weights in by_rate.items()]


def peft_metadata(base: BaseModel) -> dict[str, str]:
    """The metadata that diffusers needs in a file, to place and scale the adapter as it was trained."""
    settings: dict[str, Any] = {}
    for part, network in {base.denoiser_name: base.denoiser, **base.text_encoders}.items():
        if getattr(network, "peft_config", None):
            for key, value in copy.deepcopy(network.peft_config["default"]).to_dict().items():
                value = sorted(value) if isinstance(value, set) else value
                if isinstance(value, list | tuple | str | int | float | bool | dict | type(None)):
                    settings[f"{part}.{key}"] = value
    return {"lora_adapter_metadata": json.dumps(settings, sort_keys=True, default=str), "format": "pt"}


def set_dropout(base: BaseModel, active: bool) -> None:
    """Turn the adapter's dropout on for training steps and off for everything else."""
    for network in (base.denoiser, *base.text_encoders.values()):
        for name, module in network.named_modules():
            if "lora_dropout" in name:
                module.train(active)


def load_into(adapter: Adapter, base: BaseModel, file: Path) -> None:
    """Overwrite a new adapter's weights with those of a trained one, which may have been scaled otherwise.

    Args:
        adapter: of the same rank, layers and kind.
        base: that it was added to.
        file: model.safetensors of a run, or a file written by `export` in the format peft.

    Raises:
        InputError: the file is no adapter, or one of another rank or on other layers.
    """
    tensors, metadata = read_model(file)
    if {name: w.shape for name, w in tensors.items()} != {name: w.shape for name, w in adapter.by_name.items()}:
        raise InputError(
            f"--init-adapter {file}: it has other layers or another rank; use the same --base, --rank, --targets, "
            "--text-encoder and --dora.",
            field="--init-adapter",
        )
    theirs, ours = (json.loads(x["lora_adapter_metadata"]) for x in (metadata, peft_metadata(base)))
    adapter.copy_from({name: value / scale_of(name, ours) for name, value in fold_scale(tensors, theirs).items()})


def scale_of(name: str, settings: Mapping[str, Any]) -> float:
    """The factor of B in a layer's update: alpha / rank, or with rsLoRA alpha / √rank; 1 for other tensors.

    Args:
        name: of a tensor.
        settings: peft's, by network: `unet.r`, `unet.lora_alpha`, `unet.use_rslora`, …
    """
    if not name.endswith((".lora_B.weight", ".lora_embedding_B")):
        return 1.0
    network = name.partition(".")[0]
    rank, alpha = settings[f"{network}.r"], settings[f"{network}.lora_alpha"]
    return alpha / math.sqrt(rank) if settings.get(f"{network}.use_rslora") else alpha / rank


def fold_scale(tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """The same adapter with the scale multiplied into B, so that it is 1 for programs that know no alpha."""
    return {name: tensor * scale_of(name, settings) for name, tensor in tensors.items()}


def load_adapter(base: BaseModel, file: Path, strength: float = 1.0) -> None:
    """Load a trained adapter into a base, with diffusers' own loader.

    Args:
        base: of the kind it was trained on.
        file: model.safetensors of a run, or a file written by `export`.
        strength: 0 is the base alone, 1 the adapter as trained.

    Raises:
        InputError: it is no adapter, or one for another base.
    """
    try:
        base.pipeline.load_lora_weights(str(file.parent), weight_name=file.name, adapter_name="default")
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{file} cannot be loaded into {base.name}: {reason}", field=file) from error
    set_strength(base, strength)


def set_strength(base: BaseModel, strength: float) -> None:
    """Scale the adapter; at 0 the base's layers run alone, bit for bit."""
    if strength == 0:
        base.pipeline.disable_lora()
    else:
        base.pipeline.enable_lora()
        base.pipeline.set_adapters("default", strength)
