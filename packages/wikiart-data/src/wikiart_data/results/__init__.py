"""Results: statistics, tables, figures, and the page of a run.

Importing the package is instant: each name below is loaded at its first use.
"""

from typing import TYPE_CHECKING

from wikiart_data.lazy import lazy_names

if TYPE_CHECKING:
    from wikiart_data.results.folder import write_figure, write_figures, write_results
    from wikiart_data.results.page import renew_page, write_page
    from wikiart_data.results.serialization import from_plain, json_text, to_plain
    from wikiart_data.results.statistics import Estimate
    from wikiart_data.results.tables import Number, Table, html_table, markdown_table, print_table

__all__ = [
    "Estimate",
    "Number",
    "Table",
    "from_plain",
    "html_table",
    "json_text",
    "markdown_table",
    "print_table",
    "renew_page",
    "to_plain",
    "write_figure",
    "write_figures",
    "write_page",
    "write_results",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Estimate": "statistics",
        "Number": "tables",
        "Table": "tables",
        "from_plain": "serialization",
        "html_table": "tables",
        "json_text": "serialization",
        "markdown_table": "tables",
        "print_table": "tables",
        "renew_page": "page",
        "to_plain": "serialization",
        "write_figure": "folder",
        "write_figures": "folder",
        "write_page": "page",
        "write_results": "folder",
    },
)
