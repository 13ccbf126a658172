"""Templates of jinja2: in HTML, whatever is filled in is text and never markup."""

import functools
from typing import TYPE_CHECKING, Any

from wikiart_data.console import printable

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup


def fill_template(package: str, template: str, /, **values: Any) -> "Markup":
    """A template with its values filled in: escaped if it is HTML, and with control characters shown as escapes.

    Args:
        package: a package with a folder `templates`, such as `wikiart_data.results`.
        template: a file in that folder. Values are escaped if it ends in `.html`.
        values: what the template uses; a `markupsafe.Markup` is filled in as it is.

    Raises:
        jinja2.UndefinedError: the template uses a value that is not given.
    """
    from markupsafe import Markup

    return Markup(_environment(package).get_template(template).render(values))


@functools.cache
def _environment(package: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html"]),
        finalize=_printable,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _printable(value: Any) -> Any:
    """Text made printable before it is escaped; what is markup already is left as it is."""
    return printable(value) if type(value) is str else value
