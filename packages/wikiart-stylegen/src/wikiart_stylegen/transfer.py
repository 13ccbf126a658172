"""`StyleTransfer`: a trained style autoencoder that repaints any image in any of its styles."""

import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from wikiart_data.errors import InputError
from wikiart_data.images.decode import square
from wikiart_data.images.load import Picture, as_list, check_range, read_picture
from wikiart_data.images.pixels import to_pil, to_tensor
from wikiart_data.results.figures import png
from wikiart_data.styles import find_style, style_index
from wikiart_data.training.checkpoints import load_config, load_weights, read_model
from wikiart_data.training.device import select_device, use_bf16
from wikiart_data.training.run import find_model
from wikiart_stylegen.command_options import check_side, check_strength
from wikiart_stylegen.config import TrainConfig, TrainOptions
from wikiart_stylegen.figures import style_grid
from wikiart_stylegen.full_size import average_over_shifts, guided_upsampling
from wikiart_stylegen.network import StyleAutoencoder

BATCH_SIZE = 64
"""Images that `repaint_batch` processes at a time."""


class StyleTransfer:
    """A trained autoencoder whose decoder is conditioned on style embeddings (FiLM, Perez et al. 2018).

    Args:
        network: the trained network.
        styles: names of its styles.
        config: the options it was trained with.
        device: to run on: auto, cpu, cuda, cuda:N or mps.

    Raises:
        InputError: this machine has no such device.

    Example:
        >>> transfer = StyleTransfer.load("runs/stylegen/001")
        >>> transfer.repaint("photo.jpg", "Ukiyo_e").save("ukiyo.png")
    """

    def __init__(
        self,
        network: StyleAutoencoder,
        styles: Sequence[str],
        config: TrainConfig,
        device: torch.device | str = "cpu",
    ):
        self.device = select_device(device)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()
        self.styles = tuple(styles)
        self.config = config
        self._bf16 = use_bf16(self.device, config.precision)

    @classmethod
    def load(
        cls, run: Path | str | None = None, device: torch.device | str = "auto", *, runs: Path | str = "runs"
    ) -> "StyleTransfer":
        """Load a trained network.

        Args:
            run: a run's folder or its model.safetensors; None takes the newest run in `runs`/stylegen.
            device: auto, cpu, cuda, cuda:1 or mps; or a torch.device.
            runs: parent folder of all runs, searched for the newest one.

        Raises:
            InputError: the file is missing, damaged or holds another kind of model, or there is no such device.
        """
        file = find_model(None if run is None else Path(run), Path(runs), "stylegen")
        tensors, metadata = read_model(file)
        record, styles = json.loads(metadata["config"]), tuple(json.loads(metadata["styles"]))
        if "conditioning" not in record:
            raise InputError(f"{file} holds no network of wikiart-stylegen.", field=file)
        config = load_config(TrainConfig, metadata, file)
        network = make_network(len(styles), config)
        load_weights(network, tensors, file)
        return cls(network, styles, config, select_device(device))

    def __repr__(self) -> str:
        config = self.config
        return f"StyleTransfer({len(self.styles)} styles, {config.size} px, {config.conditioning}, {self.device})"

    @property
    def embeddings(self) -> Tensor:
        """(styles, D) float32 on the CPU: the trained style embeddings, without the null style."""
        return self.network.embeddings.weight[: len(self.styles)].detach().float().cpu()

    def repaint(
        self,
        picture: Picture,
        style: str,
        strength: float = 1.0,
        blend: str | None = None,
        side: int | None = None,
    ) -> Image.Image:
        """Repaint an image of any size in a style.

        Args:
            picture: an image file or a PIL image.
            style: target style, by any of its names.
            strength: 0 is the null style, 1 the style as trained, at most 1.5.
            blend: a second style to average with the first.
            side: longer side of the result in pixels (default: that of the input).

        Returns:
            An RGB image of the input's size, or of the longer side `side`.

        Raises:
            InputError: the image cannot be read, there is no such style, or a value is out of range.
            TypeError: it is no file name and no PIL image; `repaint_batch` takes tensors.
        """
        check_strength(strength)
        check_side(side)
        vector = self.style_vector(style, strength)
        if blend is not None:
            vector = torch.stack([vector, self.style_vector(blend, strength)]).mean(dim=0)
        return to_pil(self._repaint(read_image(picture, side), vector))

    def walk(
        self, picture: Picture, styles: Sequence[str], frames: int = 24, side: int | None = 256
    ) -> list[Image.Image]:
        """Repaint an image in styles that lead from the first of `styles` over the others to the last.

        Args:
            picture: an image file or a PIL image.
            styles: two or more styles, passed at equal intervals.
            frames: number of images.
            side: longer side of the images in pixels (None: that of the input).

        Returns:
            `frames` RGB images.

        Raises:
            InputError: the image cannot be read, there is no such style, or there are fewer than two styles or frames.
        """
        check_side(side)
        styles = [styles] if isinstance(styles, str) else styles
        if len(styles) < 2:
            raise InputError(f"A walk needs two styles or more, not {len(styles)}.", field="styles")
        if frames < 2:
            raise InputError(f"A walk needs two frames or more, not {frames}.", field="frames")
        vectors = torch.stack([self.style_vector(style) for style in styles])
        image = read_image(picture, side)
        images = []
        for position in torch.linspace(0, len(styles) - 1, frames).tolist():
            start = min(int(position), len(styles) - 2)
            vector = vectors[start].lerp(vectors[start + 1], position - start)
            images.append(to_pil(self._repaint(image, vector)))
        return images

    def grid(
        self,
        pictures: Picture | Iterable[Picture],
        styles: str | Iterable[str] | None = None,
        captions: Sequence[str] | None = None,
    ) -> Image.Image:
        """Repaint several images in several styles.

        Args:
            pictures: image files or PIL images, or a single one; all are squashed to squares of the trained size. Files
                in a folder that is named after a style are taken to be of that style, which is framed.
            styles: the columns, by any of their names (default: every style).
            captions: a text for every picture, written above its row.

        Returns:
            A figure with the images as rows and the styles as columns.

        Raises:
            InputError: an image cannot be read, there is no such style, there are no images or no styles, or the number
                of captions is another than that of the images.
        """
        pictures = as_list(pictures)
        styles = [styles] if isinstance(styles, str) else styles
        if not pictures:
            raise InputError("There is no picture to repaint.", field="pictures")
        if captions is not None and len(captions) != len(pictures):
            raise InputError(f"There are {len(captions)} captions for {len(pictures)} pictures.", field="captions")
        images = torch.stack([_read_square(picture, self.config.size) for picture in pictures])
        names = self.styles if styles is None else tuple(self._name(style) for style in styles)
        if not names:
            raise InputError("There is no style to repaint in.", field="styles")
        vectors = [self.style_vector(style) for style in names]
        repaints = torch.stack(
            [torch.stack([self._repaint(image, vector) for image in images]) for vector in vectors], dim=1
        )
        own = [self._label(picture) for picture in pictures]
        labels = [
            names.index(self.styles[label]) if label >= 0 and self.styles[label] in names else -1 for label in own
        ]
        figure = style_grid(images, repaints, labels, names, captions)
        return Image.open(io.BytesIO(png(figure))).convert("RGB")

    def _name(self, style: str) -> str:
        return self.styles[style_index(style, self.styles, field="styles")]

    @torch.no_grad()
    def style_vector(self, style: str, strength: float = 1.0) -> Tensor:
        """The style vector of one style: (D,) float32 on the device.

        Raises:
            InputError: there is no such style.
        """
        label = torch.tensor([style_index(style, self.styles, field="style")], device=self.device)
        return self.network.style_vectors(label, strength)[0]

    @torch.no_grad()
    def repaint_batch(self, images: Tensor, styles: Tensor | Sequence[int], strength: float = 1.0) -> Tensor:
        """Repaint a batch of images at their own size in one pass of the network.

        `repaint` takes the mean of several passes and handles large images.

        Args:
            images: (N, 3, H, W) float in [0, 1], H and W multiples of 8.
            styles: (N,) integers, labels of the target styles: indices into `styles`.
            strength: 0 is the null style, 1 the style as trained, at most 1.5.

        Returns:
            (N, 3, H, W) float32 in [0, 1] on the CPU.

        Raises:
            ValueError: the images have another shape, type or range, there are more or fewer labels than images, or a
                label is no index into `styles`.
            InputError: the strength is out of range.
        """
        _check_batch(images)
        check_strength(strength)
        styles = torch.as_tensor(styles)
        if styles.shape != images.shape[:1]:
            raise ValueError(f"expected {len(images)} labels of styles, got {tuple(styles.shape)}")
        if styles.is_floating_point() or styles.is_complex() or styles.dtype == torch.bool:
            raise ValueError(f"expected labels that are integers, got {styles.dtype}")
        outside = styles[(styles < 0) | (styles >= len(self.styles))]  # the label after the last is the null style
        if len(outside):
            raise ValueError(f"expected labels in 0..{len(self.styles) - 1}, got {int(outside[0])}")
        repaints = []
        for batch, labels in zip(images.split(BATCH_SIZE), styles.split(BATCH_SIZE), strict=True):
            vectors = self.network.style_vectors(labels.to(self.device), strength)
            repaints.append(self._forward(batch.to(self.device), vectors).cpu())
        return torch.cat(repaints)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Content codes of images: (B, 3, H, W) float in [0, 1] → (B, K, H / 8, W / 8) float32 on the device.

        Raises:
            ValueError: the images have another shape, type or range.
        """
        _check_batch(images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            return self.network.encoder(images.to(self.device).contiguous(memory_format=torch.channels_last)).float()

    @torch.no_grad()
    def _forward(self, images: Tensor, vectors: Tensor) -> Tensor:
        """(B, 3, H, W) in [0, 1] and (B, D) → (B, 3, H, W) float32 in [0, 1], all on the device."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._bf16):
            code = self.network.encoder(images.contiguous(memory_format=torch.channels_last))
            return self.network.decode(code, vectors).float().clamp(0, 1)

    def painted_size(self, height: int, width: int) -> tuple[int, int]:
        """The height and width in pixels at which the network paints an image.

        It is fully convolutional, but its brush marks have the scale of the images that it was trained on: the longer
        side is at most twice the trained size.
        """
        scale = min(1.0, 2 * self.config.size / max(height, width))
        return max(16, round(scale * height)), max(16, round(scale * width))

    def _repaint(self, image: Tensor, vector: Tensor) -> Tensor:
        """(3, H, W) in [0, 1] in the style of a vector (D,) → (3, H, W) float32 in [0, 1] on the CPU.

        What is larger than the size that the network paints is enlarged along the edges of the image itself.
        """
        image = image.to(self.device)
        height, width = image.shape[1:]
        painted_size = self.painted_size(height, width)
        small = F.interpolate(image[None], painted_size, mode="bicubic", antialias=True)[0].clamp(0, 1)
        repaint = average_over_shifts(lambda batch: self._forward(batch, vector.expand(len(batch), -1)), small)[None]
        if max(painted_size) < max(height, width):
            return guided_upsampling(repaint, image[None])[0].clamp(0, 1).cpu()
        return F.interpolate(repaint, (height, width), mode="bicubic", antialias=True)[0].clamp(0, 1).cpu()

    def _label(self, picture: Picture) -> int:
        """The label of an image file by its folder's name in any spelling, or −1."""
        label = None if isinstance(picture, Image.Image) else find_style(Path(picture).parent.name, self.styles)
        return -1 if label is None else label


load = StyleTransfer.load


def make_network(num_styles: int, options: TrainOptions) -> StyleAutoencoder:
    """A network with fresh weights.

    Args:
        num_styles: number of styles.
        options: of training.
    """
    return StyleAutoencoder(
        num_styles,
        channels=options.channels,
        embedding_dim=options.embedding_dim,
        conditioning=options.conditioning,
        width=options.width,
        blocks=options.blocks,
        noise=options.noise,
    )


def read_image(picture: Picture, side: int | None) -> Tensor:
    """An image as it is, or resized to a longer side: (3, H, W) float32 in [0, 1]."""
    image = read_picture(picture)
    if side is not None:
        scale = side / max(image.size)
        width, height = (max(1, round(scale * length)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.LANCZOS)
    return to_tensor(np.asarray(image))


def _read_square(picture: Picture, size: int) -> Tensor:
    """An image squashed to a square: (3, size, size) float32 in [0, 1]."""
    return to_tensor(square(read_picture(picture, size), size))


def _check_batch(images: Tensor) -> None:
    """Reject what is no batch (N, 3, H, W) of floats that the encoder divides into an eighth of its sides."""
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] % 8 or images.shape[3] % 8:
        raise ValueError(f"expected images (N, 3, H, W), H and W multiples of 8, got {tuple(images.shape)}")
    if images.dtype != torch.float32:
        raise ValueError(f"expected float32 images in [0, 1], got {images.dtype}")
    check_range(images)
