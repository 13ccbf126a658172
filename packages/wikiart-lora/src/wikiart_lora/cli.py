"""`wikiart-lora`: train, generate, grid, evaluate, export, pretrain."""

import sys
from collections.abc import Sequence

from wikiart_data.cli.commands import Command
from wikiart_data.cli.commands import main as run_command
from wikiart_lora.bases import table
from wikiart_lora.config import (
    EvaluateConfig,
    ExportConfig,
    GenerateConfig,
    GridConfig,
    PretrainConfig,
    TrainConfig,
)

ABOUT = (
    "LoRA fine-tuning of a pretrained diffusion model in the painting styles, and a score that says what it learned."
)

COMMANDS = (
    Command("train", TrainConfig, "wikiart_lora.train:train", "train an adapter, draw before and after, score it"),
    Command("generate", GenerateConfig, "wikiart_lora.generate:generate", "paint pictures with an adapter"),
    Command("grid", GridConfig, "wikiart_lora.generate:grid", "styles × strengths at one seed, beside the base"),
    Command("evaluate", EvaluateConfig, "wikiart_lora.evaluate:evaluate", "score the base without and with an adapter"),
    Command("export", ExportConfig, "wikiart_lora.export:export", "an adapter for other programs, and for the hub"),
    Command("pretrain", PretrainConfig, "wikiart_lora.pretrain:pretrain", "make the embedded base tiny anew"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; returns its exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if asks_for_bases(arguments):
        print(table())
        return 0
    return run_command("wikiart-lora", ABOUT, COMMANDS, arguments)


def asks_for_bases(arguments: Sequence[str]) -> bool:
    """Whether `--base` stands without a name, or with `list`."""
    following = [
        arguments[place + 1] if place + 1 < len(arguments) else "list"
        for place, argument in enumerate(arguments)
        if argument == "--base"
    ]
    return any(name == "list" or name.startswith("--") for name in following) or "--base=list" in arguments
