"""`wikiart-lora evaluate`: did the adapter learn the styles? The base without and with it, same prompts and seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, scan
from wikiart_data.images.data_folder import find_data
from wikiart_data.judge import Judge
from wikiart_data.results.folder import write_results
from wikiart_data.results.statistics import Estimate, bootstrap_mean, feature_scale, in_top_k, kid, proportion
from wikiart_data.sample import is_sample_set
from wikiart_data.styles import display_name
from wikiart_data.training.run import read_run_record
from wikiart_lora.adapter import set_strength
from wikiart_lora.base_models.families import decode_latents, encode_images
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.captions import caption_for, image_titles
from wikiart_lora.figures import image_grid, pairs_figure, score_figure
from wikiart_lora.metrics import balanced_proportion, diversity, memorisation, thumbnails
from wikiart_lora.options import EvaluateOptions
from wikiart_lora.pipeline import LoadedRun, load_run
from wikiart_lora.real_images import RealImages, choose_held_out, random_rows, read_real_images
from wikiart_lora.sampling import sample_images
from wikiart_lora.score import (
    Drift,
    Measures,
    Score,
    StyleRow,
    compare_with_targets,
    has_targets,
    print_score,
    style_estimate,
    tables,
)
from wikiart_lora.tiny_base.scene_probe import scene_accuracy, scene_kinds, train_scene_probe

MAX_PLAIN = 108
"""Images without a style, of base and adapter each."""


@dataclass(frozen=True)
class Prompts:
    """What is generated: each style with the same titles."""

    labels: np.ndarray
    """(N,) the style of each prompt, equal ones together."""
    texts: tuple[str, ...]
    """N prompts."""
    plain: tuple[str, ...]
    """The same without style and trigger."""
    kinds: np.ndarray | None
    """(N,) kinds of scenes; sample set only."""
    seeds: tuple[int, ...]


def find_judge(folder: Path | None) -> Path | None:
    """The judge's folder: the given one, else `judge` in the working directory, else None."""
    if folder is not None:
        return folder
    return Path("judge") if (Path("judge") / "judge.json").is_file() else None


def evaluate(options: EvaluateOptions) -> Score:
    """Generate, measure, print the tables, and write score/ into the run's folder.

    What is measured on valid or at another strength than 1 stands beside it, such as in score-valid-0.8/.

    Raises:
        InputError: there is no such run or judge, or they have other styles.
    """
    run = load_run(options.model, options.runs, options.device, options.strength)
    catalog = scan(find_data(options.data or run.config.data, options.cache_dir), cache_dir=options.cache_dir)
    if catalog.styles != run.styles:
        raise InputError(f"{run.file} was trained on other styles than {catalog.root} has.", field=catalog.root)
    judge = _load_judge(find_judge(options.judge), catalog, run.base.device)
    labels = [catalog.styles.index(style) for style in run.trained_styles]
    real = choose_held_out(catalog, options.split, labels)
    labels_of_prompts = np.repeat(labels, options.images_per_style)
    prompts = make_prompts(catalog, real.split, labels_of_prompts, run.config.trigger, options.seed)
    size = run.config.size
    sampling = (options.num_inference_steps, options.guidance_scale, options.guidance_rescale)
    generated: dict[str, Tensor] = {}
    for name, strength in (("base", 0.0), ("adapted", options.strength)):
        set_strength(run.base, strength)
        label = f"generating {len(prompts.texts)} images {'with the adapter' if strength else 'by the base alone'}"
        generated[name] = sample_images(run.base, prompts.texts, prompts.seeds, size, *sampling, label=label)
    set_strength(run.base, 0.0)  # what follows measures the base's autoencoder, and the base on plain prompts

    train = read_real_images(catalog, random_rows(catalog, "train", labels, options.seed), size, at_least=1)
    styles_of_real = range(len(catalog.styles)) if real.all_styles else labels
    held_out = read_real_images(catalog, random_rows(catalog, real.split, styles_of_real, options.seed), size)
    rows, per_style = {name: Measures() for name in generated}, [StyleRow(catalog.styles[label]) for label in labels]
    if judge is not None:
        rows, per_style = judge_images(judge, run.base, generated, prompts.labels, held_out, catalog)
    else:
        for name, images in generated.items():
            by_style = [thumbnails(images[prompts.labels == label]) for label in labels]
            rows[name] = Measures(diversity=_mean_diversity(by_style))
    probe = network = None
    plain = {} if judge is None and prompts.kinds is None else sample_without_style(run, prompts, options)
    if prompts.kinds is not None:
        kinds = [scene_kinds([catalog.files[row] for row in images.rows]) for images in (train, held_out)]
        network = train_scene_probe(train.images, kinds[0], options.seed)
        probe = {
            "real": scene_accuracy(network, held_out.images, kinds[1].numpy()),
            # The base gets the scene alone: the adapter's cost is measured against the base at its best.
            "base": scene_accuracy(network, plain["base"], prompts.kinds[: len(plain["base"])]),
            **{f"{name}, style asked": scene_accuracy(network, x, prompts.kinds) for name, x in generated.items()},
        }
    references = thumbnails(train.images), thumbnails(held_out.images)
    near = {name: memorisation(thumbnails(images), *references) for name, images in generated.items()}
    score = Score(
        base=run.base.name,
        split=real.split,
        real_of_all_styles=real.all_styles,
        strength=options.strength,
        n=len(prompts.texts),
        styles=len(labels),
        side=size,
        seed=options.seed,
        data_fingerprint=catalog.fingerprint,
        git_commit=read_run_record(run.file.parent).get("git_commit"),
        training=_training_facts(run),
        rows=rows,
        memorisation=near,
        per_style=tuple(per_style),
        judge=None if judge is None else _judge_facts(judge),
        chance=None if judge is None else _chance(judge),
        probe=probe,
        drift=measure_drift(plain, prompts, judge, network),
        targets=compare_with_targets(rows, near["adapted"], probe) if has_targets(run.base.name, catalog.root) else {},
    )
    on_valid = "-valid" if options.split == "valid" else ""
    at_strength = "" if options.strength == 1 else f"-{options.strength:g}"
    folder = run.file.parent / f"score{on_valid}{at_strength}"
    _write(folder, catalog, score, generated, train.images, prompts.labels)
    return score


def sample_without_style(run: LoadedRun, prompts: Prompts, options: EvaluateOptions) -> dict[str, Tensor]:
    """Images of the prompts without style and trigger, by the base and with the adapter; at most MAX_PLAIN each.

    Returns:
        "base" and "adapted" → (N, 3, S, S) float in [0, 1].
    """
    number, images = min(MAX_PLAIN, len(prompts.plain)), {}
    for name, strength in (("adapted", options.strength), ("base", 0.0)):  # the base last: it is measured on after this
        set_strength(run.base, strength)
        images[name] = sample_images(
            run.base,
            prompts.plain[:number],
            prompts.seeds[:number],
            run.config.size,
            options.num_inference_steps,
            options.guidance_scale,
            options.guidance_rescale,
            label=f"generating {number} images without a style",
        )
    return images


def measure_drift(
    plain: Mapping[str, Tensor], prompts: Prompts, judge: Judge | None, probe: nn.Module | None
) -> Drift | None:
    """How far the adapter changes images of prompts without a style.

    Args:
        plain: as returned by `sample_without_style`.
        prompts: that they are of.
        judge: for its features.
        probe: of scenes.

    Returns:
        KID of images of the first half of the prompts to the base's own images of the second half, and the scenes of
        all images; None where there is neither a judge nor a probe. The halves have other seeds; the same titles are in
        both only where they repeat, for several styles.
    """
    if judge is None and probe is None:
        return None
    half = len(plain["base"]) // 2
    distances: list[Estimate | None] = [None, None]
    if judge is not None and half > 1:
        # Images of the same seed resemble each other, which KID takes for agreement: so the seeds differ.
        reference = judge.predict_batches(plain["base"][half:], 64)[1]
        distances = [kid(reference, judge.predict_batches(plain[name][:half], 64)[1]) for name in ("adapted", "base")]
    scenes: list[Estimate | None] = [None, None]
    if probe is not None and prompts.kinds is not None:
        kinds = prompts.kinds[: len(plain["base"])]
        scenes = [scene_accuracy(probe, plain[name], kinds) for name in ("adapted", "base")]
    return Drift(*distances, *scenes)


def _load_judge(folder: Path | None, catalog: Catalog, device: torch.device) -> Judge | None:
    if folder is None:
        echo("There is no judge, so styles are not measured: make one with wikiart-classify --export judge.")
        return None
    judge = Judge.load(folder, device)
    if judge.styles != catalog.styles:
        raise InputError(f"The judge in {folder} has other styles than {catalog.root}.", field="--judge")
    return judge


def _judge_facts(judge: Judge) -> dict[str, Any]:
    return {key: getattr(judge.info, key) for key in ("seed", "network", "width", "top1", "top3", "split", "size")}


def _chance(judge: Judge) -> dict[str, float]:
    return {"top1": 1 / len(judge.styles), "top3": min(1.0, 3 / len(judge.styles))}


def _training_facts(run: LoadedRun) -> dict[str, Any]:
    """Options and cost of the training run, from its result and record; {} for a run that was not finished."""
    folder = run.file.parent
    try:
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    record = read_run_record(folder)
    options = {name: getattr(run.config, name) for name in ("batch_size", "rank", "targets", "lr", "seed")}
    costs = {name: result[name] for name in ("steps", "train_seconds", "trainable")}
    return {**options, **costs, "device": record["device"], "processes": record["processes"]}


def make_prompts(catalog: Catalog, split: str, labels: np.ndarray, trigger: str, seed: int) -> Prompts:
    """Combine styles with titles of a split, the same titles for every style.

    Args:
        catalog: the data.
        split: whose titles; those of train if it is empty.
        labels: (N,) the style of each image, equal ones together.
        trigger: of the run.
        seed: of titles and noise.
    """
    rows = catalog.rows(split) if len(catalog.rows(split)) else catalog.rows("train")
    per_style = int((labels == labels[0]).sum())
    styles = len(labels) // per_style
    titles = image_titles(catalog)
    rows = np.array([row for row in rows if titles[row]] or rows)
    chosen = np.resize(np.random.default_rng(seed).permutation(rows), per_style)
    kinds = None
    if is_sample_set(catalog.root):
        kind_of_row = scene_kinds([catalog.files[row] for row in rows]).numpy()
        order = np.random.default_rng(seed).permutation(len(rows))
        # The kinds in turn, so that each occurs about equally often.
        by_kind = [order[kind_of_row[order] == kind] for kind in np.unique(kind_of_row)]
        chosen = np.array([rows[_in_turn(by_kind, number)] for number in range(per_style)])
        kinds = np.tile(scene_kinds([catalog.files[row] for row in chosen]).numpy(), styles)
    repeated = [titles[row] for row in chosen] * styles
    texts = tuple(
        caption_for(catalog.styles[label], title, trigger=trigger)
        for label, title in zip(labels, repeated, strict=True)
    )
    seeds = tuple(seed * 100_003 + number for number in range(len(texts)))
    return Prompts(labels, texts, tuple(repeated), kinds, seeds)


def _in_turn(groups: Sequence[np.ndarray], number: int) -> int:
    group = groups[number % len(groups)]
    return int(group[number // len(groups) % len(group)])


def judge_images(
    judge: Judge,
    base: BaseModel,
    generated: Mapping[str, Tensor],
    labels: np.ndarray,
    real: RealImages,
    catalog: Catalog,
) -> tuple[dict[str, Measures], list[StyleRow]]:
    """Hit rates, KID and diversity by the judge.

    Args:
        judge: knows the styles of the catalog.
        base: with the adapter turned off; its autoencoder bounds what any adapter can show.
        generated: "base" and "adapted" → (N, 3, S, S) float in [0, 1].
        labels: (N,) the style of each prompt.
        real: held-out images; KID is measured to those of the prompts' styles.
        catalog: the data.

    Returns:
        The measures of base, adapted, real, and real images encoded and decoded; and a row per style.
    """
    answers_real, features_real = judge.predict_batches(real.images, 64)
    base.use("autoencoder")
    reconstructed = torch.cat(
        [decode_latents(base, encode_images(base, part * 2 - 1)).cpu() for part in real.images.split(32)]
    )
    answers_reconstructed, _ = judge.predict_batches(reconstructed, 64)
    scale, styles = feature_scale(features_real), np.unique(labels)
    by_set: dict[str, Measures] = {}
    by_style: dict[str, list[Measures]] = {}
    for name, images in generated.items():
        answers, features = judge.predict_batches(images, 64)
        hits = [in_top_k(answers, torch.from_numpy(labels), k) for k in (1, 3)]
        by_style[name] = []
        for label in styles:
            of_style, real_of_style = labels == label, real.labels == label
            top1, top3 = (proportion(hit[of_style]) for hit in hits)
            several = of_style.sum() > 1
            spread = style_estimate(diversity(features[of_style])) if several else None
            distance = None
            if several and real_of_style.sum() > 1:
                distance = kid(features_real[real_of_style], features[of_style], scale)
            by_style[name].append(Measures(top1, top3, distance, spread))
        top1, top3 = (proportion(hit) for hit in hits)
        distance, of_styles = None, torch.from_numpy(np.isin(real.labels, styles))
        if of_styles.sum() > 1 and len(features) > 1:
            distance = kid(features_real[of_styles], features, scale)
        spread = _mean_diversity([features[labels == label] for label in styles])
        by_set[name] = Measures(top1, top3, distance, spread)
    truth = torch.from_numpy(real.labels)
    spread_real = _mean_diversity([features_real[real.labels == label] for label in styles])
    for name, answers, spread in (
        ("real", answers_real, spread_real),
        ("real, encoded and decoded", answers_reconstructed, None),
    ):
        top1, top3 = (balanced_proportion(in_top_k(answers, truth, k), real.labels) for k in (1, 3))
        by_set[name] = Measures(top1, top3, None, spread)
    rows = zip(styles, by_style["base"], by_style["adapted"], strict=True)
    return by_set, [StyleRow(catalog.styles[label], base, adapted) for label, base, adapted in rows]


def _mean_diversity(features_by_style: Sequence[Tensor]) -> Estimate | None:
    values = [diversity(features) for features in features_by_style if len(features) > 1]
    return bootstrap_mean(np.array(values)) if values else None


def _write(
    folder: Path, catalog: Catalog, score: Score, generated: Mapping[str, Tensor], train: Tensor, labels: np.ndarray
) -> None:
    """Print the score and write it with its figures."""
    figures = {"score": score_figure(score)} if score.judge is not None else {}
    # Another title for each next style: the figure shows all of them, and none is selected by hand.
    by_style = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    shown = [int(indices[number % len(indices)]) for number, indices in enumerate(by_style)]
    names = [display_name(catalog.styles[label]) for label in np.unique(labels)]
    figures["before-after"] = pairs_figure(generated["base"][shown], generated["adapted"][shown], names)
    near = score.memorisation["adapted"]
    closest = torch.stack([generated["adapted"][near.nearest], train[near.nearest_train]])[None]
    figures["nearest"] = image_grid(closest, ["nearest pair"], ["generated", "training image"])
    write_results(folder, score.to_json(), tables(score), figures)
    print_score(score)
    echo(f"\nThe evaluation is in {folder}/ (open {folder.parent / 'index.html'}).")
