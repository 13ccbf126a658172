"""What a run trains and on what: the data, the base and the adapter, loaded before the run's folder is created."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from accelerate import PartialState

from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.training.device import create_accelerator
from wikiart_data.training.run import find_model
from wikiart_lora.adapter import Adapter, add_adapter, load_into
from wikiart_lora.base_models.fingerprints import fingerprints
from wikiart_lora.base_models.loading import BaseModel, load_base_of
from wikiart_lora.base_models.precision import choose_precision
from wikiart_lora.captions import style_phrase
from wikiart_lora.config import TrainConfig, trained_styles
from wikiart_lora.dataset import check_splits
from wikiart_lora.real_images import choose_held_out


@dataclass(frozen=True)
class Inputs:
    """What a run trains and on what: all that can fail before its folder is created."""

    catalog: Catalog
    base: BaseModel
    adapter: Adapter
    precision: str
    precision_reason: str
    fingerprints: Mapping[str, str]
    """Of the base's networks, without the adapter; rounded, so that the device does not matter."""


def load_inputs(config: TrainConfig) -> Inputs:
    """Scan the data, load the base and add an adapter to it, a new one or that of `init_adapter`.

    Raises:
        InputError: the data, the base or the options cannot be used.
    """
    device = create_accelerator(config.device).device
    if config.batch_size % PartialState().num_processes:
        raise InputError(
            f"--batch-size {config.batch_size} is not a multiple of the {PartialState().num_processes} processes.",
            field="--batch-size",
        )
    catalog = scan(config.data, cache_dir=config.cache_dir)
    check_splits(catalog, config.style)
    if config.judge is not None and not (config.judge / "judge.json").is_file():  # now, not after hours of training
        raise InputError(
            f"--judge {config.judge} holds no judge: make one with wikiart-classify --export DIR.", field="--judge"
        )
    if config.score:
        labels = [catalog.styles.index(style) for style in trained_styles(config.style, catalog.styles)]
        choose_held_out(catalog, "test", labels)
    precision, reason = choose_precision(device, config.precision)
    base = load_base_of(config, device, precision)
    base_fingerprints = fingerprints(base)
    styles = trained_styles(config.style, catalog.styles)
    torch.manual_seed(config.seed)
    adapter = add_adapter(base, config, [config.trigger, *(style_phrase(style) for style in styles)])
    if config.init_adapter is not None and config.resume is None:
        load_into(adapter, base, find_model(config.init_adapter, config.runs, "lora"))
    if config.gradient_checkpointing:
        base.denoiser.enable_gradient_checkpointing()
    return Inputs(catalog, base, adapter, precision, f"{precision} ({reason})", base_fingerprints)
