"""Work in parts that become smaller when memory runs out, outside of the training step."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from wikiart_data.console import echo
from wikiart_data.errors import InputError

Result = TypeVar("Result")


class Parts:
    """Splits work into parts of at most `size`; when one runs out of memory, halves the size and repeats it.

    The size that fitted is kept for further calls.

    Args:
        size: images per part to begin with.
        task: what is done, for messages: `encoding images`.
    """

    def __init__(self, size: int, task: str):
        self.size, self.task = size, task

    @classmethod
    def by_pixels(cls, pixels: int, height: int, width: int, task: str, most: int) -> "Parts":
        """Parts of about `pixels` pixels in all, of at least one image and at most `most`."""
        return cls(min(most, max(1, pixels // (height * width))), task)

    def map(self, number: int, function: Callable[[slice], Result]) -> Iterator[Result]:
        """Yield `function(part)` for consecutive slices of range(number).

        Raises:
            InputError: there is too little memory for one image.
        """
        start = 0
        while start < number:
            part = slice(start, min(start + self.size, number))
            try:
                result = function(part)
            except torch.OutOfMemoryError as error:
                error.__traceback__ = None  # its frames hold the activations
                self._shrink(part.stop - part.start)
                continue
            yield result
            start = part.stop

    def _shrink(self, failed: int) -> None:
        if failed == 1:
            raise InputError(
                f"There is too little memory for {self.task}, even one at a time: try a smaller --size, or another "
                "base; `wikiart-lora --base list` shows what each needs.",
                field="--size",
            )
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self.size = failed // 2
        echo(f"Out of memory while {self.task}: continuing with {self.size} at a time.")
