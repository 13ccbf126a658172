"""Weights and checkpoints on disk: safetensors with config and styles inside and a checksum over all of it.

A checkpoint is a pair of files, `last.safetensors` (modules) and `state.pt` (optimisers, schedulers, progress). It is
copied at once and written by a thread, while training goes on.
"""

import io
import json
import threading
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from wikiart_data.cli.commands import options_from
from wikiart_data.errors import InputError
from wikiart_data.files import write_bytes

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

ConfigT = TypeVar("ConfigT", bound="DataclassInstance")
LAST, STATE = "last.safetensors", "state.pt"


def write_model(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and text metadata as safetensors, with a CRC-32 over both, atomically."""
    on_cpu = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(on_cpu, {**metadata, "crc32": str(_crc(on_cpu, metadata))}))


def read_model(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors (on the CPU) and metadata of a file that `write_model` wrote.

    Raises:
        InputError: the file is missing, truncated, damaged, or lacks our metadata.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; expected a .safetensors file.", field=path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (safe_open is not a dict)
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}.", field=path) from error
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} is truncated or not a safetensors file ({error}).", field=path) from error
    if not {"config", "styles", "crc32"} <= metadata.keys():
        raise InputError(
            f"{path} was not written by this toolkit: its metadata lacks the config and the styles.", field=path
        )
    if str(_crc(tensors, metadata)) != metadata["crc32"]:
        raise InputError(f"{path} is damaged: its content does not match its checksum.", field=path)
    return tensors, metadata


def load_config(kind: type[ConfigT], metadata: Mapping[str, str], path: Path) -> ConfigT:
    """The config in the metadata of a model, which another version may have written.

    Args:
        kind: the dataclass; options that it lacks are left out: if one of them changed the network, weights do not fit.
        metadata: from `read_model`.
        path: the file, for messages.

    Raises:
        InputError: a value does not fit its option; the error's field is the file.
    """
    values, known = json.loads(metadata["config"]), {field.name for field in fields(kind)}
    try:
        return options_from(kind, {name: value for name, value in values.items() if name in known})
    except (InputError, TypeError) as error:
        raise InputError(f"{path} was written by another version: {error}", field=path) from error


def load_weights(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load tensors into a model, all of them or none.

    Raises:
        InputError: names or shapes differ; the sentence names the file and one difference.
    """
    expected = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in tensors.items()}
    if expected != given:
        differing = sorted(n for n in expected.keys() | given.keys() if expected.get(n) != given.get(n))
        name = differing[0]
        raise InputError(
            f"{path} holds another model: {len(differing)} of its tensors do not fit, such as {name!r} with shape "
            f"{given.get(name, 'missing')} where {expected.get(name, 'none')} is expected.",
            field=path,
        )
    model.load_state_dict(dict(tensors))


@dataclass
class Snapshot:
    """A copy of everything that a checkpoint holds, in the memory of the host."""

    tensors: dict[str, Tensor]
    """`module/name` → parameter or buffer."""
    states: dict[str, Any]
    """name → state_dict of an optimiser, a scheduler, …"""
    progress: dict[str, Any]
    copied: "torch.Event | None" = None
    """Recorded on the device after the copies, which may still be under way; None if they are complete."""

    @classmethod
    def take(
        cls, modules: Mapping[str, nn.Module], states: Mapping[str, Any], progress: Mapping[str, Any]
    ) -> "Snapshot":
        """Copy modules and states as they are now; the host does not wait for a GPU.

        Args:
            modules: name → module; all parameters and buffers are kept.
            states: name → anything with `state_dict`.
            progress: numbers, strings, lists, dicts and tensors.
        """
        on_gpu: set[torch.device] = set()

        def copy(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            value = value.detach()
            if value.device.type != "cuda":
                return value.to("cpu", copy=True)
            on_gpu.add(value.device)
            return torch.empty_like(value, device="cpu", pin_memory=True).copy_(value, non_blocking=True)

        tensors = {
            f"{name}/{key}": copy(value)
            for name, module in modules.items()
            for key, value in module.state_dict().items()
        }
        states = {name: tree_map(copy, state.state_dict()) for name, state in states.items()}
        snapshot = cls(tensors, states, tree_map(copy, dict(progress)))
        if on_gpu:
            snapshot.copied = torch.Event(on_gpu.pop())
            snapshot.copied.record()
        return snapshot

    def write(self, folder: Path, identity: Mapping[str, str]) -> None:
        """Write last.safetensors and state.pt: all that `load_checkpoint` needs to continue exactly.

        last.safetensors names the CRC-32 of its state.pt and is renamed into place first: that is the moment at which
        the checkpoint counts. A kill before it leaves the old pair; after it, the new state is found under its
        temporary name.

        Args:
            folder: the run's folder.
            identity: text metadata: `config` and `styles` as JSON.

        Raises:
            InputError: the disk is full or the folder cannot be written; the last checkpoint is kept.
        """
        if self.copied is not None:
            self.copied.synchronize()
        state, upcoming = folder / STATE, folder / f"{STATE}.next"
        if upcoming.exists() and _crc_of_file(upcoming) == _expected_crc(folder):
            upcoming.replace(state)  # it is still needed, and about to be overwritten
        content = io.BytesIO()
        torch.save({"states": self.states, "progress": self.progress}, content)
        write_bytes(upcoming, content.getvalue())
        crc = str(zlib.crc32(content.getvalue()))
        write_model(folder / LAST, self.tensors, {**identity, "state_crc32": crc})
        upcoming.replace(state)


def save_checkpoint(
    folder: Path,
    identity: Mapping[str, str],
    modules: Mapping[str, nn.Module],
    states: Mapping[str, Any],
    progress: Mapping[str, Any],
) -> None:
    """Copy what a checkpoint holds and let a thread write it; `finish_writing` waits for it.

    Args:
        folder: the run's folder.
        identity: text metadata: `config` and `styles` as JSON.
        modules: as `Snapshot.take` takes them.
        states: as `Snapshot.take` takes them.
        progress: as `Snapshot.take` takes it.

    Raises:
        InputError: the checkpoint before this one could not be written.
    """
    finish_writing(folder)  # one at a time: two copies in memory would be one too many
    snapshot = Snapshot.take(modules, states, progress)
    writer = _Writer(snapshot, folder, dict(identity))
    _writers[folder.absolute()] = writer
    writer.start()  # not a daemon: a process that ends waits for it


def finish_writing(folder: Path, *, wait: bool = True) -> None:
    """Wait until the checkpoint that a thread of this process is writing to a folder is complete.

    Args:
        folder: the run's folder.
        wait: False only looks whether a write has failed, and returns while it is under way.

    Raises:
        InputError: it could not be written; the one before it is kept.
    """
    writer = _writers.get(folder.absolute())
    if writer is not None and (wait or not writer.is_alive()) and (error := join_writer(folder)) is not None:
        raise error


def join_writer(folder: Path) -> BaseException | None:
    """As `finish_writing`, but the error is returned: for a run that has ended already, perhaps for another reason."""
    writer = _writers.pop(folder.absolute(), None)
    if writer is None:
        return None
    writer.join()
    return writer.error


class _Writer(threading.Thread):
    """Writes one snapshot, and keeps the error if it cannot."""

    def __init__(self, snapshot: Snapshot, folder: Path, identity: dict[str, str]):
        super().__init__(name=f"checkpoint of {folder.name}")
        self.snapshot, self.folder, self.identity = snapshot, folder, identity
        self.error: BaseException | None = None

    def run(self) -> None:
        """Write; called in the thread."""
        try:
            self.snapshot.write(self.folder, self.identity)
        except BaseException as error:  # raised again by finish_writing, in the thread that trains
            self.error = error


_writers: dict[Path, _Writer] = {}
"""Folder of a run → the thread that writes its checkpoint."""


def load_checkpoint(
    folder: Path, record: Mapping[str, Any], modules: Mapping[str, nn.Module], states: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Load a run's last checkpoint into `modules` and `states`.

    Args:
        folder: the run's folder.
        record: the content of its run.json, which the checkpoint must agree with.
        modules: as given to `save_checkpoint`.
        states: as given to `save_checkpoint`, with `load_state_dict`.

    Returns:
        The `progress` that was saved, or None where the run stopped before its first checkpoint.

    Raises:
        InputError: the checkpoint is damaged, or belongs to other styles, options or another model.
    """
    join_writer(folder)  # of an earlier run of this process
    path = folder / LAST
    if not path.exists():
        return None
    tensors, metadata = read_model(path)
    if json.loads(metadata["styles"]) != record["styles"]:
        raise InputError(f"{path} was trained on other styles than run.json lists.", field=path)
    for name, module in modules.items():
        own = {key.partition("/")[2]: value for key, value in tensors.items() if key.startswith(name + "/")}
        load_weights(module, own, path)
    saved = _read_state(folder, metadata.get("state_crc32", ""))
    if differing := _differences(json.loads(metadata["config"]), record["config"]):
        raise InputError(
            f"{folder / 'run.json'} names other options than {LAST} was saved with ({', '.join(differing)}): it is "
            "damaged or was edited; restore it.",
            field=folder / "run.json",
        )
    for name, state in states.items():
        state.load_state_dict(saved["states"][name])
    return saved["progress"]


def _read_state(folder: Path, crc: str) -> dict[str, Any]:
    for path in (folder / STATE, folder / f"{STATE}.next"):
        if path.exists() and _crc_of_file(path) == crc:
            return torch.load(path, map_location="cpu", weights_only=True)
    raise InputError(
        f"{folder / STATE} does not belong to {LAST} in the same folder, or is damaged: this run cannot be resumed. "
        "Its model.safetensors may still be good; train again with --overwrite.",
        field=folder / STATE,
    )


def _crc_of_file(path: Path) -> str:
    return str(zlib.crc32(path.read_bytes()))


def _expected_crc(folder: Path) -> str | None:
    """The CRC-32 of the state.pt that belongs to last.safetensors; None where there is none that can be read."""
    try:
        with safe_open(folder / LAST, framework="pt") as file:
            return (file.metadata() or {}).get("state_crc32")
    except (OSError, SafetensorError, ValueError):
        return None


def _differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Up to five keys that differ or that only one mapping has."""
    missing = object()  # a key with the value None is still a key
    keys = first.keys() | second.keys()
    return sorted(key for key in keys if first.get(key, missing) != second.get(key, missing))[:5]


def _crc(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> int:
    crc = zlib.crc32(json.dumps({key: metadata[key] for key in sorted(metadata) if key != "crc32"}).encode())
    for name in sorted(tensors):
        # Dtype and shape too: the same bytes read as another type would be other weights.
        crc = zlib.crc32(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode(), crc)
        crc = zlib.crc32(tensors[name].detach().contiguous().flatten().view(torch.uint8).numpy().data, crc)
    return crc
