"""The one exception that reaches a user: a sentence that says what is wrong, where, and what to do."""


class InputError(Exception):
    """A mistake in what the user gave us. Commands print it as one sentence and exit with status 2."""
