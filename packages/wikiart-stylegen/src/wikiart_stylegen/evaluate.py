"""`wikiart-stylegen evaluate`: is it the style, and is it still the picture? Every claim beside its baseline."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wikiart_autoencode.codes import Codes
from wikiart_autoencode.evaluation.image_metrics import ssim
from wikiart_autoencode.evaluation.probes import code_metrics
from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.batches import DeviceImages
from wikiart_data.images.catalog import find_data, scan
from wikiart_data.images.packed import PackedImages, pack
from wikiart_data.judge import Judge
from wikiart_data.results.folder import write_results
from wikiart_data.results.guessed_tables import bootstrap_mean, guessed_tables, kid, proportion
from wikiart_data.results.statistics import in_top_k
from wikiart_data.sample import is_sample_set
from wikiart_data.training.device import use_bf16
from wikiart_data.training.run import find_model, read_run_record
from wikiart_stylegen.config import EvaluateOptions
from wikiart_stylegen.figures import proof_figure
from wikiart_stylegen.metrics import assign_target_styles, edge_correlation, retrieval
from wikiart_stylegen.report import show_proof
from wikiart_stylegen.transfer import StyleTransfer

LEAST, LEAST_ON_SAMPLE = 50, 1
"""Where --min-train-images does not say."""
STRENGTHS = (0.5, 0.75, 1.0, 1.25, 1.5)
"""At which hits and content are measured, for the choice between them."""
BATCH = 64


def evaluate(config: EvaluateOptions) -> None:
    """Write proof/result.json and its figure into the run's folder, and print the table.

    Raises:
        InputError: there is no such run or judge, or they know other styles.
    """
    path = find_model(config.model, config.runs, "stylegen")
    transfer = StyleTransfer.load(path, config.device)
    catalog = scan(find_data(config.data or transfer.config.data, config.cache_dir), cache_dir=config.cache_dir)
    device = transfer.device
    judge = Judge.load(config.judge, device)
    for name, styles in ((str(path), transfer.styles), (f"the judge in {config.judge}", judge.styles)):
        if styles != catalog.styles:
            raise InputError(f"{name} knows other styles than {catalog.root} has.")
    packed = pack(catalog, transfer.config.size, cache_dir=config.cache_dir, max_bad_fraction=config.max_bad_fraction)
    rows = packed.rows(config.split)
    if not len(rows):
        raise InputError(f"{catalog.root} has no pictures in {config.split}.")
    if len(rows) > config.max_images:
        rows = np.sort(np.random.default_rng(config.seed).choice(rows, config.max_images, replace=False))
    counts = catalog.counts("train")
    on_sample = is_sample_set(catalog.root)
    least = LEAST_ON_SAMPLE if on_sample else LEAST
    least = least if config.min_train_images is None else config.min_train_images
    allowed = np.flatnonzero(counts >= least)
    if len(allowed) < 2:
        if config.min_train_images is not None:
            raise InputError(f"--min-train-images {least}: fewer than two styles have so many training pictures.")
        allowed = np.arange(len(counts))
    labels = catalog.labels[rows]
    wanted = assign_target_styles(labels, allowed.tolist(), config.seed)
    images = torch.cat(list(DeviceImages(packed).in_order(rows, 256, packed.size)))

    def painted(model: StyleTransfer, styles: np.ndarray, strength: float = 1.0) -> Tensor:
        return model.repaint_batch(images, torch.from_numpy(styles), strength)

    random = np.random.default_rng(config.seed)
    shuffled = allowed[random.permutation(len(allowed))]
    while (shuffled == allowed).any():
        shuffled = allowed[random.permutation(len(allowed))]
    swap = np.arange(len(counts))
    swap[allowed] = shuffled
    mismatched = painted(transfer, wanted, config.strength)
    variants: dict[str, tuple[str, Tensor, np.ndarray]] = {
        "mismatched": ("repainted in another style", mismatched, wanted),
        "matched": ("repainted in its own style", painted(transfer, labels, config.strength), labels),
        "shuffled": ("told a shuffled style", painted(transfer, swap[wanted], config.strength), wanted),
        "null": ("told no style", painted(transfer, wanted, strength=0.0), wanted),
        "unchanged": ("the input itself", images, wanted),
    }
    if config.baseline:
        simple = StyleTransfer.load(config.baseline, config.device)
        variants["concat"] = ("embedding beside the code", painted(simple, wanted), wanted)
    result: dict[str, Any] = {
        "kind": "proof",
        "command": "wikiart-stylegen evaluate",
        "split": config.split,
        "n": len(rows),
        "styles": len(allowed),
        "chance": {"top1": 1 / len(allowed), "top3": 3 / len(allowed)},
        "judge": {key: getattr(judge.info, key) for key in ("seed", "network", "width", "top1", "top3", "split")},
        "size": packed.size,
        "strength": config.strength,
        "data_fingerprint": catalog.fingerprint,
        "git_commit": read_run_record(path.parent)["git_commit"],
        "rows": {},
    }
    features: dict[str, Tensor] = {}
    for name, (label, pictures, asked) in variants.items():
        echo(f"{label} …")
        answers, features[name] = judge.predict_batches(pictures, BATCH)
        wanted_t = torch.from_numpy(asked)
        result["rows"][name] = {"label": label, **scored(answers, wanted_t, pictures, images, config.seed)}
        if name == "mismatched":
            named = in_top_k(answers, wanted_t, 1)
            result["per_style"] = [
                {"style": catalog.styles[style], "train": int(counts[style]), **proportion(named[asked == style])}
                for style in allowed
                if (asked == style).any()
            ]
    answers, of_real = judge.predict_batches(images, BATCH)
    known = np.isin(labels, allowed)
    on_real = torch.from_numpy(labels)
    result["rows"]["real"] = {
        "label": "real paintings of the style",
        "top1": proportion(in_top_k(answers, on_real, 1)[known]),
        "top3": proportion(in_top_k(answers, on_real, 3)[known]),
    }
    result["kid"] = distances(packed, judge, device, allowed, features, wanted, of_real)
    result["leakage"] = leakage(transfer, packed)
    result["strengths"] = []
    for strength in STRENGTHS:
        echo(f"at strength {strength:g} …")
        pictures = painted(transfer, wanted, strength)
        answers, _ = judge.predict_batches(pictures, BATCH)
        row = scored(answers, torch.from_numpy(wanted), pictures, images, config.seed)
        result["strengths"].append({"strength": strength, **row})
    other = painted(transfer, assign_target_styles(wanted, allowed.tolist(), config.seed + 1), config.strength)
    result["sensitivity"] = {
        "style moves": bootstrap_mean((other - mismatched).abs().mean(dim=(1, 2, 3)).numpy()),
        "rebuilt differs from input": bootstrap_mean(
            (variants["matched"][1] - images).abs().mean(dim=(1, 2, 3)).numpy()
        ),
    }
    if on_sample:
        from wikiart_stylegen.ground_truth import compare_with_truth

        result["truth"] = compare_with_truth(packed, rows, images, wanted, mismatched)
    folder = path.parent / "proof"
    write_results(folder, result, guessed_tables(result), {"proof": proof_figure(result)})
    echo()
    show_proof(result)
    echo(f"\nEverything is in {folder}/ (open {path.parent / 'index.html'}).")


def scored(answers: Tensor, wanted: Tensor, pictures: Tensor, images: Tensor, seed: int) -> dict[str, Any]:
    """Is it the style, and is it still the picture?

    Args:
        answers: (N, C) of the judge.
        wanted: (N,) labels asked for.
        pictures: (N, 3, S, S) repainted, in 0..1.
        images: (N, 3, S, S) the inputs.
        seed: of the hundreds among which an input is looked for.
    """
    return {
        "top1": proportion(in_top_k(answers, wanted, 1)),
        "top3": proportion(in_top_k(answers, wanted, 3)),
        "ssim": bootstrap_mean(ssim(pictures, images).numpy()),
        "edges": bootstrap_mean(edge_correlation(pictures, images)),
        "found": proportion(retrieval(pictures, images, seed=seed)),
    }


def distances(
    packed: PackedImages,
    judge: Judge,
    device: torch.device,
    allowed: np.ndarray,
    features: dict[str, Tensor],
    wanted: np.ndarray,
    of_inputs: Tensor,
    most: int = 300,
) -> list[dict[str, Any]]:
    """KID on the judge's features, a style at a time: repaints and inputs against real training pictures of it."""
    found = []
    for style in allowed:
        asked = wanted == style
        if asked.sum() < 8:
            continue
        rows = packed.rows("train")[packed.catalog.labels[packed.rows("train")] == style]
        rows = np.sort(np.random.default_rng(0).choice(rows, min(most, len(rows)), replace=False))
        real = judge.predict_batches(DeviceImages(packed).in_order(rows, BATCH, packed.size))[1]
        found.append(
            {
                "style": packed.catalog.styles[style],
                "painted": kid(real, features["mismatched"][asked]),
                "unchanged": kid(real, of_inputs[asked]),
            }
        )
    return found


def leakage(transfer: StyleTransfer, packed: PackedImages) -> dict[str, Any]:
    """How well the style can be read from content codes: nearest neighbours and a linear probe."""
    from wikiart_autoencode.autoencoder import encode_packed

    bf16 = use_bf16(transfer.device, transfer.config.precision)
    codes: Codes = encode_packed(transfer.network.encoder, packed, transfer.device, bf16)
    return asdict(code_metrics(codes, permutations=3))
