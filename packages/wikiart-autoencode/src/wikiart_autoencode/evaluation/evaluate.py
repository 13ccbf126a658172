"""`wikiart-autoencode evaluate`: autoencoders compared with PCA, JPEG and WebP at the same number of bytes."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_autoencode.autoencoder import Autoencoder
from wikiart_autoencode.config import EvaluateOptions
from wikiart_autoencode.evaluation.baseline_codes import PixelPCA, fit_pca
from wikiart_autoencode.evaluation.codecs import QUALITIES, RatePoint, quantize_8_bit, rate_curve
from wikiart_autoencode.evaluation.image_metrics import ReconstructionScores, image_scores
from wikiart_autoencode.figures import rate_figure
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.results.folder import write_results
from wikiart_data.results.serialization import from_plain, read_result
from wikiart_data.results.tables import Number, Table
from wikiart_data.training.run import find_model, read_run_record

COMPONENTS = (16, 32, 64, 128, 256, 512, 1024)
"""Numbers of principal components, one byte each."""


@dataclass(frozen=True, kw_only=True, repr=False)
class CodeRate(ReconstructionScores):
    """Reconstruction scores of an autoencoder whose code is stored in 8 bits per number."""

    code: int | None
    """Size of a vector code; None or 0 means a spatial one."""
    channels: int
    objective: str
    epochs: int
    seed: int
    width: float
    train_seconds: float
    parameters: int
    git_commit: str | None
    bytes: int
    """Per image."""
    pixels: int
    """Values per image: 3 · size²."""
    exact: ReconstructionScores
    """The scores of the code before rounding to 8 bits."""

    @property
    def label(self) -> str:
        """`vector, 256` or `spatial code`."""
        return f"vector, {self.code}" if self.code else "spatial code"


@dataclass(frozen=True)
class TrainingCost:
    """What a run's result.json says about its training."""

    train_seconds: float
    parameters: int


@dataclass(frozen=True)
class RateComparison:
    """Autoencoders, PCA and image formats: quality of reconstructions against bytes."""

    split: str
    n: int
    """Images of the split."""
    n_files: int
    """Images that were compressed as files."""
    size: int
    """Side of the images, in pixels."""
    data_fingerprint: str
    codes: tuple[CodeRate, ...]
    curves: dict[str, tuple[RatePoint, ...]]
    """Of PCA, JPEG and WebP."""
    kind: str = "rates"
    title: str = "Reconstruction quality against bytes"
    command: str = "wikiart-autoencode evaluate"

    def __repr__(self) -> str:
        return f"RateComparison({len(self.codes)} autoencoders, {', '.join(self.curves)}, {self.split}, n={self.n})"

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RateComparison":
        """Read the content of a result.json."""
        return cls(
            split=content["split"],
            n=content["n"],
            n_files=content["n_files"],
            size=content["size"],
            data_fingerprint=content["data_fingerprint"],
            codes=tuple(from_plain(CodeRate, code) for code in content["codes"]),
            curves={
                name: tuple(from_plain(RatePoint, point) for point in curve)
                for name, curve in content["curves"].items()
            },
        )


def evaluate(options: EvaluateOptions) -> RateComparison:
    """Evaluate every run and the baselines on one split; write result.json and the figure.

    Raises:
        InputError: there is no such run, it is not finished, runs were trained at different sizes, or the split is
            empty.
    """
    paths = [find_model(model, options.runs, "autoencode") for model in options.models or (None,)]
    costs = [read_result(path.parent, TrainingCost) for path in paths]
    models = [Autoencoder.load(path, device=options.device) for path in paths]
    sizes = {model.config.size for model in models}
    if len(sizes) > 1:
        raise InputError(
            f"The runs were trained at different sizes ({sorted(sizes)}): evaluate them separately.", field=paths[0]
        )
    size = sizes.pop()
    root = find_data(options.data or models[0].config.data, options.cache_dir)
    catalog = scan(root, cache_dir=options.cache_dir)
    packed = pack(catalog, size, cache_dir=options.cache_dir, max_bad_fraction=options.max_bad_fraction)
    rows = packed.rows(options.split)
    if not len(rows):
        raise InputError(f"{catalog.root} has no pictures in {options.split}.", field="--split")

    codes = []
    for path, model, cost in zip(paths, models, costs, strict=True):
        codes.append(evaluate_8_bit(model, packed, rows, path.parent, cost))
        echo(f"{path.parent}: {codes[-1].bytes} bytes, {codes[-1].psnr:.2f} dB, SSIM {codes[-1].ssim:.3f}")
    echo(f"PCA of {len(packed.rows('train')):,} training pictures …")
    curves = {"PCA": pca_curve(fit_pca(packed, max(COMPONENTS), size), packed, rows)}
    for file_format in QUALITIES:
        echo(f"{file_format} …")
        curves[file_format] = rate_curve(DeviceImages(packed).in_order(rows, 256, size), file_format)
    result = RateComparison(options.split, len(rows), len(rows), size, catalog.fingerprint, tuple(codes), curves)
    write_results(options.to, result, tables(result), {"rates": rate_figure(result)})
    echo(f"Everything is in {options.to}/ (open index.html).")
    return result


def tables(result: RateComparison) -> list[Table]:
    """Scores of each autoencoder and of the nearest point of each curve; then PSNR at exactly the same bytes."""
    points: list[tuple[str, CodeRate | RatePoint]] = [(code.label, code) for code in result.codes]
    first = result.codes[0].bytes
    for name, curve in result.curves.items():
        points.append((name, min(curve, key=lambda point: abs(math.log(point.bytes / first)))))
    # Results from before payloads were measured have none.
    without_headers = {name: curve for name, curve in result.curves.items() if curve[0].payload is not None}
    rows: list[tuple[str | Number | None, ...]] = []
    for name, point in points:
        psnr_interval = point.psnr_interval if isinstance(point, CodeRate) else None
        ssim_interval = point.ssim_interval if isinstance(point, CodeRate) else None
        payload = point.payload if isinstance(point, RatePoint) else None
        rows.append(
            (
                name,
                Number(round(point.bytes)),
                *([Number(None if payload is None else round(payload))] if without_headers else []),
                Number(point.psnr, "dB", 2, interval=psnr_interval),
                Number(point.ssim, digits=3, interval=ssim_interval),
                Number(point.mse, digits=5),
            )
        )
    title = f"Reconstruction of {result.n:,} images of {result.split}, codes in 8 bits per number"
    note = f"PCA, JPEG and WebP: at the number of bytes nearest to {first:,}. JPEG and WebP: {result.n_files:,} images."
    same_bytes = tuple(
        (
            code.label,
            Number(code.bytes),
            Number(code.psnr, "dB", 2),
            *(Number(psnr_at(curve, code.bytes), "dB", 2) for curve in result.curves.values()),
            *(Number(psnr_at(curve, code.bytes, payload=True), "dB", 2) for curve in without_headers.values()),
        )
        for code in result.codes
    )
    columns = ("code", "bytes", *(["payload"] if without_headers else []), "PSNR", "SSIM", "MSE")
    return [
        Table(title, columns, tuple(rows), note),
        Table(
            "PSNR at the same number of bytes",
            ("code", "bytes", "autoencoder", *result.curves, *(f"{name} payload" for name in without_headers)),
            same_bytes,
            "Interpolated between the points of each curve; a dash where a format has no files that small or large."
            + (" Payload: without headers and JPEG's tables." if without_headers else ""),
        ),
    ]


def psnr_at(curve: Sequence[RatePoint], size: float, *, payload: bool = False) -> float | None:
    """PSNR of a curve at a number of bytes, interpolated linearly; None outside the curve.

    Args:
        curve: of one format.
        size: bytes per image.
        payload: whether these are bytes without the file's headers and tables.
    """
    points = sorted((point.payload or 0.0 if payload else point.bytes, point.psnr) for point in curve)
    if not points[0][0] <= size <= points[-1][0]:
        return None
    sizes, psnrs = zip(*points, strict=True)
    return float(np.interp(size, sizes, psnrs))


@torch.no_grad()
def evaluate_8_bit(
    model: Autoencoder, packed: PackedImages, rows: np.ndarray, folder: Path, cost: TrainingCost
) -> CodeRate:
    """Scores of a run's reconstructions, from codes of 8 bits per number and from exact codes.

    Args:
        model: the run's.
        packed: the pictures, at the model's size.
        rows: of the pack.
        folder: of the run, for its run.json.
        cost: of its training.
    """
    exact: list[Tensor] = []
    rounded: list[Tensor] = []
    for images in DeviceImages(packed, model.device).in_order(rows, 128, packed.size):
        code = model.encode_batch(images)
        exact.append(image_scores(model.decode_batch(code), images).cpu())
        rounded.append(image_scores(model.decode_batch(quantize_8_bit(code)), images).cpu())
    config = model.config
    return CodeRate(
        **vars(ReconstructionScores.from_images(torch.cat(rounded))),
        code=config.code,
        channels=config.channels,
        objective=config.objective,
        epochs=config.epochs,
        seed=config.seed,
        width=config.width,
        **vars(cost),
        git_commit=read_run_record(folder).get("git_commit"),
        bytes=math.prod(model.code_shape),
        pixels=3 * packed.size**2,
        exact=ReconstructionScores.from_images(torch.cat(exact)),
    )


def pca_curve(pca: PixelPCA, packed: PackedImages, rows: np.ndarray) -> tuple[RatePoint, ...]:
    """Scores of PCA with one byte per component, for each of COMPONENTS that the data allows."""
    numbers = [number for number in COMPONENTS if number <= len(pca.components)]
    scores: dict[int, list[Tensor]] = {number: [] for number in numbers}
    for images in DeviceImages(packed).in_order(rows, 256, packed.size):
        code = quantize_8_bit(pca.encode(images), pca.deviations)
        for number in numbers:
            scores[number].append(image_scores(pca.decode(code[:, :number], packed.size), images))
    return tuple(RatePoint(float(number), *torch.cat(scores[number]).mean(dim=0).tolist()) for number in numbers)


@torch.no_grad()
def evaluate_split(network: nn.Module, images: DeviceImages, split: str, size: int, bf16: bool) -> ReconstructionScores:
    """Reconstruction scores on one split.

    Args:
        network: images (B, 3, S, S) in [0, 1] → (reconstructions, codes).
        images: the pack.
        split: `valid` or `test`.
        size: side of the images, in pixels.
        bf16: whether the network runs in bf16.
    """
    network.eval()
    batches = images.in_order(images.packed.rows(split), 128, size)
    return ReconstructionScores.from_images(
        torch.cat([image_scores(reconstruct_batch(network, batch, bf16), batch).cpu() for batch in batches])
    )


def reconstruct_batch(network: nn.Module, images: Tensor, bf16: bool) -> Tensor:
    """Images (B, 3, S, S) in [0, 1] → their reconstructions, clamped to [0, 1], float32."""
    with torch.autocast(images.device.type, torch.bfloat16, enabled=bf16):
        return network(images)[0].float().clamp(0, 1)
