"""Every Markdown file that becomes a page of the documentation site is in the site's menu."""

import importlib.util
import re
from pathlib import Path

import pytest

pytest.importorskip("mkdocs")

ROOT = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location("site_pages", ROOT / "tools" / "site_pages.py")
site_pages = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(site_pages)


def test_every_page_is_in_the_menu():
    # Read as text: mkdocs.yml names Python objects that a plain YAML loader refuses.
    menu = (ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2].partition("\n\n")[0]
    listed = re.findall(r": (\S+\.md)$", menu, re.MULTILINE)
    assert sorted(listed) == sorted(site_pages.pages().values())
