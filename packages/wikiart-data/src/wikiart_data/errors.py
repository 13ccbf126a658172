"""The one exception that reaches a user: a sentence that says what is wrong, where, and what to do."""


class InputError(Exception):
    """Bad input from the user. Commands print the message as one sentence and exit with status 2.

    Args:
        message: the sentence.
        field: what the message is about: an option (`--batch-size`), a file, a folder or a style name. Tests and
            callers look at it instead of the wording.
    """

    def __init__(self, message: str, *, field: object = None):
        super().__init__(message)
        self.field: str | None = None if field is None else str(field)

    def __reduce__(self):
        return _rebuild, (str(self), self.field)


def _rebuild(message: str, field: str | None) -> InputError:
    return InputError(message, field=field)
