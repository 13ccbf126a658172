"""Types of options and arguments as `--help` shows them: what they take; the default is part of their text.

The arguments are positional by themselves: `model: RunArgument = None`, `pictures: ImagesArgument`. All are named
aliases, because `help(TrainOptions)` shows a name and not what it stands for.
"""

from pathlib import Path
from typing import Annotated

import tyro
from typing_extensions import TypeAliasType

MaybeFolder = TypeAliasType("MaybeFolder", Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")])
MaybeFile = TypeAliasType("MaybeFile", Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")])
MaybeData = TypeAliasType("MaybeData", Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")])
MaybeText = TypeAliasType("MaybeText", Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")])
MaybeStyle = TypeAliasType("MaybeStyle", Annotated[str | None, tyro.conf.arg(metavar="STYLE", help_behavior_hint="")])
MaybeNumber = TypeAliasType("MaybeNumber", Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")])
MaybeReal = TypeAliasType("MaybeReal", Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint="")])
Names = TypeAliasType("Names", Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")])

RunArgument = TypeAliasType(
    "RunArgument", tyro.conf.Positional[Annotated[Path | None, tyro.conf.arg(metavar="[RUN]", help_behavior_hint="")]]
)
RunsArgument = TypeAliasType(
    "RunsArgument",
    tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[RUN ...]", help_behavior_hint="")]],
)
FilesArgument = TypeAliasType(
    "FilesArgument",
    tyro.conf.Positional[Annotated[tuple[Path, ...], tyro.conf.arg(metavar="[FILE ...]", help_behavior_hint="")]],
)
ImageArgument = TypeAliasType(
    "ImageArgument", tyro.conf.Positional[Annotated[Path, tyro.conf.arg(metavar="IMAGE", help_behavior_hint="")]]
)
ImagesArgument = TypeAliasType(
    "ImagesArgument",
    tyro.conf.Positional[
        Annotated[tuple[Path, ...], tyro.conf.arg(metavar="IMAGE [IMAGE ...]", help_behavior_hint="")]
    ],
)
