"""`wikiart-classify export`: a trained network as a judge that other parts load without this package."""

import json
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

from wikiart_classify.checkpoint import load_network
from wikiart_classify.config import ExportConfig
from wikiart_classify.network import StyleNet
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.judge import checksum
from wikiart_data.training.run import find_model, read_run_record


class Answer(nn.Module):
    """What a judge says: images (B, 3, S, S) in 0..1 → probabilities (B, styles) and features (B, F).

    Both are means over each picture and its mirror image, in fp32.
    """

    def __init__(self, network: StyleNet):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As `answers.probabilities`, and what the last layer sees."""
        features = [self.network.features(images), self.network.features(images.flip(3))]
        shares = [self.network.head(one).softmax(dim=1) for one in features]
        return (shares[0] + shares[1]) / 2, (features[0] + features[1]) / 2


def export(config: ExportConfig) -> None:
    """Write the judge's folder.

    Raises:
        InputError: there is no finished run, its network is a baseline, or the folder exists.
    """
    path = find_model(config.model, config.runs, "classify")
    trained = load_network(path)
    size = trained.config["size"]
    try:
        result = json.loads((path.parent / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{path.parent} has no result.json: a judge must know how good it is; finish the run."
        ) from error
    split = "test" if "test" in result else "valid"
    tested = result[split]
    if not isinstance(trained.network, StyleNet):
        raise InputError(f"{path.parent} is a baseline ({trained.config['model']}): only our own networks are judges.")
    check_target(config.to, config.overwrite)
    example = torch.rand(2, 3, size, size)
    batch = {"images": {0: torch.export.Dim("batch", min=1)}}
    program = torch.export.export(Answer(trained.network).eval(), (example,), dynamic_shapes=batch)

    config.to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=config.to.parent, prefix=f".{config.to.name}.") as part:
        whole = Path(part) / "judge"
        whole.mkdir()
        torch.export.save(program, whole / "model.pt2")
        about = {
            "styles": trained.styles,
            "size": size,
            "input": "RGB in 0..1, squashed to a square; the network normalises",
            "seed": trained.config["seed"],
            "network": trained.config["model"],
            "width": trained.config.get("width", 1.0),
            "parameters": result["parameters"],
            "split": split,
            "data_fingerprint": read_run_record(path.parent)["data"]["fingerprint"],
            **{key: tested[key] for key in ("n", "top1", "top3", "majority", "balanced", "per_style")},
        }
        about["crc32"] = checksum((whole / "model.pt2").read_bytes(), about)
        (whole / "judge.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        if config.to.exists():
            config.to.rename(Path(part) / "old")
        whole.rename(config.to)
    echo(f"Judge written to {config.to}: top-1 {100 * tested['top1']:.1f} % on {tested['n']:,} {split} pictures.")


def check_target(folder: Path, overwrite: bool) -> None:
    """Find out before long work whether a judge can be written there.

    Raises:
        InputError: the folder exists and may not be replaced, or holds something else.
    """
    if folder.exists() and not overwrite:
        raise InputError(f"{folder} exists: name another folder, or replace it with --overwrite.")
    if folder.exists() and not (folder / "judge.json").is_file():
        raise InputError(f"{folder} is not a judge's folder, so it is not replaced: name another one.")
