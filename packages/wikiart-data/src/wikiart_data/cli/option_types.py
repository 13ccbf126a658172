"""Kinds of options that may be left out, as `--help` shows them: by what they take, with the default in the text."""

from pathlib import Path
from typing import Annotated

import tyro

MaybeFolder = Annotated[Path | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
MaybeFile = Annotated[Path | None, tyro.conf.arg(metavar="FILE", help_behavior_hint="")]
MaybeData = Annotated[str | None, tyro.conf.arg(metavar="DIR", help_behavior_hint="")]
MaybeText = Annotated[str | None, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
MaybeNumber = Annotated[int | None, tyro.conf.arg(metavar="N", help_behavior_hint="")]
MaybeReal = Annotated[float | None, tyro.conf.arg(metavar="X", help_behavior_hint="")]
Names = Annotated[tuple[str, ...], tyro.conf.arg(help_behavior_hint="")]
