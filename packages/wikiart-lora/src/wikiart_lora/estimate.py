"""What a run trains, and the memory and time it needs: printed before training, and all that `--dry-run` does."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from wikiart_data.console import echo
from wikiart_data.images.catalog import Catalog
from wikiart_data.results.tables import Number, Table, print_table
from wikiart_data.styles import style_index
from wikiart_lora.adapter import Adapter
from wikiart_lora.base_models.families import TextEmbeddings, decode_latents, encode_captions, encode_images, predict
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.base_models.precision import Autocast
from wikiart_lora.cache import BATCH, image_parts
from wikiart_lora.config import TrainConfig
from wikiart_lora.memory import Parts
from wikiart_lora.sampling import SAMPLE_PIXELS

_TEXT = {"none": "", "attention": ", text encoders", "embeddings": ", text encoders with token embeddings"}


def print_plan(
    base: BaseModel, adapter: Adapter, catalog: Catalog, config: TrainConfig, precision: str, processes: int
) -> None:
    """Print base, data, adapter, steps, device and precision."""
    trainable = sum(weight.numel() for weight in adapter.parameters())
    frozen = sum(p.numel() for p in base.denoiser.parameters() if not p.requires_grad)
    counts = catalog.counts("train")
    if config.style is None:
        data = f"{len(catalog.styles)} styles, {counts.sum():,} training images"
    else:
        label = style_index(config.style, catalog.styles, field="--style")
        data = f"the style {catalog.styles[label]}, {counts[label]:,} training images"
    echo(f"Base: {base.name} ({base.family}), {frozen / 1e6:,.1f} M parameters in its denoiser. Data: {data}.")
    variants = [name for name, used in (("rsLoRA", config.rslora), ("DoRA", config.dora)) if used]
    variants += [f"LoRA+ with ratio {config.loraplus_ratio:g}"] if config.loraplus_ratio != 1 else []
    extra = (", " + ", ".join(variants)) if variants else ""
    what = f"rank {config.rank}, {config.targets} layers{_TEXT[config.text_encoder]}{extra}"
    echo(f"Adapter: {what}: {trainable:,} trainable parameters.")
    where = f"{base.device}" + (f", {processes} processes" if processes > 1 else "")
    echo(f"{config.steps:,} steps of {config.batch_size} images at {config.size} px on {where}, in {precision}.")


def weight_memory(base: BaseModel, adapter: Adapter) -> dict[str, int]:
    """Bytes of the base's weights, and of the adapter: weights, gradients, AdamW's two moments, average; float32."""
    frozen = sum(p.numel() * p.element_size() for p in base.denoiser.parameters() if not p.requires_grad)
    return {"base": frozen, "adapter": 5 * 4 * sum(weight.numel() for weight in adapter.parameters())}


class Stages:
    """The stages of a run after captions are encoded, each as a function that does it once, on noise.

    Args:
        base: with an adapter; the network of the stage is on its device, and at first its autoencoder.
        side: of the images, in pixels.
        text: the embeddings of one caption, as returned by `encode_captions`.
        autocast: the context of the computation.
    """

    def __init__(self, base: BaseModel, side: int, text: TextEmbeddings, autocast: Autocast):
        self.base, self.side, self.text, self.autocast = base, side, text, autocast
        self.latents = self.encode(1)

    def encode(self, images: int) -> Tensor:
        """Encode images: (images, C, h, w)."""
        return encode_images(self.base, torch.zeros(images, 3, self.side, self.side))

    def step(self, images: int) -> None:
        """Predict noise, and compute the gradients of the adapter."""
        self._predict(images).square().mean().backward()

    @torch.no_grad()
    def denoise(self, images: int) -> None:
        """Predict noise with guidance: for each image with and without its prompt."""
        self._predict(2 * images)

    def decode(self) -> None:
        """Decode an image."""
        decode_latents(self.base, self.latents)

    def _predict(self, images: int) -> Tensor:
        text = {name: values.expand(images, *values.shape[1:]) for name, values in self.text.items()}
        timesteps = torch.full((images,), 500.0, device=self.base.device)
        with self.autocast():
            noisy = torch.randn(images, *self.latents.shape[1:], device=self.base.device)
            return predict(self.base, self.base.denoiser, noisy, timesteps, text)


@dataclass(frozen=True)
class Measurement:
    """What one stage of a run takes."""

    stage: str
    seconds: float | None
    """None where it does not fit into memory."""
    peak: int | None
    """Bytes of GPU memory with everything in it; None on other devices."""


def dry_run(base: BaseModel, adapter: Adapter, catalog: Catalog, config: TrainConfig, autocast: Autocast) -> None:
    """Measure each stage of a run once, on noise, and print what the run would need. Nothing is written."""
    memory = weight_memory(base, adapter)
    echo(
        f"Memory for weights: {memory['base'] / 1e9:.2f} GB for the denoiser, {memory['adapter'] / 1e9:.3f} GB for the "
        "adapter with gradients, optimizer state and average."
    )
    number, side = max(1, config.batch_size // config.gradient_accumulation_steps), config.size
    encoded = image_parts(side, side).size
    sampled = Parts.by_pixels(SAMPLE_PIXELS, side, side, "", most=16).size
    base.use("text")
    text = {name: values.detach() for name, values in encode_captions(base, ["a painting"]).items()}
    base.use("autoencoder")
    stages = Stages(base, side, text, autocast)

    @torch.no_grad()
    def captions() -> None:
        encode_captions(base, ["a painting"] * BATCH)

    measurements = [
        measure(base, f"encoding {BATCH} captions", "text", captions),
        measure(base, f"encoding {encoded} images", "autoencoder", partial(stages.encode, encoded)),
        measure(base, f"a training step with {number} images at once", "denoiser", partial(stages.step, number)),
        measure(base, f"a denoising step of {sampled} images", "denoiser", partial(stages.denoise, sampled)),
        measure(base, "decoding an image", "autoencoder", stages.decode),
    ]
    for weight in adapter.parameters():
        weight.grad = None
    print_table(
        Table(
            "Measured once",
            ("", "time", "GPU memory"),
            tuple((m.stage, Number(m.seconds, "s", 2), Number(_gigabytes(m.peak), "GB")) for m in measurements),
            "Where there is no time, the stage does not fit, and a run would continue with smaller parts.",
        )
    )
    encoding, training = measurements[1].seconds, measurements[2].seconds
    if encoding is not None:
        echo(f"Encoding {len(catalog):,} images takes about {encoding / encoded * len(catalog) / 60:.0f} min, once.")
    if training is not None:
        seconds = training * config.gradient_accumulation_steps
        echo(f"A step takes about {seconds:.2f} s, training about {seconds * config.steps / 60:.0f} min.")


def measure(base: BaseModel, stage: str, network: str, function: Callable[[], object]) -> Measurement:
    """Time and peak memory of a stage of a run.

    Args:
        base: whose networks of other stages are moved off the device.
        stage: in words.
        network: text, autoencoder or denoiser.
        function: the work; it is done twice, since the first time also selects kernels.
    """
    on_gpu = base.device.type == "cuda"
    base.use(network)
    seconds = 0.0
    try:
        for _ in range(2):
            if on_gpu:
                torch.cuda.reset_peak_memory_stats(base.device)
            began = time.monotonic()
            function()
            if on_gpu:
                torch.cuda.synchronize(base.device)
            seconds = time.monotonic() - began
    except torch.OutOfMemoryError:
        return Measurement(stage, None, None)
    return Measurement(stage, seconds, torch.cuda.max_memory_allocated(base.device) if on_gpu else None)


def _gigabytes(count: int | None) -> float | None:
    return None if count is None else count / 1e9
