"""`wikiart-lora train`: fine-tuning an adapter, from the options to a finished run's folder."""

import json
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import LambdaLR

from wikiart_data.console import echo
from wikiart_data.errors import InputError
from wikiart_data.images.batches import step_seed
from wikiart_data.images.data_folder import find_data
from wikiart_data.results.tables import Number, Table
from wikiart_data.training.checkpoints import finish_writing, write_model
from wikiart_data.training.opening import AUTO
from wikiart_data.training.run import Part
from wikiart_data.training.schedule import average_gradients, update_ema
from wikiart_data.training.training_run import TrainingRun
from wikiart_lora.adapter import Adapter, peft_metadata, set_dropout, set_strength
from wikiart_lora.base_models.fingerprints import same_weights
from wikiart_lora.base_models.loading import BaseModel
from wikiart_lora.base_models.precision import autocast_for, weights_dtype
from wikiart_lora.config import TrainConfig, TrainOptions, resolve_config, trained_styles
from wikiart_lora.dataset import LatentDataset, generate_prior_images
from wikiart_lora.diffusion import read_schedule
from wikiart_lora.estimate import dry_run, print_plan
from wikiart_lora.evaluation import evaluate, find_judge
from wikiart_lora.figures import learning_curve
from wikiart_lora.inputs import Inputs, load_inputs
from wikiart_lora.model_card import push
from wikiart_lora.optimizers import lr_factor, make_optimizer
from wikiart_lora.options import EvaluateOptions
from wikiart_lora.sampling import before_and_after
from wikiart_lora.score import Score
from wikiart_lora.steps import backward, batch_loss, draw_batch
from wikiart_lora.validation import make_examples, validation_loss, validation_rows

PART = Part(
    "lora",
    "An adapter that teaches a diffusion model painting styles",
    "wikiart-lora",
    ("wikiart-lora evaluate RUN --judge JUDGE", "wikiart-lora generate RUN --style Ukiyo_e --prompt 'a lake'"),
)
MAX_GRADIENT_NORM = 1.0
DROPOUT_STREAM = 7
"""Of the random numbers of a step, those of LoRA dropout."""
LIBRARIES = ("diffusers", "transformers", "peft")
"""Their versions are recorded in run.json, with those that every run records."""


@dataclass(frozen=True)
class TrainResult:
    """A finished run."""

    folder: Path
    steps: int
    train_seconds: float
    """Time in training steps, without encoding, validation and sampling."""
    trainable: int
    """Parameters of the adapter."""
    base_parameters: int
    """Parameters of the denoiser without the adapter."""
    precision: str
    gradient_accumulation_steps: int
    """At the end: more than configured if the device ran out of memory."""
    valid: float | None
    """Last validation loss."""
    score: Score | None = None
    """The evaluation, if one was configured."""

    def to_json(self) -> dict[str, Any]:
        """The content of result.json: without the folder it is in, and without the score, which has its own."""
        return {name: value for name, value in asdict(replace(self, score=None)).items() if name not in _NOT_IN_JSON}


_NOT_IN_JSON = ("folder", "score")


def tables(result: TrainResult) -> list[Table]:
    """The result as a table for the run's page."""
    rows = (
        ("steps", Number(result.steps)),
        ("time in training steps", Number(result.train_seconds, "s", digits=0)),
        ("trainable parameters", Number(result.trainable)),
        ("parameters of the base's denoiser", Number(result.base_parameters)),
        ("precision", result.precision),
        ("gradient-accumulation steps", Number(result.gradient_accumulation_steps)),
        ("validation loss", Number(result.valid, digits=4)),
    )
    return [Table("Training", ("", "value"), rows)]


def train(options: TrainOptions | TrainConfig) -> TrainResult | None:
    """Train an adapter (LoRA, Hu et al. 2022), sample grids, evaluate, and write the run's folder.

    Args:
        options: `TrainOptions`, or a complete `TrainConfig`; `wikiart-lora train --help` describes each option.

    Returns:
        The result; None after a dry run, and in processes other than the main one.

    Raises:
        InputError: the base, the data, the options or the run's folder cannot be used.
    """
    if options.dry_run and str(options.resume) == AUTO:
        options = replace(options, resume=None)  # what the command would start with
    if options.dry_run and options.resume is None:
        root = find_data(options.data, options.cache_dir, labels=options.labels, label_column=options.label_column)
        config = resolve_config(options, root)
        inputs = load_inputs(config)
        print_plan(inputs.base, inputs.adapter, inputs.catalog, config, inputs.precision_reason, 1)
        dry_run(inputs.base, inputs.adapter, inputs.catalog, config, autocast_for(inputs.base.device, inputs.precision))
        return None
    fitted = fit(options)
    if fitted is None:
        return None
    result, config, styles = fitted
    echo(f"\nEverything is in {result.folder}/ (open index.html; model.safetensors).")
    if config.score:
        evaluation = EvaluateOptions(
            result.folder,
            find_judge(config.judge),
            config.score,
            num_inference_steps=config.num_inference_steps,
            device=config.device,
            cache_dir=config.cache_dir,
        )
        result = replace(result, score=evaluate(evaluation))
    if config.push_to_hub:
        push(result.folder, config.push_to_hub)
    example = shlex.join(["wikiart-lora", "generate", str(result.folder), "--style", styles[-1]])
    echo(f"\nGenerate images: {example} --prompt '…'")
    return result


def fit(options: TrainOptions) -> tuple[TrainResult, TrainConfig, Sequence[str]] | None:
    """Train and write the run's folder.

    Returns:
        Result, config and the styles trained on; None in processes other than the main one.

    Raises:
        InputError: the base, the data, the options or the run's folder cannot be used.
    """
    run = TrainingRun.open(PART, options, resolve_config, load_inputs)
    config, catalog, base, adapter = run.config, run.data.catalog, run.data.base, run.data.adapter
    if "fingerprints" not in run.record:  # a new run, or one that was killed before they were written
        run.record["libraries"] = {name: metadata.version(name) for name in LIBRARIES}
        run.record["fingerprints"] = dict(run.data.fingerprints)
        run.write_json("run.json", run.record)
    elif not same_weights(run.record["fingerprints"], run.data.fingerprints):
        raise InputError(
            f"--base {base.name} has changed since {run.folder} was started; start a new run.", field="--base"
        )
    if run.is_main:
        print_plan(base, adapter, catalog, config, run.data.precision_reason, run.world)
    dataset = LatentDataset(base, catalog, config, weights_dtype(run.device, run.data.precision))
    titles = [dataset.titles[row] for row in dataset.rows("train")]
    prior = generate_prior_images(base, titles, config) if config.num_prior_images else None
    # A style may have no image in valid; then progress is measured on all styles.
    rows = dataset.rows("valid") if len(dataset.rows("valid")) else dataset.all_rows("valid")
    examples = make_examples(validation_rows(rows, catalog.labels), dataset.latents, config.seed)
    captions = {"valid": dataset.first_embeddings}
    if dataset.swaps_every_style([example.row for example in examples]):
        captions["valid_swapped"] = partial(dataset.first_embeddings, swapped=True)
    dataset.use_for_training()
    schedule, autocast = read_schedule(base.pipeline.scheduler), autocast_for(run.device, run.data.precision)
    ema = adapter.clone()
    weights = list(adapter.by_name.values())
    optimizer = make_optimizer(adapter, config)
    scheduler = LambdaLR(optimizer, lr_factor(config.lr_scheduler, config.lr_warmup_ratio, config.steps))
    scaler = torch.amp.GradScaler(run.device.type, enabled=run.data.precision == "fp16")
    run.attach(adapter=adapter, average=ema, optimizer=optimizer, scheduler=scheduler, scaler=scaler)
    run.compile(base.denoiser)
    accumulation_steps = config.gradient_accumulation_steps
    batches = dataset.batches(run.epoch * config.save_every + run.first_step)
    for interval in run.epochs(-(-config.steps // config.save_every)):
        first = interval * config.save_every
        draw_grid(run, dataset, ema, first)  # of the checkpoint that has just been saved
        set_dropout(base, config.lora_dropout > 0)
        length = min(config.save_every, config.steps - first)
        label = f"steps to {first + length:,} of {config.steps:,}"
        for position, batch_rows in run.steps(islice(batches, length - run.first_step), length, label):
            step = first + position
            batch = draw_batch(dataset, schedule, batch_rows, prior, step, run.rank, run.world)
            if config.lora_dropout:
                torch.manual_seed(step_seed(config.seed, run.rank, step, DROPOUT_STREAM))
            loss_of = partial(batch_loss, base, dataset, schedule, batch, config, autocast)
            loss, accumulation_steps = backward(loss_of, len(batch.clean), accumulation_steps, scaler, optimizer)
            average_gradients(run.accelerator, weights)
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(weights, MAX_GRADIENT_NORM)
            scaler.step(optimizer)
            scaler.update()
            scheduler.step()
            optimizer.zero_grad(set_to_none=True)
            update_ema(ema, adapter, config.ema, step)
            run.record_losses(loss=loss)
        set_dropout(base, False)
        if run.is_main:
            save_adapter(run, base, ema)
            with adapter.swapped_weights(ema):
                valid = {
                    name: validation_loss(base, schedule, examples, embeddings, autocast)
                    for name, embeddings in captions.items()
                }
            mean_loss = run.losses["loss"]
            line = f"step {first + length:6,} of {config.steps:,}  loss {mean_loss:.4f}  valid {valid['valid']:.4f}"
            if "valid_swapped" in valid:
                line += f" (with other styles' captions {valid['valid_swapped']:.4f})"
            run.log(line, step=first + length, loss=mean_loss, **valid)
    draw_grid(run, dataset, ema, config.steps)
    trainable = sum(weight.numel() for weight in weights)
    metrics = run.metrics() if run.is_main else []
    result = TrainResult(
        folder=run.folder,
        steps=config.steps,
        train_seconds=round(run.seconds, 1),
        trainable=trainable,
        base_parameters=sum(p.numel() for p in base.denoiser.parameters()) - trainable,
        precision=run.data.precision,
        gradient_accumulation_steps=accumulation_steps,
        valid=metrics[-1]["valid"] if metrics else None,
    )
    if run.is_main:
        save_adapter(run, base, ema)
        run.finish(result.to_json(), tables(result), {"learning": learning_curve(metrics)})
    run.close()
    return (result, config, trained_styles(config.style, catalog.styles)) if run.is_main else None


def draw_grid(run: TrainingRun[TrainConfig, Inputs], dataset: LatentDataset, ema: Adapter, step: int) -> None:
    """Draw the sample grid of a checkpoint, if one is due; failing is a warning, since the checkpoint is saved."""
    config, base, name = run.config, run.data.base, f"step-{step:06d}"
    every = config.sample_every
    due = every > 0 and step > 0 and (step == config.steps or step // every > (step - config.save_every) // every)
    if not due or not run.is_main or (run.folder / "figures" / f"{name}.png").exists():
        return
    finish_writing(run.folder)  # drawing may fail for want of memory: the checkpoint comes first
    try:
        with run.data.adapter.swapped_weights(ema):
            run.save_figures({name: before_and_after(base, dataset.catalog, dataset.titles, config)})
    except (RuntimeError, InputError) as error:  # too little memory is a RuntimeError
        echo(f"Warning: the sample grid of step {step:,} was not drawn: {' '.join(str(error).split())[:200]}")
    finally:
        set_strength(base, 1.0)
        dataset.use_for_training()


def save_adapter(run: TrainingRun[TrainConfig, Inputs], base: BaseModel, ema: Adapter) -> None:
    """Write model.safetensors: the averaged adapter as diffusers loads it, with config and styles."""
    write_model(
        run.folder / "model.safetensors",
        ema.tensors(),
        run.identity() | peft_metadata(base) | {"fingerprints": json.dumps(run.record["fingerprints"])},
    )
