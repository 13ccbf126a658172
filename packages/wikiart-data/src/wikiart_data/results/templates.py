"""The HTML templates of this folder, filled in by jinja2: whatever is filled in is text and never markup."""

import functools
from typing import TYPE_CHECKING, Any

from wikiart_data.console import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def template(name: str, **values: Any) -> "Markup":
    """A template with its values filled in: escaped, and with control characters shown as escapes.

    Raises:
        jinja2.UndefinedError: the template uses a value that is not given.
    """
    from markupsafe import Markup

    return Markup(_environment().get_template(name).render(values))


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("wikiart_data.results"),
        autoescape=True,
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _printable(value: Any) -> Any:
    """Text made printable before it is escaped; what is markup already is left as it is."""
    return printable(value) if type(value) is str else value
