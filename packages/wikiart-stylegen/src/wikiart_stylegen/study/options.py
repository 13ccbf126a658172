"""The options of `study` and `study-results`."""

from dataclasses import dataclass
from pathlib import Path

from wikiart_data.cli.commands import check_types
from wikiart_data.cli.option_types import FilesArgument
from wikiart_data.errors import InputError
from wikiart_stylegen.command_options import SplitRepaintOptions


@dataclass(frozen=True)
class StudyOptions(SplitRepaintOptions):
    """Write a page that asks people which style a picture is in, and whether it was painted by hand or by the network.

    Half of the pictures are repaints, half are paintings of the same styles at the same size. The page is one HTML file
    that works without network; participants save their answers as JSON, which study-results reads.

    Example: wikiart-stylegen study runs/stylegen/001 --data paintings --to study.html
    """

    to: Path = Path("study.html")
    """HTML file to write."""
    trials: int = 30
    """Number of pictures, an even one: each repaint is paired with a painting of the style."""
    choices: int = 5
    """Number of styles to choose from, fewer if there are not as many target styles."""

    def __post_init__(self) -> None:
        """Reject values of another type or out of range.

        Raises:
            InputError: a value is of another type or out of range.
        """
        super().__post_init__()
        if not 2 <= self.trials <= 1000 or self.trials % 2:
            raise InputError(f"--trials {self.trials} is not an even number in 2..1000.", field="--trials")
        if not 2 <= self.choices <= 9:
            raise InputError(f"--choices {self.choices} is not in 2..9, the number keys.", field="--choices")


@dataclass(frozen=True)
class StudyResultsOptions:
    """Summarise the answers that participants of a study saved: rates with intervals, by style, by participant.

    Example: wikiart-stylegen study-results answers/ --to runs/stylegen/001/study
    """

    files: FilesArgument
    """JSON files that participants saved, and folders of such files."""
    to: Path = Path("study-results")
    """Folder for result.json and index.html; a folder inside a run's folder is shown on the run's page."""

    def __post_init__(self) -> None:
        """Reject values of another type.

        Raises:
            InputError: a value is of another type.
        """
        check_types(self)
