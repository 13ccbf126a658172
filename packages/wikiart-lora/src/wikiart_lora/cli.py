"""`wikiart-lora`: train, generate, grid, evaluate, export, pretrain."""

import sys
from collections.abc import Sequence

from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command
from wikiart_lora.base_models.known import table
from wikiart_lora.config import TrainOptions
from wikiart_lora.options import EvaluateOptions, ExportOptions, GenerateOptions, GridOptions
from wikiart_lora.tiny_base.config import (
    AutoencoderOptions,
    DecoderOptions,
    DenoiserOptions,
    EvaluateAutoencoderOptions,
    EvaluateBaseOptions,
    NarrowOptions,
)

_TINY = "wikiart_lora.tiny_base"

ABOUT = "LoRA fine-tuning of a pretrained diffusion model in the painting styles, and an evaluation of the result."

COMMANDS = (
    Command("train", TrainOptions, "wikiart_lora.training:train", "train an adapter, sample grids, evaluate it"),
    Command("generate", GenerateOptions, "wikiart_lora.generate:generate", "generate images with an adapter"),
    Command("grid", GridOptions, "wikiart_lora.generate:grid", "styles × strengths at one seed, and the base alone"),
    Command(
        "evaluate", EvaluateOptions, "wikiart_lora.evaluation:evaluate", "evaluate a base with and without adapter"
    ),
    Command("export", ExportOptions, "wikiart_lora.export:export", "write an adapter for other programs or the hub"),
    Command(
        "pretrain-autoencoder",
        AutoencoderOptions,
        f"{_TINY}.autoencoder:pretrain_autoencoder",
        "pretrain tiny, 1: autoencoder",
    ),
    Command("pretrain-decoder", DecoderOptions, f"{_TINY}.autoencoder:pretrain_decoder", "pretrain tiny, 2: decoder"),
    Command(
        "pretrain-denoiser", DenoiserOptions, f"{_TINY}.denoiser:pretrain_denoiser", "pretrain tiny, 3: the whole base"
    ),
    Command("narrow-posterior", NarrowOptions, f"{_TINY}.autoencoder:narrow", "narrow an autoencoder's posterior"),
    Command(
        "evaluate-autoencoder",
        EvaluateAutoencoderOptions,
        f"{_TINY}.autoencoder_quality:evaluate_autoencoder",
        "measure what an autoencoder preserves",
    ),
    Command(
        "evaluate-base",
        EvaluateBaseOptions,
        f"{_TINY}.base_quality:evaluate_base",
        "measure whether a base follows captions",
    ),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if lists_bases(arguments):
        print(table())
        return 0
    return run_command("wikiart-lora", ABOUT, COMMANDS, arguments)


def lists_bases(arguments: Sequence[str]) -> bool:
    """Whether `--base` is given without a name, or with `list`."""
    values = [
        arguments[index + 1] if index + 1 < len(arguments) else "list"
        for index, argument in enumerate(arguments)
        if argument == "--base"
    ]
    return any(value == "list" or value.startswith("--") for value in values) or "--base=list" in arguments
