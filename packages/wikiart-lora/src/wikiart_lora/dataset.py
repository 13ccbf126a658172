"""The training data of a run: batches of rows, latents and embeddings, from the cache or encoded at every step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from wikiart_data.errors import InputError
from wikiart_data.images.batches import to_device
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.styles import style_index
from wikiart_lora.adapter import set_strength
from wikiart_lora.base_models.families import TextEmbeddings, encode_captions
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.buckets import epoch_batches, make_buckets
from wikiart_lora.cache import (
    BATCH,
    bucket_of_images,
    cached_embeddings,
    cached_latents,
    encode_in_parts,
    image_parts,
    read_images,
)
from wikiart_lora.captions import image_titles, make_captions
from wikiart_lora.config import TrainConfig
from wikiart_lora.memory import Parts
from wikiart_lora.sampling import sample_images


class LatentDataset:
    """Images and captions of a catalog, encoded for a base.

    Args:
        base: of any family.
        catalog: the data.
        config: of the run.
        dtype: of embeddings.

    Raises:
        InputError: there is no such style, too many files cannot be read, captions are missing, or the cache cannot be
            written.
    """

    def __init__(self, base: BaseModel, catalog: Catalog, config: TrainConfig, dtype: torch.dtype):
        self.base, self.catalog, self.config, self.device, self.dtype = base, catalog, config, base.device, dtype
        self.adapts_text = config.text_encoder != "none"
        self.buckets = make_buckets(config.size, base.geometry.multiple, config.aspect)
        self.titles = image_titles(catalog)
        self.captions = make_captions(catalog, config)
        # The same captions with another style in each, to measure whether the network uses the style.
        swapped = replace(catalog, labels=(catalog.labels + len(catalog.styles) // 2) % len(catalog.styles))
        self.swapped_captions = make_captions(swapped, config, captions_per_image=1)
        self.label = None if config.style is None else style_index(config.style, catalog.styles, field="--style")
        self.latent_cache = None
        self.embedding_cache = None
        if config.no_cache:
            base.use(*self.stages)
            self.bucket_of = bucket_of_images(catalog, self.buckets, config.max_bad_fraction)
        else:
            self.latent_cache = cached_latents(
                base, catalog, self.buckets, config.flip, config.max_bad_fraction, config.cache_dir
            )
            self.bucket_of = self.latent_cache.bucket_of
            if not self.adapts_text:
                rows = np.concatenate([self.rows("train"), self.all_rows("valid")])
                captions = [caption for row in rows for caption in self.captions[row]]
                captions += [caption for row in self.all_rows("valid") for caption in self.swapped_captions[row]]
                self.embedding_cache = cached_embeddings(base, captions, config.cache_dir)
        train = self.rows("train")
        if not len(train):
            style = f" of {config.style}" if config.style else ""
            raise InputError(
                f"{catalog.root} has no readable training image{style}.", field=config.style or catalog.root
            )
        self.sampler = BalancedSampler(catalog.labels[train], config.power, seed=config.seed)

    def rows(self, split: str) -> np.ndarray:
        """(n,) the readable images of a split; with `--style`, those of that style."""
        rows = self.all_rows(split)
        return rows if self.label is None else rows[self.catalog.labels[rows] == self.label]

    def all_rows(self, split: str) -> np.ndarray:
        """(n,) the readable images of a split, of all styles."""
        rows = self.catalog.rows(split)
        return rows[self.bucket_of[rows] >= 0]

    def batches(self, start: int) -> Iterator[np.ndarray]:
        """Endless batches of rows, each from one bucket, from step `start` on; they depend on seed and step alone."""
        epoch = 0
        train = self.rows("train")
        while True:
            batches = epoch_batches(self.sampler, train, self.bucket_of, self.config.batch_size, epoch)
            yield from batches[start:]
            start, epoch = max(0, start - len(batches)), epoch + 1

    def latents(self, rows: np.ndarray, mirrored: np.ndarray | None = None) -> Tensor:
        """(B, C, h, w) float32 of rows of one bucket."""
        if self.latent_cache is not None:
            return self.latent_cache.read(rows, mirrored)
        images = read_images(self.catalog, rows, self.buckets[self.bucket_of[rows[0]]])
        if mirrored is not None and mirrored.any():
            images[mirrored] = images[mirrored].flip(3)
        return encode_in_parts(self.base, images, image_parts(*images.shape[2:]))

    def embeddings(self, captions: Sequence[str]) -> TextEmbeddings:
        """Embeddings of captions; with gradients where text encoders are adapted."""
        if self.embedding_cache is not None:
            return self.embedding_cache.read(captions, self.device, self.dtype)
        with torch.set_grad_enabled(self.adapts_text and torch.is_grad_enabled()):
            return encode_captions(self.base, captions)

    def first_embeddings(self, rows: np.ndarray, swapped: bool = False) -> TextEmbeddings:
        """Embeddings of each row's first caption, without gradients; `swapped` puts another style into each."""
        captions = self.swapped_captions if swapped else self.captions
        with torch.no_grad():
            embeddings = self.embeddings([captions[row][0] for row in rows])
        return {name: values.detach().cpu() for name, values in embeddings.items()}

    def swaps_every_style(self, rows: Sequence[int]) -> bool:
        """Whether each row's swapped caption names another style: not with captions from files, nor with one style."""
        return all(self.captions[row][0] != self.swapped_captions[row][0] for row in rows)

    @property
    def stages(self) -> list[str]:
        """What training steps need on the device: the denoiser, and the networks that the cache does not replace."""
        needed = {
            "denoiser": True,
            "text": self.adapts_text or self.config.no_cache,
            "autoencoder": self.config.no_cache,
        }
        return [stage for stage, is_needed in needed.items() if is_needed]

    def use_for_training(self) -> None:
        """Move the networks that training steps need to the device, and all others off it."""
        self.base.use(*self.stages)


@dataclass(frozen=True)
class PriorImages:
    """Images generated by the base alone, encoded, for prior preservation (Ruiz et al. 2023, §3.2)."""

    latents: Tensor
    """(P, C, h, w)."""
    text: TextEmbeddings
    """(P, …) of each tensor."""

    def read(self, indices: Tensor, device: torch.device) -> tuple[Tensor, TextEmbeddings]:
        """Some of them, on the device."""
        text = {name: to_device(values[indices], device) for name, values in self.text.items()}
        return to_device(self.latents[indices], device), text


@torch.no_grad()
def generate_prior_images(base: BaseModel, titles: Sequence[str], config: TrainConfig) -> PriorImages:
    """Let the base alone generate `config.num_prior_images` images from titles, without any style.

    Args:
        base: its adapter is turned off meanwhile: it may have been started from a trained one.
        titles: of training images; '' where a title is unknown.
        config: with number, seed and sampling.
    """
    set_strength(base, 0.0)
    try:
        return _generate_and_encode(base, titles, config)
    finally:
        set_strength(base, 1.0)


def _generate_and_encode(base: BaseModel, titles: Sequence[str], config: TrainConfig) -> PriorImages:
    number, known = config.num_prior_images, sorted({title for title in titles if title}) or ["a picture"]
    random = np.random.default_rng(config.seed)
    prompts = [known[index] for index in random.integers(len(known), size=number)]
    seeds = range(config.seed, config.seed + number)
    images = sample_images(
        base, prompts, seeds, config.size, config.num_inference_steps, label="generating prior images"
    )
    parts = image_parts(*images.shape[2:])
    base.use("autoencoder")
    latents = torch.cat([encode_in_parts(base, batch * 2 - 1, parts) for batch in images.split(BATCH)])
    captions = Parts(BATCH, "encoding prompts")
    base.use("text")
    encoded = list(captions.map(number, lambda part: encode_captions(base, prompts[part])))
    return PriorImages(latents, {name: torch.cat([part[name].cpu() for part in encoded]) for name in encoded[0]})


def check_splits(catalog: Catalog, style: str | None) -> None:
    """Check, before a run's folder is created, that there is data to train and to validate on.

    Raises:
        InputError: there is no such style, or valid is empty.
    """
    if style is not None:
        style_index(style, catalog.styles, field="--style")
    if not len(catalog.rows("valid")):
        raise InputError(
            f"{catalog.root} has no image in valid, and progress is measured on valid: add some (a style needs four "
            "artworks before one of them is taken out of train).",
            field=catalog.root,
        )
