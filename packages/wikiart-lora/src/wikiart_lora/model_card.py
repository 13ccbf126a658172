"""The model card: what an adapter is, how it was trained, how well it does; and the upload to the hub."""

import io
import json
from pathlib import Path
from typing import Any

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.results.statistics import Estimate
from wikiart_data.training.checkpoints import read_model
from wikiart_data.training.run import read_run_record
from wikiart_lora.base_models.known import BASES
from wikiart_lora.captions import caption_for
from wikiart_lora.config import trained_styles
from wikiart_lora.score import Score

_SETTINGS = (
    "vae", "quantize", "optimizer",
    "steps", "batch_size", "size", "aspect", "rank", "alpha", "targets", "text_encoder", "rslora", "dora",
    "lora_dropout", "loraplus_ratio", "lr", "lr_scheduler", "lr_warmup_ratio", "snr_gamma", "noise_offset",
    "caption_dropout", "clip_skip", "max_sequence_length", "trigger", "power", "num_prior_images",
    "ema", "seed",
)  # fmt: skip


def model_card(folder: Path, weights: str = "model.safetensors") -> str:
    """The model card of a run, in Markdown with the hub's header.

    Args:
        folder: of the run.
        weights: name of the file that is loaded.

    Raises:
        InputError: the folder is no run.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    record = read_run_record(folder)
    config, known = record["config"], BASES.get(record["config"]["base"])
    base = known.location if known and config["base"] != "tiny" else config["base"]
    styles = trained_styles(config.get("style"), record["styles"])
    # Markdown, not HTML: nothing is to be escaped.
    environment = Environment(
        loader=PackageLoader("wikiart_lora", "."), undefined=StrictUndefined, keep_trailing_newline=True
    )
    return environment.get_template("model_card.md.jinja").render(
        config=config,
        hub_base=base if "/" in base and not base.startswith((".", "/", "~")) else None,
        # run.json has the number of all training images, and not how many there are of each style.
        train_images=record["data"]["train"] if config.get("style") is None else None,
        styles=styles,
        licence=known.licence if known else None,
        weights=weights,
        example=caption_for(styles[-1], "a lake", trigger=config["trigger"]),
        settings=_SETTINGS,
        fingerprint=record["data"]["fingerprint"],
        commit=record["git_commit"],
        grid=_last_grid(folder),
        score=_score(folder),
        percent=_percent,
        number=lambda estimate: "–" if estimate is None else f"{estimate.value:.3f}",
    )


def push(folder: Path, repository: str, weights: Path | None = None) -> None:
    """Upload an adapter, its card, its last sample grid and its score.

    Args:
        folder: of the run.
        repository: owner/name.
        weights: an exported file (default: the run's model.safetensors).

    Raises:
        InputError: the folder is no run, the file is missing or damaged, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    weights = weights or folder / "model.safetensors"
    read_model(weights)  # refuses a missing or damaged file
    files: dict[str, Any] = {"README.md": model_card(folder, weights.name).encode(), weights.name: weights}
    if grid := _last_grid(folder):
        files["grid.png"] = grid
    if (folder / "score" / "result.json").exists():
        files["score.json"] = folder / "score" / "result.json"
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        for name, content in files.items():
            source = io.BytesIO(content) if isinstance(content, bytes) else str(content)
            api.upload_file(path_or_fileobj=source, path_in_repo=name, repo_id=repository)
    except Exception as error:  # the client passes on its transport's errors, which differ by its version
        reason = " ".join(str(error).split())[:160]
        raise InputError(
            f"{repository} could not be pushed ({reason}): check the network, the name (owner/name) and `hf auth "
            f"login`. Nothing is lost; try again with wikiart-lora export {folder} --push-to-hub {repository}.",
            field="--push-to-hub",
        ) from error
    echo(f"Pushed to {repository}: {', '.join(files)}.")


def _last_grid(folder: Path) -> Path | None:
    grids = sorted((folder / "figures").glob("step-*.png"))
    return grids[-1] if grids else None


def _score(folder: Path) -> Score | None:
    try:
        return Score.from_json(json.loads((folder / "score" / "result.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, InputError):  # none, or damaged, or of another version
        return None


def _percent(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    low, high = estimate.interval
    return f"{100 * estimate.value:.1f} % ({100 * low:.0f}–{100 * high:.0f})"
