"""The exception for errors in a user's input: a sentence that says what is wrong, where, and what to do."""


class InputError(Exception):
    """Invalid input. Commands print the message and exit with status 2.

    Args:
        message: one sentence.
        field: what the message is about: an option (`--batch-size`), a file, a folder or the name of a style. Callers
            and tests read it instead of the message.
    """

    def __init__(self, message: str, *, field: object = None):
        super().__init__(message)
        self.field: str | None = None if field is None else str(field)

    def __reduce__(self):
        return _rebuild, (str(self), self.field)


def how_to_install(extra: str, *requirements: str) -> str:
    """The commands that install an optional dependency: in the workspace, or anywhere else with pip."""
    return f"`uv sync --all-packages --extra {extra}` or `pip install {' '.join(requirements)}`"


def _rebuild(message: str, field: str | None) -> InputError:
    return InputError(message, field=field)
