"""Types of options and arguments as `--help` shows them: what they take; the default is part of their text.

The arguments are positional by themselves: `model: RunArgument = None`, `pictures: ImagesArgument`.
"""

from pathlib import Path
from typing import Annotated

import tyro

MaybeFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
MaybeData = Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
MaybeText = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
MaybeStyle = Annotated[str | None, tyro.conf.arg(metavar="STYLE", help_behavior_hint="")]
MaybeNumber = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
MaybeReal = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint="")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]

RunArgument = tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")]]
RunsArgument = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[RUN ...]", help_behavior_hint="")]
]
FilesArgument = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[FILE ...]", help_behavior_hint="")]
]
ImageArgument = tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="IMAGE", help_behavior_hint="")]]
ImagesArgument = tyro.conf.Positional[
    Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="")]
]
