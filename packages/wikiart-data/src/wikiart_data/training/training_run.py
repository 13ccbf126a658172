"""What four training loops share: opening a run, checkpoints, the stop signal, the clock, losses kept on the device.

    run = TrainingRun.open(PART, options, resolve_config, load_packed)
    run.attach(model=model, ema=ema, optimizer=optimizer, scheduler=scheduler)
    for epoch in run.epochs(run.config.epochs):
        for step, (images, labels) in run.steps(batches.epoch(epoch, size, run.first_step), len(batches)):
            loss = …
            run.record_losses(loss=loss)
        if run.is_main:
            run.save_model(ema)
            run.log(f"epoch {epoch + 1}", loss=run.losses["loss"])
    run.finish(result, tables, figures)
    run.close()

The mathematics of a step stays in each part's own loop.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from filelock import BaseFileLock, FileLock, Timeout
from torch import Tensor, nn

from wikiart_data.cli.commands import command_line
from wikiart_data.console import echo, track
from wikiart_data.errors import InputError
from wikiart_data.images.catalog import Catalog
from wikiart_data.images.packed import PackedImages
from wikiart_data.results.metrics_log import drop_metrics
from wikiart_data.training.checkpoints import finish_writing, load_checkpoint, save_checkpoint
from wikiart_data.training.device import create_accelerator, get_random_state, set_random_state, use_bf16
from wikiart_data.training.loss_meter import LossMeter
from wikiart_data.training.opening import (
    AUTO,
    ConfigT,
    HasCatalog,
    OptionsT,
    check_training_data,
    check_unchanged,
    limit_batch_size,
    options_for_resume,
    resolve_data,
    unfinished_run,
)
from wikiart_data.training.run import Part, Run
from wikiart_data.training.run_folder import broadcast_from_main
from wikiart_data.training.stop_signals import STOP_SIGNALS, StopSignals
from wikiart_data.training.trackers import check_tracker, numbers, start_tracker

if TYPE_CHECKING:
    from accelerate import Accelerator

LOG_INTERVAL = 16
"""Steps between two readings of the losses on the device, and between two agreements of several processes to stop."""

DataT = TypeVar("DataT", bound=Catalog | HasCatalog)
Batch = TypeVar("Batch")


class TrainingRun(Run, Generic[ConfigT, DataT]):
    """A run while it trains. Make one with `open`."""

    accelerator: "Accelerator"
    config: ConfigT
    """The resolved config: what run.json holds."""
    data: DataT
    """What `load` returned, such as the packed images."""

    # -- opening ------------------------------------------------------------------------------------------------

    @classmethod
    def open(
        cls,
        part: Part,
        options: OptionsT,
        resolve: Callable[[OptionsT, Path], ConfigT],
        load: Callable[[ConfigT], DataT],
        *,
        facts: Callable[[DataT], Mapping[str, object]] | None = None,
    ) -> "TrainingRun[ConfigT, DataT]":
        """Start a run, or resume the one that `options.resume` names.

        `--resume auto` resumes the unfinished run of that `--name` (without a name, the newest unfinished one), and
        starts a run where there is none: a batch job can call the same command again and again. Everything that the
        user can get wrong is checked before the run's folder is made.

        Args:
            part: what kind of run it is.
            options: what the user gave on the command line or in Python.
            resolve: options and the data folder → the config, in which nothing that has a default is None.
            load: config → the data: a `Catalog`, `PackedImages`, or anything with an attribute `catalog`.
            facts: data → further entries of run.json. A resumed run must find them unchanged.

        Returns:
            The run, with `config`, `data`, `device` and `bf16`; torch's random numbers are seeded.

        Raises:
            InputError: the options, the data, the device or the run's folder cannot be used.
        """
        command = command_line(part.command, options)
        check_tracker(getattr(options, "report_to", "none"))
        accelerator = create_accelerator(options.device)
        given_batch_size = getattr(options, "batch_size", None)
        resume, auto = options.resume, str(options.resume) == AUTO
        if auto:
            folder = Path(options.runs) / part.name
            resume = broadcast_from_main(lambda: unfinished_run(folder, options.name), accelerator)
            options = replace(options, resume=resume)
        record = None
        if resume is not None:
            record = Run.reopen(resume, part).record
            options = options_for_resume(options, record, same_options_allowed=auto)
        root, options = resolve_data(options)
        config = resolve(options, root)
        data = load(config)
        catalog = data if isinstance(data, Catalog) else data.catalog
        more = dict(facts(data)) if facts else {}
        if record is not None:
            check_unchanged(resume, record, catalog, more)
        if isinstance(data, PackedImages):
            if given_batch_size is None and record is None:
                config = limit_batch_size(config, data, accelerator.num_processes)
            check_training_data(data, config.batch_size, accelerator.num_processes)
        if resume is None:
            run = cls.start(part, config, catalog, command=command, accelerator=accelerator, **more)
        else:
            run = cls.reopen(resume, part, accelerator=accelerator)
            run._resuming = True
        run.config, run.data, run.command = config, data, part.command
        run.device = accelerator.device
        run.bf16 = use_bf16(accelerator.device, getattr(config, "precision", "auto"))
        torch.manual_seed(config.seed)
        return run

    def __init__(self, folder: Path, record: dict[str, Any], accelerator: "Accelerator"):
        super().__init__(folder, record, accelerator)
        self.accelerator = accelerator
        self.command = str(record.get("program", ""))
        self.device: torch.device = accelerator.device
        self.bf16 = False
        self.epoch = 0
        """The current epoch, counted from 0."""
        self.first_step = 0
        """The step at which the current epoch begins: not 0 where a run that stopped within an epoch is resumed."""
        self.seconds = 0.0
        """Seconds of training so far, in this and in earlier sessions, without evaluation."""
        self.losses: dict[str, float] = {}
        """Mean of each recorded loss over the steps of the last epoch and over all processes."""
        self._resuming = False
        self._random_state: Mapping[str, Tensor] | None = None
        self._modules: dict[str, nn.Module] = {}
        self._states: dict[str, Any] = {}
        self._meter = LossMeter()
        self._step = 0
        self._steps_done = 0
        self._tracking: Accelerator | None = None
        self._stop_signals = StopSignals()
        self._lock: BaseFileLock | None = None
        self._epoch_count = 0

    @property
    def packed(self) -> PackedImages:
        """The data, where `load` returned packed images."""
        assert isinstance(self.data, PackedImages)
        return self.data

    @property
    def rank(self) -> int:
        """This process, in 0..world-1."""
        return self.accelerator.process_index

    @property
    def world(self) -> int:
        """Number of processes."""
        return self.accelerator.num_processes

    # -- what a checkpoint holds --------------------------------------------------------------------------------

    def attach(self, **parts: Any) -> None:
        """Name what a checkpoint holds; when the run is resumed, load the last checkpoint into it.

        Call it once, after models, optimisers and schedulers are made. From here on a first SIGTERM, Ctrl-C or SIGUSR1
        asks the run to save and stop, and other processes are kept from this run.

        Args:
            parts: modules (their parameters and buffers are kept), and whatever else has `state_dict` and
                `load_state_dict`: optimisers, schedulers, gradient scalers.

        Raises:
            InputError: the checkpoint is damaged or does not fit, or another process is working on this run.
        """
        self._modules = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
        self._states = {name: part for name, part in parts.items() if name not in self._modules}
        self._acquire_lock()
        if self._resuming:
            progress = load_checkpoint(self.folder, self.record, self._modules, self._states) or {}
            self.epoch, self.first_step = int(progress.get("epoch", 0)), int(progress.get("step", 0))
            self.seconds = float(progress.get("seconds", 0.0))
            self._meter = LossMeter(progress.get("sums"), progress.get("counts"))
            self._steps_done = int(progress.get("steps_done", 0))
            self._random_state = progress.get("random_state")  # missing in checkpoints of earlier versions
            if self.is_main:
                drop_metrics(self.folder / "metrics.jsonl", from_epoch=self.epoch)
        tracker = getattr(self.config, "report_to", "none")
        part = str(self.record.get("part", "run"))
        self._tracking = start_tracker(tracker, part, self.folder, self.record["config"], self._steps_done)
        self._stop_signals.install_handlers()

    def compile(self, *modules: nn.Module) -> None:
        """With `--compile`, compile each module's forward pass by torch.compile when it is first called.

        It is done in place: modules keep their names, and so do the weights in a checkpoint.
        """
        if getattr(self.config, "compile", False):
            for module in modules:
                module.compile()

    def _save(self, *, epoch: int, step: int, seconds: float) -> None:
        if self.is_main:
            progress = {
                "epoch": epoch,
                "step": step,
                "steps_done": self._steps_done,
                "seconds": seconds,
                "sums": self._meter.sums,
                "counts": self._meter.counts,
                "random_state": get_random_state(self.device),
            }
            save_checkpoint(self.folder, self.identity(), self._modules, self._states, progress)

    def _acquire_lock(self) -> None:
        """Keep other processes from this run; the system releases the lock when this process ends, however it ends."""
        if not self.is_main or self._lock is not None:
            return
        lock = FileLock(self.folder / ".lock", is_singleton=True)  # in this process it may be taken again
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            raise InputError(
                f"Another process is working on {self.folder}: wait for it, or stop it first.", field="--resume"
            ) from error
        except (OSError, NotImplementedError):
            return  # a file system without locks
        self._lock = lock

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None

    # -- the loop -----------------------------------------------------------------------------------------------

    def epochs(self, number: int) -> Iterator[int]:
        """Yield the epochs that are left, from the resumed one on; save a checkpoint at the end of each.

        A checkpoint is written while the next epoch begins, the last one before this returns.

        Args:
            number: epochs of the whole run.

        Raises:
            InputError: a checkpoint could not be written.
        """
        self._epoch_count = number
        if self._random_state is not None:
            # Now, not in `attach`: dropout goes on with the masks that the unbroken run would draw.
            set_random_state(self._random_state, self.device)
        for epoch in range(self.epoch, number):
            self.epoch = epoch
            yield epoch
            self.first_step, self._meter = 0, LossMeter()
            self._save(epoch=epoch + 1, step=0, seconds=self.seconds)
        finish_writing(self.folder)
        self._stop_signals.restore_handlers()  # what follows is short, and not saved in between
        self.accelerator.wait_for_everyone()

    def steps(self, batches: Iterable[Batch], total: int, label: str | None = None) -> Iterator[tuple[int, Batch]]:
        """Yield (step, batch) of one epoch, with progress and time left on the console.

        When a signal has asked the run to stop, the step in progress is finished, an exact checkpoint is saved and
        SystemExit is raised: `--resume` continues with the next step. At the end of the epoch the weights are checked
        and `losses` holds the means.

        Args:
            batches: what is left of the epoch, beginning at step `first_step`.
            total: steps of the whole epoch.
            label: of the progress bar (default: the epoch).

        Raises:
            InputError: a loss or a weight is NaN or infinite.
            SystemExit: the run was asked to stop, and has saved.
        """
        label = label or f"epoch {self.epoch + 1}/{self._epoch_count}"
        began = time.monotonic()
        for step, batch in enumerate(track(batches, total - self.first_step, label, "steps"), self.first_step):
            self._step = step
            yield step, batch
            self._steps_done += 1
            interval_ends = (step + 1) % LOG_INTERVAL == 0 or step + 1 == total
            if interval_ends:
                self._read_losses()
                finish_writing(self.folder, wait=False)  # has the last checkpoint been written? A full disk stops here
            if self._should_stop(interval_ends):
                self._read_losses()
                self._check_weights()
                self._save(epoch=self.epoch, step=step + 1, seconds=self.seconds + time.monotonic() - began)
                finish_writing(self.folder)
                self.accelerator.wait_for_everyone()  # the launcher ends all processes when the first one leaves
                self._stop_signals.restore_handlers()
                self._release_lock()
                if self._tracking is not None:
                    self._tracking.end_training()
                raise self._stopped()
        self._read_losses()
        self.seconds += time.monotonic() - began
        self._check_weights()
        losses = self._meter.means()
        means = torch.tensor([*losses.values()], device=self.device)
        if self.world > 1 and len(means):
            means = self._reduce(means, "mean")
        self.losses = dict(zip(losses, means.tolist(), strict=True))

    def record_losses(self, **losses: Tensor) -> None:
        """Keep this step's losses (scalars) on the device; they are read and checked once per `LOG_INTERVAL`."""
        self._meter.record(self._step, losses)

    def _read_losses(self) -> None:
        latest = self._meter.read(self.epoch, self.folder)
        if latest and self._tracking is not None:
            self._tracking.log(numbers("train", latest), step=self._steps_done)

    def _check_weights(self) -> None:
        """Check the weights before saving: the last update can make them NaN although its loss was finite."""
        tensors = (tensor for module in self._modules.values() for tensor in module.state_dict().values())
        if not all_finite(tensors):
            raise InputError(
                f"Weights are NaN or infinite in epoch {self.epoch + 1}. The last good checkpoint, if there is one, is "
                f"kept in {self.folder}. Try a smaller --lr.",
                field="--lr",
            )

    def log(self, line: str, **metrics: object) -> None:
        """Print a line with the time left and append `metrics` to metrics.jsonl, at the end of an epoch."""
        done = self.epoch + 1
        left = self.seconds / done * (self._epoch_count - done)
        line = f"{line}  {self.seconds:.0f} s, {left:.0f} s left"
        self.write_log(self.epoch, line, **metrics, seconds=round(self.seconds, 2))
        if self._tracking is not None:
            self._tracking.log(numbers("epoch", metrics), step=self._steps_done)

    def close(self) -> None:
        """Wait for the other processes and release what the run holds."""
        self.accelerator.wait_for_everyone()
        if self._tracking is not None:
            self._tracking.end_training()
        self._stop_signals.restore_handlers()
        self._release_lock()

    # -- stopping -----------------------------------------------------------------------------------------------

    def _should_stop(self, interval_ends: bool) -> bool:
        """Whether a stop was requested: the same answer in every process, which must leave the loop together."""
        if self.world > 1:
            if not interval_ends:
                return False
            received = self._stop_signals.received
            flags = torch.tensor([float(signum in received) for signum in STOP_SIGNALS], device=self.device)
            counts = self._reduce(flags, "sum").tolist()
            received |= {signum for signum, count in zip(STOP_SIGNALS, counts, strict=True) if count}
        return bool(self._stop_signals.received)

    def _reduce(self, tensor: Tensor, reduction: str) -> Tensor:
        reduced = self.accelerator.reduce(tensor, reduction)
        assert isinstance(reduced, Tensor)
        return reduced

    def _stopped(self) -> SystemExit:
        if self.is_main:
            echo(f"Stopped and saved. Continue with: {self.command} --resume {self.folder}")
        return SystemExit(self._stop_signals.exit_status)


def all_finite(tensors: Iterable[Tensor]) -> bool:
    """Whether no element is NaN or infinite: one transfer from the device, however many tensors."""
    checks = [tensor.isfinite().all() for tensor in tensors if tensor.is_floating_point()]
    return not checks or bool(torch.stack(checks).all())
