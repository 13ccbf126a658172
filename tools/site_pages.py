"""A hook of mkdocs: Markdown files outside docs/ become pages, and links between them keep working on the site.

Every page reads well in the repository too, so links are written for the repository. On the site a link to another page
leads to that page, an image is copied, and of a link to a file that the site does not show its text remains.
"""

import os
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
_PAGES = {
    "README.md": "index.md",
    "REPORT.md": "report.md",
    "report/TABLES.md": "tables.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
    "faults/README.md": "faults.md",
}
_LINK = re.compile(
    r"(?P<image>!?)\[(?P<text>(?:[^\[\]]|!?\[[^\[\]]*\]\([^()]*\))*)\]"  # the text may hold an image
    r"\((?P<target>[^()\s#]*)(?P<anchor>#[^()\s]*)?\)"
)
_SOURCE = re.compile(r'(?P<attribute>\b(?:src|srcset))="(?P<target>[^":]+)"')
"""A picture in HTML, which may have one file for light pages and one for dark ones."""
_CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def pages() -> dict[str, str]:
    """Path of every Markdown file that is a page, from the repository's root → its path within the site."""
    names = dict(_PAGES)
    for package in sorted(ROOT.glob("packages/wikiart-*")):
        part = package.name.removeprefix("wikiart-")
        names[f"packages/{package.name}/README.md"] = f"{part}.md"
        if (package / "LOG.md").exists():
            names[f"packages/{package.name}/LOG.md"] = f"{part}-log.md"
    for guide in sorted((ROOT / "docs").rglob("*.md")):
        names[guide.relative_to(ROOT).as_posix()] = guide.relative_to(ROOT / "docs").as_posix()
    return names


def images_of(source: str, markdown: str) -> set[str]:
    """Paths of a page's images that lie outside docs/, from the repository's root."""
    matches = [*_LINK.finditer(markdown), *_SOURCE.finditer(markdown)]
    targets = {_resolve(source, link["target"]) for link in matches if link["target"]}
    pictures = {target for target in targets if target.endswith((".png", ".jpg", ".svg"))}
    return {target for target in pictures if (ROOT / target).is_file() and not target.startswith("docs/")}


def rewrite_links(source: str, markdown: str) -> str:
    """Turn a page's links, written for the repository, into links of the site.

    Args:
        source: the file's path from the repository's root.
        markdown: its text.
    """
    names = pages()
    folder = Path(names[source]).parent

    def link(match: re.Match[str]) -> str:
        text = _LINK.sub(link, match["text"]) if "](" in match["text"] else match["text"]
        target, anchor = match["target"], match["anchor"] or ""
        if not target or "://" in target:
            return match[0]
        path = _resolve(source, target)
        if path in names:
            place = names[path]
        elif path.endswith((".png", ".jpg", ".svg")):
            place = path.removeprefix("docs/")
        else:
            return text
        return f"{match['image']}[{text}]({Path(os.path.relpath(place, folder)).as_posix()}{anchor})"

    def picture(match: re.Match[str]) -> str:
        place = _resolve(source, match["target"]).removeprefix("docs/")
        return f'{match["attribute"]}="{Path(os.path.relpath(place, folder)).as_posix()}"'

    def rewrite(text: str) -> str:
        return _SOURCE.sub(picture, _LINK.sub(link, text))

    parts, end = [], 0
    for code in _CODE.finditer(markdown):
        parts += [rewrite(markdown[end : code.start()]), code[0]]
        end = code.end()
    return "".join([*parts, rewrite(markdown[end:])])


def _resolve(source: str, target: str) -> str:
    """A relative link's target, from the repository's root."""
    return Path(os.path.normpath(Path(source).parent / target)).as_posix()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/, and the images they show."""
    for source, name in pages().items():
        path = ROOT / source
        if not path.exists():
            continue
        if not source.startswith("docs/"):
            files.append(File.generated(config, name, abs_src_path=str(path)))
        for image in images_of(source, path.read_text(encoding="utf-8")):
            if files.get_file_from_path(image) is None:
                files.append(File.generated(config, image, abs_src_path=str(ROOT / image)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite a page's links."""
    sources = {name: source for source, name in pages().items()}
    source = sources[page.file.src_uri]
    return rewrite_links(source, markdown)
