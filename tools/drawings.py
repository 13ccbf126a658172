#!/usr/bin/env python3
"""Drawings of the pipeline and of the networks, as SVG, from the packages' own objects.

    tools/drawings.py            write report/figures/{pipeline,classifier,autoencoder,style-autoencoder}.svg
    tools/drawings.py --check    fail if one differs from what would be written

Nothing that could become wrong is typed here: a network is built with the options of its package, an image is sent
through it, and the boxes show the modules that it passed and the shapes that came out. Names of functions, classes and
packages are those of the objects themselves.

A drawing brings its own background, light or dark by the reader's preference, so that it can be read on any page, and
its smallest type is 10 pixels high where a phone shows it 370 pixels wide.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from math import log2, prod
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

import wikiart_autoencode
import wikiart_classify
import wikiart_data
import wikiart_lora
import wikiart_stylegen
from vector_drawing import SMALL, TYPE, WIDTH, Drawing
from wikiart_autoencode.config import TrainOptions as AutoencoderOptions
from wikiart_autoencode.network import AutoencoderNet, Block
from wikiart_classify.config import DEFAULTS as CLASSIFIER_DEFAULTS
from wikiart_classify.network import ResidualBlock, SqueezeExcite, StyleNet
from wikiart_classify.options import TrainOptions as ClassifierOptions
from wikiart_data.styles import STYLES
from wikiart_stylegen.config import TrainOptions as StyleOptions
from wikiart_stylegen.discriminators import PatchDiscriminator, StyleClassifier
from wikiart_stylegen.network import StyledBlock
from wikiart_stylegen.transfer import make_network

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Layer:
    """A module that an image passed, and what came out of it."""

    module: nn.Module
    shape: tuple[int, ...]
    """Of the output, without the batch: (C, H, W) or (C,)."""


def trace(network: nn.Module, modules: Sequence[nn.Module], *inputs: Tensor) -> list[Layer]:
    """The given modules of a network in the order in which they ran on `inputs`."""
    layers: list[Layer] = []

    def note(module: nn.Module, _: Any, output: Tensor) -> None:
        layers.append(Layer(module, tuple(output.shape[1:])))

    handles = [module.register_forward_hook(note) for module in modules]
    with torch.no_grad():
        network.eval()(*inputs)
    for handle in handles:
        handle.remove()
    return layers


def size_of(shape: Sequence[int]) -> str:
    """A shape as people write it: `40 × 40 × 64`, `256 numbers`."""
    return " × ".join(map(str, (*shape[1:], shape[0]))) if len(shape) > 1 else f"{shape[0]} numbers"


def stages_of(layers: Sequence[Layer], kind: type[nn.Module]) -> list[tuple[int, tuple[int, ...]]]:
    """Blocks of one kind that follow one another with the same output: how many, and its shape."""
    shapes = [layer.shape for layer in layers if isinstance(layer.module, kind)]
    return [(len(list(same)), shape) for shape, same in groupby(shapes)]


def convolution(layer: nn.Conv2d) -> str:
    """A convolution in words."""
    (height, width), stride = layer.kernel_size, layer.stride[0]
    return f"convolution {height} × {width}" + (f", stride {stride}" if stride > 1 else "")


def _millions(network: nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in network.parameters()) / 1e6:.1f} M parameters"


def classifier() -> Drawing:
    """The classifier that `wikiart-classify` trains: from an image to the probabilities of the styles."""
    options, size = ClassifierOptions(), CLASSIFIER_DEFAULTS.size
    network = StyleNet(len(STYLES), options.model, options.width)
    blocks = [block for block in network.blocks if isinstance(block, ResidualBlock)]
    layers = trace(network, [network.stem, *blocks, network.head], torch.zeros(1, 3, size, size))
    stem, head = layers[0], layers[-1]
    assert isinstance(stem.module, nn.Conv2d)
    assert isinstance(head.module, nn.Linear)
    rows = [("image", size_of((3, size, size)), "plain"), (convolution(stem.module), size_of(stem.shape), "box")]
    rows += [(f"{count} residual blocks", size_of(shape), "box") for count, shape in stages_of(layers, ResidualBlock)]
    rows += [
        ("mean over all positions", size_of((head.module.in_features,)), "code"),
        ("linear layer and softmax", f"{head.module.out_features} styles", "plain"),
    ]
    drawing = Drawing(64 * len(rows) + 16, f"The classifier: {', '.join(f'{name} {shape}' for name, shape, _ in rows)}")
    for index, (name, shape, kind) in enumerate(rows):
        y = 20 + 64 * index
        drawing.box(20, y, 300, 44, [name], kind)
        drawing.text(336, y + 28, shape, size=SMALL, anchor="start")
        if index:
            drawing.arrow((170, y - 20), (170, y))
    # One block in detail, to the right of the shapes.
    x, y, width = 486, 110, 134
    middle = x + width / 2
    assert isinstance(blocks[0].gate, SqueezeExcite)
    parts = [
        "normalise, ReLU",
        convolution(blocks[0].conv1),
        "normalise, ReLU",
        convolution(blocks[0].conv2),
        "channel gate (SE)",
    ]
    drawing.text(middle, y - 54, "residual block", "name")
    drawing.line((middle, y - 40), (middle, y - 24))
    for index, part in enumerate(parts):
        top = y + 54 * index
        drawing.arrow((middle, top - 24 if index == 0 else top - 18), (middle, top))
        drawing.box(x, top, width, 36, [], "box")
        drawing.text(middle, top + 24, part, size=SMALL - 1)
    end = y + 54 * len(parts)
    drawing.line((middle, y - 24), (x - 14, y - 24), (x - 14, end), (middle - 12, end))
    drawing.line((middle, end - 18), (middle, end - 12))
    drawing.text(middle, end + 7, "+", "name", TYPE + 3)
    drawing.arrow((middle, end + 12), (middle, end + 30))
    drawing.text(middle, 20 + 64 * len(rows) - 20 - 16, _millions(network), "note", SMALL - 1)
    return drawing


ROW = 84
"""Pixels from one row of an hourglass to the next."""
LEFT, MIDDLE, RIGHT = 122, 320, 518
"""Centres of its columns: encoder, code, decoder."""


def _hourglass(
    title: str,
    image: Sequence[int],
    down: Sequence[tuple[str, Sequence[int]]],
    code: Sequence[int],
    up: Sequence[tuple[str, Sequence[int]]],
    notes: Sequence[str],
    output: str = "reconstruction",
) -> tuple[Drawing, Callable[[int], float]]:
    """An autoencoder: the encoder on the left, its feature maps ever smaller, the code below, the decoder on the right.

    Args:
        title: what the network is called.
        image: shape of the image (3, S, S).
        down: name and output shape of the encoder's stages, as they run.
        code: shape of the code.
        up: the decoder's.
        notes: lines at the bottom.
        output: what the decoder returns.

    Returns:
        The drawing, and the upper edge of the boxes of a side.
    """
    encoder, decoder = [("image", image), *down], [*up, (output, image)]
    sides = sorted({shape[-1] for _, shape in (*encoder, *decoder)}, reverse=True)
    bottom = 20 + ROW * len(sides)
    shapes = [f"{name} {size_of(shape)}" for name, shape in (*encoder, ("code", code), *decoder)]
    drawing = Drawing(bottom + 74 + 24 * len(notes), f"{title}: {', '.join(shapes)}")

    def top(side: int) -> float:
        return 20 + ROW * sides.index(side)

    for column, stages in ((LEFT, encoder), (RIGHT, decoder)):
        for name, shape in stages:
            width = 164 + 40 * log2(shape[-1] / sides[-1]) / log2(sides[0] / sides[-1])
            kind = "plain" if name in ("image", output) else "box"
            drawing.box(column - width / 2, top(shape[-1]), width, 56, [name, size_of(shape)], kind)
        for (_, before), (_, after) in pairwise(stages):
            y = sorted((top(before[-1]), top(after[-1])))
            ends = [(column, y[0] + 56), (column, y[1])]
            drawing.arrow(*(ends if column == LEFT else ends[::-1]))
            ratio = f"÷ {before[-1] // after[-1]}" if column == LEFT else f"× {after[-1] // before[-1]}"
            drawing.text(column + 10, y[1] - 9, ratio, "note", SMALL, "start")
    middle = bottom + 24
    drawing.box(MIDDLE - 75, middle - 28, 150, 56, ["code", size_of(code)], "code")
    drawing.arrow((LEFT, bottom - ROW + 56), (LEFT, middle), (MIDDLE - 75, middle))
    drawing.arrow((MIDDLE + 75, middle), (RIGHT, middle), (RIGHT, bottom - ROW + 56))
    for index, note in enumerate(notes):
        drawing.text(MIDDLE, middle + 58 + 24 * index, note, "note", SMALL)
    return drawing, top


def _encoder_stages(network: Any, size: int) -> tuple[list[tuple[str, tuple[int, ...]]], tuple[int, ...]]:
    """The stages of an encoder for images of a side, and the shape of its code."""
    encoder = network.encoder
    blocks = [module for module in encoder.stages if isinstance(module, Block)]
    layers = trace(encoder, [*blocks, encoder], torch.zeros(1, 3, size, size))
    return [(f"{count} residual blocks", shape) for count, shape in stages_of(layers, Block)], layers[-1].shape


def _kept_code_size() -> int:
    """Dimensions of the vector code that the report measures."""
    kept = json.loads((ROOT / "report" / "rates-realart.json").read_text(encoding="utf-8"))
    return next(entry["code"] for entry in kept["codes"] if entry["code"])


def autoencoder() -> Drawing:
    """The autoencoder with a vector code that `wikiart-autoencode` trains; its last line describes the spatial one."""
    size, dimensions = AutoencoderOptions().size, _kept_code_size()
    network, spatial = AutoencoderNet(dimensions, size=size), AutoencoderNet(size=size)
    down, code = _encoder_stages(network, size)
    decoder = network.decoder
    blocks = [module for module in decoder.stages if isinstance(module, Block)]
    up = stages_of(trace(decoder, blocks, torch.zeros(1, *code)), Block)
    spatial_down, spatial_code = _encoder_stages(spatial, size)
    drawing, _ = _hourglass(
        "The autoencoder",
        (3, size, size),
        down,
        code,
        [(f"{count} residual blocks", shape) for count, shape in up],
        [
            f"{_millions(network)}; {3 * size * size // prod(code)} times fewer numbers than the image",
            f"spatial form: {len(spatial_down)} stages, code {size_of(spatial_code)}, {_millions(spatial)}",
        ],
    )
    return drawing


def style_autoencoder() -> Drawing:
    """The autoencoder conditioned on a style that `wikiart-stylegen` trains."""
    options = StyleOptions()
    network = make_network(len(STYLES), options)
    down, code = _encoder_stages(network, options.size)
    blocks = [module for module in network.decoder.stages if isinstance(module, StyledBlock)]
    style = network.embeddings(torch.zeros(1, dtype=torch.long))
    up = stages_of(trace(network.decoder, blocks, torch.zeros(1, *code), style), StyledBlock)
    scored = [network_.__name__ for network_ in (StyleClassifier, PatchDiscriminator)]
    drawing, top = _hourglass(
        "The autoencoder conditioned on style embeddings",
        (3, options.size, options.size),
        down,
        code,
        [(f"{count} FiLM blocks", shape) for count, shape in up],
        [
            f"{_millions(network)}; in training, a {scored[0]}",
            f"and a {scored[1]} score the repaints",
        ],
        output="repaint",
    )
    y = top(up[-1][1][-1]) + 28
    rows = network.embeddings.num_embeddings
    drawing.box(
        MIDDLE - 75,
        y - 39,
        150,
        78,
        ["style embedding", f"{style.shape[-1]} numbers,", f"{rows - 1} styles + null"],
        "code",
    )
    for _, shape in up:
        target = top(shape[-1]) + 28
        edge = RIGHT - (164 + 40 * log2(shape[-1] / up[0][1][-1]) / log2(options.size / up[0][1][-1])) / 2
        drawing.arrow((MIDDLE + 75, y), (MIDDLE + 90, y), (MIDDLE + 90, target), (edge, target), kind="style")
    return drawing


def _public(package: ModuleType, name: str) -> str:
    """A name that a package exports; it is not imported, which would take seconds."""
    if name not in package.__all__:
        raise SystemExit(f"{package.__name__} exports no {name}: change the drawing.")
    return name


def pipeline() -> Drawing:
    """How pictures become results: the objects of wikiart_data, the four packages, and what a run leaves."""
    stations = ["paintings/", *(_public(wikiart_data, name) for name in ("Catalog", "PackedImages", "Batches"))]
    steps = [_public(wikiart_data, "scan"), _public(wikiart_data, "pack"), ""]
    parts = [
        (wikiart_classify, "Classifier", f"{len(STYLES)} styles"),
        (wikiart_autoencode, "Autoencoder", "codes, clusters"),
        (wikiart_stylegen, "StyleTransfer", "repaints"),
        (wikiart_lora, "load_pipeline", "diffusion"),
    ]
    drawing = Drawing(428, "From a folder of paintings to results")
    widths = [104, 96, 136, 96]
    gap = (WIDTH - 40 - sum(widths)) / 3
    x = 20.0
    for name, width, step in zip(stations, widths, [*steps, ""], strict=False):
        drawing.box(x, 36, width, 44, [name], "plain" if name == stations[0] else "box")
        if name != stations[-1]:
            drawing.arrow((x + width, 58), (x + width + gap, 58))
            drawing.text(x + width + gap / 2 - 3, 50, step, "mono", SMALL - 1)
        x += width + gap
    centres = [20 + 70.5 + 153 * index for index in range(4)]
    start = WIDTH - 20 - widths[-1] / 2
    drawing.line((start, 80), (start, 100), (centres[0], 100))
    for centre, (package, loaded, what) in zip(centres, parts, strict=True):
        drawing.arrow((centre, 100), (centre, 122))
        name = package.__name__.removeprefix("wikiart_")
        drawing.box(centre - 70.5, 122, 141, 84, [name, what, _public(package, loaded)])
        drawing.arrow((centre - 20, 206), (centre - 20, 262))
    drawing.line((centres[0] + 40, 206), (centres[0] + 40, 232), (centres[3] + 40, 232), kind="style")
    for centre in centres[2:]:
        drawing.arrow((centre + 40, 232), (centre + 40, 206), kind="style")
    drawing.text((centres[1] + centres[2]) / 2, 225, "judge", "note", SMALL)
    drawing.box(
        20, 262, WIDTH - 40, 56, ["runs/<part>/<name>/", "weights, results, figures: all it takes to repeat the run"]
    )
    results = [
        ("the objects above", "for a notebook"),
        ("index.html", "tables, figures"),
        ("REPORT.md", "tools/report.py"),
    ]
    for index, lines in enumerate(results):
        x = 20 + 205 * index
        drawing.arrow((x + 95, 318), (x + 95, 350))
        drawing.box(x, 350, 190, 58, lines, "plain")
    return drawing


DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "pipeline": pipeline,
    "classifier": classifier,
    "autoencoder": autoencoder,
    "style-autoencoder": style_autoencoder,
}
"""By the file's name in report/figures."""


def main(arguments: list[str]) -> int:
    """Write or check the drawings; returns the exit status."""
    if arguments not in ([], ["--check"]):
        print(__doc__)
        return 2
    stale = []
    for name, draw in DRAWINGS.items():
        path, text = ROOT / "report" / "figures" / f"{name}.svg", draw().svg()
        if arguments:
            stale += [] if path.exists() and path.read_text(encoding="utf-8") == text else [path.name]
        else:
            path.write_text(text, encoding="utf-8")
    if stale:
        print(f"Stale: {', '.join(stale)}. Run tools/drawings.py.")
    return int(bool(stale))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
