"""Where a base comes from: a diffusers folder, the hub, or a single file of weights; and what is said if it fails."""

import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from wikiart_data.acquire.hub import reach_hub
from wikiart_data.errors import InputError
from wikiart_lora.base_models.known import BASES

SINGLE_FILES = (".safetensors", ".ckpt")
"""Endings of single files, which hold all networks of Stable Diffusion under their original names."""


@dataclass(frozen=True)
class BaseFiles:
    """Which files of a base are read, apart from its name."""

    variant: str | None = None
    """`fp16` for files such as diffusion_pytorch_model.fp16.safetensors."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    vae: str | None = None
    """Another autoencoder: a folder, a hub name or a single file."""
    config: str | None = None
    """For a single file: the folder or hub name of a pipeline of the same kind, whose configuration is used."""


DEFAULT_FILES = BaseFiles()


@dataclass(frozen=True)
class Source:
    """A base that was found."""

    location: str
    """Folder, hub name, or single file."""
    options: dict[str, Any]
    """For diffusers' loaders of configurations and weights."""
    config: str
    """Folder or hub name of the configuration: `location`, except for a single file."""

    @property
    def is_single_file(self) -> bool:
        """Whether all weights are in one file."""
        return self.location.endswith(SINGLE_FILES)


@contextmanager
def reading(name: str, files: BaseFiles = DEFAULT_FILES, option: str = "--base") -> Iterator[Source]:
    """Find a base; within the context, errors of diffusers' loaders become sentences.

    Args:
        name: a short name of `BASES`, a folder, a name on the hub, or a single file.
        files: which files are read.
        option: that the name was given with, for messages.

    Raises:
        InputError: there is no such base, or it cannot be read.
    """
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    location = BASES[name].location if name in BASES else str(Path(name).expanduser())
    is_file = location.endswith(SINGLE_FILES) and Path(location).is_file()
    is_local = is_file or Path(location).is_dir()
    if name == "tiny" and not is_local:
        raise InputError(
            f"The built-in base tiny is missing from this installation ({location}): make it with wikiart-lora "
            "pretrain-denoiser, and pass the folder base of that run with --base DIR.",
            field="--base",
        )
    if not is_local and (Path(location).is_absolute() or location.startswith((".", "~")) or location.count("/") != 1):
        raise InputError(
            f"{option} {name}: there is no such folder or file, and it is no name on the hub (owner/model). "
            f"Short names: {', '.join(BASES)}.",
            field=option,
        )
    if files.config and not is_file:
        raise InputError("--base-config is for a --base that is a single file.", field="--base-config")
    options: dict[str, Any] = {}
    configuration = location
    with quiet_loading():
        try:
            if is_file:
                configuration = _configuration_of(Path(location), files.config)
            is_config_local = Path(configuration).is_dir()
            options["local_files_only"] = is_config_local or not hub_is_reachable()
            if not is_config_local and files.revision:
                options["revision"] = files.revision
            if not is_file and (variant := files.variant or _only_variant(Path(location))):
                options["variant"] = variant
            yield Source(location, options, configuration)
        except InputError:
            raise
        except (
            HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, SafetensorError, OSError, RuntimeError,
            ValueError, KeyError, TypeError,
        ) as error:  # fmt: skip
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise _explained(option, name, is_file, is_local, configuration, error) from error


def _explained(
    option: str, name: str, is_file: bool, is_local: bool, configuration: str, error: Exception
) -> InputError:
    reason = " ".join(str(error).split())[:160]
    if is_file and not Path(configuration).is_dir():
        return InputError(
            f"{option} {name} is a single file, whose configuration diffusers takes from the hub ({configuration}), "
            "which cannot be read: pass the folder of any pipeline of the same kind with --base-config DIR; only its "
            "JSON and tokenizer files are used.",
            field="--base-config",
        )
    if is_file:
        return InputError(
            f"{option} {name} does not fit the configuration in {configuration}, or is damaged: {reason}", field=option
        )
    if is_local:
        return InputError(f"{option} {name} is no diffusers pipeline with safetensors files: {reason}", field=option)
    return InputError(
        f"{option} {name} cannot be fetched from the hub ({type(error).__name__}): check the name and the network "
        "(and, for a gated model, its licence and `hf auth login`; for a repository with half-precision files only, "
        "--variant fp16); or download it where there is a network with `hf download`, and pass the folder with "
        "--base DIR; `--base tiny` needs no network.",
        field=option,
    )


def _configuration_of(file: Path, given: str | None) -> str:
    """Folder or hub name of the configuration for a single file: the given one, else the one that diffusers infers."""
    if given:
        return BASES[given].location if given in BASES else str(Path(given).expanduser())
    from diffusers.loaders.single_file_utils import fetch_diffusers_config

    return fetch_diffusers_config(read_shapes(file))["pretrained_model_name_or_path"]


def read_shapes(file: Path) -> Mapping[str, torch.Tensor]:
    """The names and shapes of a single file's tensors, on the meta device; no weights are read from safetensors."""
    if file.suffix == ".safetensors":
        with safe_open(file, framework="pt") as opened:
            return {key: torch.empty(opened.get_slice(key).get_shape(), device="meta") for key in opened.keys()}  # noqa: SIM118
    content = torch.load(file, map_location="meta", weights_only=True)
    while "state_dict" in content:
        content = content["state_dict"]
    return content


def _only_variant(folder: Path) -> str | None:
    """`fp16` for a local folder that holds a network in half precision only; diffusers mixes the two by itself."""
    by_network: dict[Path, list[bool]] = {}
    for path in folder.glob("*/*.safetensors") if folder.is_dir() else ():
        by_network.setdefault(path.parent, []).append(".fp16" in path.name)
    return "fp16" if any(all(half) for half in by_network.values()) else None


def hub_is_reachable() -> bool:
    """Whether the hub's name can be resolved; without a network, cached files are then used without retries."""
    try:
        reach_hub()
    except OSError:
        return False
    return True


@contextmanager
def quiet_loading() -> Iterator[None]:
    """While a pipeline is loaded or saved: no progress bars, and no warnings about code that is not ours."""
    logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)  # torchao, which they import, uses an old name
    diffusers: Any = import_module("diffusers")
    transformers: Any = import_module("transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
        for library in (diffusers, transformers):
            library.utils.logging.set_verbosity_error()
            library.utils.logging.disable_progress_bar()
        yield
