"""What a step is given: rows, latents and embeddings, from the cache or encoded now."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import printable
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.sampler import BalancedSampler
from wikiart_data.styles import canonical_name
from wikiart_lora.buckets import epoch_batches, make_buckets
from wikiart_lora.cache import embeddings_of, free_encoders, latents_of, read_pictures, sorted_pictures
from wikiart_lora.captions import captions_of
from wikiart_lora.config import TrainConfig
from wikiart_lora.families import Text, encode_pictures, encode_text
from wikiart_lora.pipelines import Base


class Supply:
    """Pictures and captions of a catalog, ready for a base.

    Args:
        base: any.
        catalog: the data.
        config: settled options.
        device: where batches are wanted.
        dtype: of embeddings.

    Raises:
        InputError: there is no such style, too many files cannot be read, or the cache cannot be written.
    """

    def __init__(self, base: Base, catalog: Catalog, config: TrainConfig, device: torch.device, dtype: torch.dtype):
        assert config.size
        assert config.batch_size
        self.base, self.catalog, self.config, self.device, self.dtype = base, catalog, config, device, dtype
        self.adapts_text = config.text_encoder != "none"
        self.buckets = make_buckets(config.size, base.multiple, config.aspect)
        self.captions = captions_of(catalog, config.variants, config.trigger, config.seed, config.artists)
        # The same captions with another style in each: does the network listen to it?
        swapped = replace(catalog, labels=(catalog.labels + len(catalog.styles) // 2) % len(catalog.styles))
        self.swapped = captions_of(swapped, 1, config.trigger, config.seed, config.artists)
        self.label = None if config.style is None else label_of(config.style, catalog)
        self.cached = None
        self.embedded = None
        if config.no_cache:
            self.bucket_of = sorted_pictures(catalog, self.buckets)
        else:
            self.cached = latents_of(base, catalog, self.buckets, config.flip, config.bad_limit, config.cache_dir)
            self.bucket_of = self.cached.bucket_of
            if not self.adapts_text:
                rows = np.concatenate([self.rows("train"), self.readable("valid")])
                words = [caption for row in rows for caption in self.captions[row]]
                words += [caption for row in self.readable("valid") for caption in self.swapped[row]]
                self.embedded = embeddings_of(base, words, config.cache_dir)
        train = self.rows("train")
        if not len(train):
            raise InputError(f"{catalog.root} has no readable training picture of what is to be learned.")
        self.sampler = BalancedSampler(catalog.labels[train], config.power, seed=config.seed)

    def rows(self, split: str) -> np.ndarray:
        """(n,) the readable pictures of a split, of the one style if one is trained."""
        rows = self.readable(split)
        return rows if self.label is None else rows[self.catalog.labels[rows] == self.label]

    def readable(self, split: str) -> np.ndarray:
        """(n,) the readable pictures of a split, of all styles."""
        rows = self.catalog.rows(split)
        return rows[self.bucket_of[rows] >= 0]

    def batches(self, start: int) -> Iterator[np.ndarray]:
        """Endless batches of rows, each of one bucket, from step `start` on; a step's rows depend on nothing else."""
        epoch = 0
        train = self.rows("train")
        while True:
            batches = epoch_batches(self.sampler, train, self.bucket_of, self.config.batch_size, epoch)
            yield from batches[start:]
            start, epoch = max(0, start - len(batches)), epoch + 1

    def latents(self, rows: np.ndarray, mirrored: np.ndarray | None = None) -> Tensor:
        """(B, C, h, w) float32 of rows of one bucket."""
        if self.cached is not None:
            return self.cached.read(rows, mirrored)
        images = read_pictures(self.catalog, rows, self.buckets[self.bucket_of[rows[0]]])
        if mirrored is not None and mirrored.any():
            images[mirrored] = images[mirrored].flip(3)
        return encode_pictures(self.base, images)

    def text(self, words: Sequence[str]) -> Text:
        """Embeddings of captions; with gradients where text encoders are adapted."""
        if self.embedded is not None:
            return self.embedded.read(words, self.device, self.dtype)
        with torch.set_grad_enabled(self.adapts_text and torch.is_grad_enabled()):
            return encode_text(self.base, words)

    def first_text(self, rows: np.ndarray, swapped: bool = False) -> Text:
        """Embeddings of rows' first captions, without gradients; `swapped` puts another style into each."""
        with torch.no_grad():
            found = self.text([(self.swapped if swapped else self.captions)[row][0] for row in rows])
        return {name: values.detach().cpu() for name, values in found.items()}

    def free(self) -> None:
        """Move what the cache replaces off the GPU."""
        if self.cached is not None and self.device.type == "cuda":
            free_encoders(self.base, keep_text=self.adapts_text)


def check_splits(catalog: Catalog, style: str | None) -> None:
    """Find out before a run's folder is made whether there is something to learn and to measure on.

    Raises:
        InputError: there is no such style, or valid is empty.
    """
    if style is not None:
        label_of(style, catalog)
    if not len(catalog.rows("valid")):
        raise InputError(
            f"{catalog.root} has no picture in valid, and progress is measured on valid: add some (a style needs four "
            "artworks before one of them is taken out of train)."
        )


def label_of(name: str, catalog: Catalog) -> int:
    """The label of a style, by any of its names.

    Raises:
        InputError: the data has none of that name.
    """
    style = name if name in catalog.styles else canonical_name(name)
    if style not in catalog.styles:
        import difflib

        near = difflib.get_close_matches(style, catalog.styles, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"It has {', '.join(catalog.styles)}."
        raise InputError(f"--style {printable(name)}: {catalog.root} has no such style. {hint}")
    return catalog.styles.index(style)
