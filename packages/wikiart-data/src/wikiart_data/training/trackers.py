"""Experiment trackers: the losses and metrics of a run in TensorBoard, trackio, Weights & Biases or MLflow as well.

accelerate speaks to each of them; what is not installed is refused before a run starts. The run's folder stays complete
without any.
"""

import math
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from wikiart_data.errors import InputError

if TYPE_CHECKING:
    from accelerate import Accelerator

Tracker = Literal["none", "tensorboard", "trackio", "wandb", "mlflow"]
"""The values of --report-to."""


def check_tracker(name: str) -> None:
    """Check that a tracker's package is installed.

    Raises:
        InputError: it is not, or there is no such tracker.
    """
    if name != "none" and find_spec(name) is None:
        raise InputError(
            f"--report-to {name} needs the package {name}, which is not installed: `pip install {name}`, or leave "
            "the option out. metrics.jsonl and index.html in the run's folder show the same figures.",
            field="--report-to",
        )


def start_tracker(
    name: str, part: str, folder: Path, config: Mapping[str, Any], first_step: int
) -> "Accelerator | None":
    """Open a run in a tracker, under the run's own name in a project called `part`; None for `none`.

    TensorBoard's files are written to `tensorboard/` in the run's folder, so that `tensorboard --logdir runs` shows all
    runs.

    Args:
        name: tensorboard, trackio, wandb or mlflow.
        part: the kind of run.
        folder: the run's folder.
        config: the run's config; it is reported when the run begins.
        first_step: steps that the run has been trained for; more than 0 if it is resumed.

    Returns:
        An `Accelerator` that takes `log` and `end_training`.
    """
    if name == "none":
        return None
    from accelerate import Accelerator

    title = f"{part}-{folder.name}"
    arguments: dict[str, dict[str, Any]] = {
        "tensorboard": {"purge_step": first_step + 1} if first_step else {},
        "trackio": {"name": title, "resume": "allow"},
        "wandb": {"name": title, "id": title, "resume": "allow", "dir": str(folder)},
        "mlflow": {"run_name": title},
    }
    tracking = Accelerator(log_with=name, project_dir=str(folder))
    values = {key: x if isinstance(x, int | float | str) else str(x) for key, x in config.items()}
    project = name if name == "tensorboard" else f"wikiart-{part}"
    tracking.init_trackers(project, config=None if first_step else values, init_kwargs=arguments)
    return tracking


def numbers(prefix: str, metrics: Mapping[str, object]) -> dict[str, float]:
    """The finite numbers among metrics, with a prefix: trackers group their charts by it."""
    return {
        f"{prefix}/{name}": float(value)
        for name, value in metrics.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }
