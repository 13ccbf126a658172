"""The model card: what an adapter is, how it was made, how good it is; and the upload to the hub."""

import io
import json
from pathlib import Path
from typing import Any

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.training.checkpoints import read_model
from wikiart_data.training.run import read_run_record
from wikiart_lora.bases import BASES

_SETTINGS = (
    "steps", "batch_size", "size", "aspect", "rank", "alpha", "targets", "text_encoder", "rslora", "dora", "plus", "lr",
    "snr_gamma", "noise_offset", "dropout", "trigger", "power", "prior", "ema", "seed",
)  # fmt: skip


def card(folder: Path, weights: str = "model.safetensors") -> str:
    """The model card of a run, in Markdown with the hub's header.

    Args:
        folder: the run's.
        weights: name of the file that is loaded.

    Raises:
        InputError: the folder is no run.
    """
    record = read_run_record(folder)
    config, score = record["config"], _read(folder / "score" / "result.json")
    known = BASES.get(config["base"])
    base = known.place if known and config["base"] != "tiny" else config["base"]
    header = ["---", "library_name: diffusers", "tags: [lora, text-to-image, painting-styles, wikiart]"]
    if "/" in base and not base.startswith((".", "/", "~")):
        header.append(f"base_model: {base}")
    lines = [
        *header,
        "---",
        "",
        "# Painting styles",
        "",
        f"A LoRA adapter for `{config['base']}`, trained with wikiart-lora on {record['data']['train']:,} pictures of "
        f"{len(record['styles'])} styles: {', '.join(record['styles'])}.",
        *([f"The base's licence is {known.licence}."] if known else []),
        "",
        "```python",
        f'pipeline.load_lora_weights("<this repository>", weight_name="{weights}")',
        f'pipeline("{_example(record)}")',
        "```",
        "",
        "| setting | value |",
        "|---|---|",
        *(f"| {name} | {config[name]} |" for name in _SETTINGS),
        f"| data fingerprint | {record['data']['fingerprint']} |",
        f"| code | {record['git_commit']} |",
        "",
    ]
    grids = sorted((folder / "figures").glob("step-*.png"))
    if grids:
        lines += [
            "Each pair: the base alone, and with the adapter, same prompt and noise.",
            "",
            "![before and after](grid.png)",
            "",
        ]
    lines += ["## Score", "", *_score_lines(score)]
    return "\n".join(lines) + "\n"


def push(folder: Path, repository: str) -> None:
    """Upload the adapter, its card and its grid.

    Raises:
        InputError: the run is not finished, or the hub refuses or cannot be reached.
    """
    from huggingface_hub import HfApi

    files: dict[str, Any] = {"README.md": card(folder).encode()}
    read_model(folder / "model.safetensors")  # whole and ours, or it is refused here
    files["model.safetensors"] = folder / "model.safetensors"
    grids = sorted((folder / "figures").glob("step-*.png"))
    if grids:
        files["grid.png"] = grids[-1]
    if (folder / "score" / "result.json").exists():
        files["score.json"] = folder / "score" / "result.json"
    api = HfApi()
    try:
        api.create_repo(repository, exist_ok=True)
        for name, content in files.items():
            source = io.BytesIO(content) if isinstance(content, bytes) else str(content)
            api.upload_file(path_or_fileobj=source, path_in_repo=name, repo_id=repository)
    except Exception as error:  # the client lets its transport's errors through, and they differ by its version
        first = " ".join(str(error).split())[:160]
        raise InputError(
            f"{repository} could not be pushed ({first}): check the network, the name (owner/name) and `hf auth "
            f"login`. Nothing is lost; try again with wikiart-lora export {folder} --push-to-hub {repository}."
        ) from error
    echo(f"Pushed to {repository}: {', '.join(files)}.")


def _score_lines(score: dict[str, Any] | None) -> list[str]:
    if score is None:
        return ["Not scored."]
    lines = ["| | judge: top-1 | top-3 | KID | diversity |", "|---|---|---|---|---|"]
    for name, row in score["rows"].items():
        cells = [
            f"{100 * row[key]['value']:.1f} % ({100 * row[key]['interval'][0]:.0f}–{100 * row[key]['interval'][1]:.0f})"
            if key in row
            else "–"
            for key in ("top1", "top3")
        ]
        cells.append(f"{row['kid']['value']:.3f}" if "kid" in row else "–")
        cells.append(f"{row['diversity']['value']:.3f}" if row.get("diversity") else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += ["", f"{score['n']} pictures, in brackets 95 % intervals."]
    for name, aim in score["targets"].items():
        lines.append(
            f"- {name}: {aim['value']:.3g} (aim {aim['aim']:.3g}, {'reached' if aim['reached'] else 'missed'})"
        )
    return lines


def _example(record: dict[str, Any]) -> str:
    from wikiart_lora.captions import caption_for

    return caption_for(record["styles"][-1], "a lake", trigger=record["config"]["trigger"])


def _read(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
