"""`wikiart-classify export`: a trained network as a judge, which other packages load without this one."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from wikiart_classify.classifier import Classifier
from wikiart_classify.command_options import ExportOptions
from wikiart_classify.network import StyleNet
from wikiart_classify.scores import read_result
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.judge import JudgeInfo, StyleRecall, checksum
from wikiart_data.results.serialization import json_text, to_plain
from wikiart_data.training.run import read_run_record


class JudgeModule(nn.Module):
    """What a judge computes: images (B, 3, S, S) in [0, 1] → probabilities (B, styles) and features (B, F).

    Both are means over each image and its mirror image, in fp32.
    """

    def __init__(self, network: StyleNet):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Probabilities as `classifier.probabilities`, and the input of the last layer."""
        features, flipped = self.network.features(images), self.network.features(images.flip(3))
        probabilities = self.network.head(features).softmax(dim=1) + self.network.head(flipped).softmax(dim=1)
        return probabilities / 2, (features + flipped) / 2


def export(options: ExportOptions) -> Path:
    """Write a judge.

    Returns:
        Its folder.

    Raises:
        InputError: there is no finished run, its network is a baseline, or the folder exists.
    """
    classifier = Classifier.load(options.model, "cpu", runs=options.runs)
    assert classifier.path is not None
    folder, config = classifier.path.parent, classifier.config
    result = read_result(folder)
    split, scores = result.final
    network = classifier.network
    if not isinstance(network, StyleNet):
        raise InputError(f"{folder} is a baseline ({config.model}), which cannot be a judge.", field=folder)
    check_judge_folder(options.to, options.overwrite)
    # torch.export saves contiguous weights only; the network's are channels-last.
    network = network.to(memory_format=torch.contiguous_format)  # pyright: ignore[reportCallIssue]
    example = torch.rand(2, 3, config.size, config.size)
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(JudgeModule(network).eval(), (example,), dynamic_shapes=batch)

    options.to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.to.parent, prefix=f".{options.to.name}.") as temporary:
        complete = Path(temporary) / "judge"
        complete.mkdir()
        torch.export.save(program, complete / "model.pt2")
        info = JudgeInfo(
            styles=classifier.styles,
            size=config.size,
            input="RGB in 0..1, squashed to a square; the network normalises",
            seed=config.seed,
            network=config.model,
            width=config.width,
            parameters=result.parameters,
            split=split,
            data_fingerprint=read_run_record(folder)["data"]["fingerprint"],
            n=scores.n,
            top1=scores.top1,
            top3=scores.top3,
            majority=scores.majority,
            balanced=scores.balanced,
            per_style=tuple(StyleRecall(row.style, row.n, row.recall) for row in scores.per_style),
        )
        record = to_plain(info)
        record["crc32"] = checksum((complete / "model.pt2").read_bytes(), record)
        (complete / "judge.json").write_text(json_text(record, indent=1) + "\n", encoding="utf-8")
        if options.to.exists():
            options.to.rename(Path(temporary) / "replaced")
        complete.rename(options.to)
    echo(f"Judge written to {options.to}: top-1 {100 * scores.top1:.1f} % on {scores.n:,} {split} images.")
    return options.to


def check_judge_folder(folder: Path, overwrite: bool) -> None:
    """Check that a judge can be written to a folder, before a long training.

    Raises:
        InputError: the folder exists and may not be replaced, or holds something else.
    """
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists: choose another folder, or replace it with --overwrite.", field=folder)
    if folder.exists() and not (folder / "judge.json").is_file():
        raise InputError(f"{folder} is not a judge, so it is not replaced: choose another folder.", field=folder)
