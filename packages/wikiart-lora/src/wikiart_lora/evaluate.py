"""`wikiart-lora evaluate`: did it learn the styles? The base and the adapter, on the same prompts and seeds."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog, find_data, scan
from wikiart_data.images.decode import BadPictureError, decode
from wikiart_data.judge import Judge
from wikiart_data.results.folder import write_results
from wikiart_data.results.guessed_tables import bootstrap_mean, guessed_tables, kid, proportion
from wikiart_data.results.statistics import feature_scale, in_top_k
from wikiart_data.sample import is_sample_set
from wikiart_data.styles import display_name
from wikiart_data.training.run import read_run_record
from wikiart_lora.adapter import set_strength
from wikiart_lora.buckets import fitted
from wikiart_lora.captions import PLAIN, caption_for, titles
from wikiart_lora.config import EvaluateConfig
from wikiart_lora.families import decode_latents, encode_pictures
from wikiart_lora.figures import pairs_figure, picture_grid, score_figure
from wikiart_lora.generate import Trained, open_trained
from wikiart_lora.measures import diversity, memorisation, small
from wikiart_lora.painting import paint
from wikiart_lora.probe import kept, kinds_of, train_probe
from wikiart_lora.report import show_score
from wikiart_lora.supply import label_of

MOST_REAL = 1500
"""Training pictures that are compared with, drawn at random from larger sets."""
TARGETS = {"times_base": 3.0, "hit_rate": 0.6, "scene_points": 15.0}
"""What an adapter of `tiny` on the sample set should reach."""


def find_judge(named: Path | None) -> Path | None:
    """The judge's folder: as named, else `judge` where the command is run, else None."""
    if named is not None:
        return named
    return Path("judge") if (Path("judge") / "judge.json").is_file() else None


def evaluate(config: EvaluateConfig) -> None:
    """Paint, measure, print the table, and write score/ into the run's folder.

    Raises:
        InputError: there is no such run or judge, or they know other styles.
    """
    score(config)


def score(config: EvaluateConfig) -> dict[str, Any]:
    """As `evaluate`.

    Returns:
        What score/result.json holds.

    Raises:
        InputError: there is no such run or judge, or they know other styles.
    """
    trained = open_trained(config.model, config.runs, config.device, config.strength)
    catalog = scan(find_data(config.data or trained.config["data"], config.cache_dir), cache_dir=config.cache_dir)
    if catalog.styles != trained.styles:
        raise InputError(f"{trained.file} was trained on other styles than {catalog.root} has.")
    place = find_judge(config.judge)
    judge = Judge.load(place, trained.base.denoiser.device) if place else None
    if judge is not None and judge.styles != catalog.styles:
        raise InputError(f"The judge in {place} knows other styles than {catalog.root} has.")
    if judge is None:
        echo("There is no judge, so styles cannot be scored: make one with wikiart-classify --export judge.")
    labels = range(len(catalog.styles))
    if trained.config["style"]:
        labels = [label_of(trained.config["style"], catalog)]
    wanted = np.repeat(np.array(labels), config.pictures)
    prompts, plain, kinds = questions(catalog, wanted, trained.config["trigger"], config.seed)
    seeds = [config.seed * 100_003 + number for number in range(len(prompts))]
    side = trained.config["size"]
    made: dict[str, Tensor] = {}
    for name, strength in (("base", 0.0), ("adapted", config.strength)):
        set_strength(trained.base, strength)
        label = f"painting {len(prompts)} pictures, {'the base alone' if not strength else 'with the adapter'}"
        made[name] = paint(trained.base, prompts, seeds, side, config.sampling, config.guidance, label=label)
    set_strength(trained.base, 0.0)

    train_rows = sample(real_rows(catalog, "train", labels), MOST_REAL, config.seed)
    valid_rows = sample(real_rows(catalog, "valid", labels), MOST_REAL, config.seed)
    real, _ = read_real(catalog, train_rows, side)
    held, held_labels = read_real(catalog, valid_rows, side)
    result: dict[str, Any] = {
        "kind": "lora score",
        "command": "wikiart-lora evaluate",
        "base": trained.base.name,
        "strength": config.strength,
        "n": len(prompts),
        "styles": len(labels),
        "side": side,
        "seed": config.seed,
        "data_fingerprint": catalog.fingerprint,
        "git_commit": read_run_record(trained.file.parent)["git_commit"],
        "training": how_trained(trained),
        "rows": {name: {} for name in made},
        "memorisation": {name: memorisation(small(images), small(real), small(held)) for name, images in made.items()},
    }
    result["per_style"] = [{"style": catalog.styles[label]} for label in labels]
    if judge is not None:
        with_judge(result, judge, made, wanted, held, held_labels, trained)
    else:
        for name, images in made.items():
            spread = [diversity(small(images[wanted == label])) for label in labels if (wanted == label).sum() > 1]
            result["rows"][name]["diversity"] = bootstrap_mean(np.array(spread)) if spread else None
    if kinds is not None:
        known = kinds_of([catalog.files[row] for row in train_rows])
        on_valid = kinds_of([catalog.files[row] for row in valid_rows])
        probe = train_probe(real, known, held, on_valid, config.seed)
        result["probe"] = {"real": probe.on_valid}
        # The base is asked for the scene alone: what the adapter costs is measured against the base at its best.
        set_strength(trained.base, 0.0)
        scenes = paint(
            trained.base, plain, seeds, side, config.sampling, config.guidance, label="painting scenes alone"
        )
        result["probe"]["base"] = kept(probe, scenes, kinds)
        for name, images in made.items():
            result["probe"][f"{name}, style asked"] = kept(probe, images, kinds)
    result["targets"] = against_targets(result)
    write(trained, catalog, result, made, real, wanted)
    return result


def how_trained(trained: Trained) -> dict[str, Any]:
    """What the adapter cost, of the run's result and record; {} for a run that was not finished."""
    folder = trained.file.parent
    try:
        found = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    record = read_run_record(folder)
    options = {name: trained.config[name] for name in ("batch_size", "rank", "targets", "lr", "seed")}
    costs = {name: found[name] for name in ("steps", "train_seconds", "trainable")}
    return {**options, **costs, "device": record["device"], "processes": record["processes"]}


def questions(
    catalog: Catalog, wanted: np.ndarray, trigger: str, seed: int
) -> tuple[list[str], list[str], np.ndarray | None]:
    """What is asked for: a style and a thing out of valid each, in turn, so that all styles get the same things.

    Args:
        catalog: the data.
        wanted: (N,) the style of each picture, equal ones together.
        trigger: of the run.
        seed: of the choice of things.

    Returns:
        N prompts, the same without style and trigger, and on the sample set the kinds of scenes (N,), else None.
    """
    rows = catalog.rows("valid") if len(catalog.rows("valid")) else catalog.rows("train")
    number = int((wanted == wanted[0]).sum())
    known = titles(catalog)
    rows = np.array([row for row in rows if known[row]] or rows)
    chosen = np.resize(np.random.default_rng(seed).permutation(rows), number)
    kinds = None
    if is_sample_set(catalog.root):
        all_kinds = kinds_of([catalog.files[row] for row in rows]).numpy()
        order = np.random.default_rng(seed).permutation(len(rows))
        # A kind after the other, so that each is asked for about equally often.
        turns = [order[all_kinds[order] == kind] for kind in np.unique(all_kinds)]
        chosen = np.array([rows[_in_turn(turns, place)] for place in range(number)])
        kinds = np.tile(kinds_of([catalog.files[row] for row in chosen]).numpy(), len(wanted) // number)
    things = [known[row] for row in chosen] * (len(wanted) // number)
    prompts = [
        caption_for(catalog.styles[label], thing, trigger=trigger) for label, thing in zip(wanted, things, strict=True)
    ]
    return prompts, [PLAIN.format(title=thing) for thing in things], kinds


def _in_turn(turns: list[np.ndarray], place: int) -> int:
    mine = turns[place % len(turns)]
    return int(mine[place // len(turns) % len(mine)])


def with_judge(
    result: dict[str, Any],
    judge: Judge,
    made: dict[str, Tensor],
    wanted: np.ndarray,
    held: Tensor,
    held_labels: np.ndarray,
    trained: Trained,
) -> None:
    """Put into the result what the judge says: hit rates, KID and diversity by style and over all styles."""
    result["judge"] = {
        key: getattr(judge.info, key) for key in ("seed", "network", "width", "top1", "top3", "split", "size")
    }
    result["chance"] = {"top1": 1 / len(judge.styles), "top3": min(1.0, 3 / len(judge.styles))}
    of_real, features_real = judge.predict_batches(held, 64)
    # What the base's own autoencoder leaves of real paintings is the most that any adapter can show.
    decoded = torch.cat(
        [decode_latents(trained.base, encode_pictures(trained.base, part * 2 - 1)).cpu() for part in held.split(32)]
    )
    through, _ = judge.predict_batches(decoded, 64)
    truth = torch.from_numpy(held_labels)
    for name, answers in (("real", of_real), ("real, encoded and decoded", through)):
        result["rows"][name] = {f"top{k}": proportion(in_top_k(answers, truth, k)) for k in (1, 3)}
    scale = feature_scale(features_real)
    labels = np.unique(wanted)
    for name, images in made.items():
        answers, features = judge.predict_batches(images, 64)
        asked = torch.from_numpy(wanted)
        top = {k: in_top_k(answers, asked, k) for k in (1, 3)}
        row = result["rows"][name]
        row |= {f"top{k}": proportion(top[k]) for k in (1, 3)}
        if len(features_real) > 1 and len(features) > 1:
            row["kid"] = kid(features_real, features, scale)
        spread = []
        for entry, label in zip(result["per_style"], labels, strict=True):
            mine, theirs = wanted == label, held_labels == label
            entry[name] = {f"top{k}": proportion(top[k][mine]) for k in (1, 3)}
            if mine.sum() > 1:
                entry[name]["diversity"] = diversity(features[mine])
                spread.append(entry[name]["diversity"])
            if mine.sum() > 1 and theirs.sum() > 1:
                entry[name]["kid"] = kid(features_real[theirs], features[mine], scale)
        row["diversity"] = bootstrap_mean(np.array(spread)) if spread else None
    of_style = [diversity(features_real[held_labels == one]) for one in labels if (held_labels == one).sum() > 1]
    result["rows"]["real"]["diversity"] = bootstrap_mean(np.array(of_style)) if of_style else None


def against_targets(result: dict[str, Any]) -> dict[str, Any]:
    """What was aimed at, what was reached, and whether that is enough; left out where it was not measured."""
    found: dict[str, Any] = {}
    rows = result["rows"]
    if "top1" in rows["adapted"]:
        before, after = (rows[name]["top1"]["value"] for name in ("base", "adapted"))
        times = after / max(before, 1 / rows["base"]["top1"]["n"])
        found["hit rate, times the base's"] = _aim(times, TARGETS["times_base"], times >= TARGETS["times_base"])
        found["hit rate"] = _aim(after, TARGETS["hit_rate"], after >= TARGETS["hit_rate"])
    if "probe" in result:
        lost = 100 * (result["probe"]["base"]["value"] - result["probe"]["adapted, style asked"]["value"])
        found["points the scene probe loses"] = _aim(lost, TARGETS["scene_points"], lost <= TARGETS["scene_points"])
    about = result["memorisation"]["adapted"]
    near, far = about["painted"]["value"], about["held_out"]["interval"][0]
    found["distance to the nearest training picture"] = _aim(near, far, near >= far)
    return found


def _aim(value: float, aim: float, reached: bool) -> dict[str, Any]:
    return {"value": float(value), "aim": float(aim), "reached": bool(reached)}


def real_rows(catalog: Catalog, split: str, labels: Any) -> np.ndarray:
    """(n,) rows of a split of some styles."""
    rows = catalog.rows(split)
    return rows[np.isin(catalog.labels[rows], list(labels))]


def sample(rows: np.ndarray, most: int, seed: int) -> np.ndarray:
    """At most so many rows, in order."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def read_real(catalog: Catalog, rows: np.ndarray, side: int) -> tuple[Tensor, np.ndarray]:
    """Real pictures as training sees them: (n, 3, side, side) float32 in 0..1, and their styles (n,).

    Raises:
        InputError: none of them can be read.
    """
    found, labels = [], []
    for row in track(rows, len(rows), "reading real pictures", "pictures"):
        try:
            picture = decode(catalog.root / catalog.files[row], at_least=side)
        except BadPictureError:
            continue  # training has named it
        found.append(torch.from_numpy(fitted(picture, (side, side)).copy()))
        labels.append(int(catalog.labels[row]))
    if len(found) < 2:
        raise InputError(f"{catalog.root} has fewer than two readable pictures to compare with.")
    return torch.stack(found).permute(0, 3, 1, 2).float() / 255, np.array(labels)


def write(
    trained: Trained,
    catalog: Catalog,
    result: dict[str, Any],
    made: dict[str, Tensor],
    real: Tensor,
    wanted: np.ndarray,
) -> None:
    """Print the score and write it with its figures."""
    folder = trained.file.parent / "score"
    figures = {"score": score_figure(result)} if "judge" in result else {}
    labels = np.unique(wanted)
    # Another thing to paint for the next style: the figure shows all that was asked for, and nothing is picked.
    shown = [np.flatnonzero(wanted == label) for label in labels]
    shown = [int(mine[place % len(mine)]) for place, mine in enumerate(shown)]
    names = [display_name(catalog.styles[label]) for label in labels]
    figures["before-after"] = pairs_figure(made["base"][shown], made["adapted"][shown], names)
    about = result["memorisation"]["adapted"]
    closest = torch.stack([made["adapted"][about["nearest"]], real[about["nearest_train"]]])[None]
    figures["nearest"] = picture_grid(closest, ["nearest pair"], ["painted", "training picture"])
    write_results(folder, result, guessed_tables(result), figures)
    echo()
    show_score(result)
    echo(f"\nThe score is in {folder}/ (open {trained.file.parent / 'index.html'}).")
