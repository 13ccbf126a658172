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


def test_pictures_in_html_are_found_from_the_page_of_the_site():
    text = '<source srcset="docs/map-dark.jpg"> <img src="report/figures/pipeline.svg"> `src="docs/x.jpg"`'
    assert site_pages.images_of("README.md", text) == {"report/figures/pipeline.svg"}
    rewritten = site_pages.rewrite_links("README.md", text)
    assert 'srcset="map-dark.jpg"' in rewritten
    assert 'src="report/figures/pipeline.svg"' in rewritten
