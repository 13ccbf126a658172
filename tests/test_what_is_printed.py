"""What the READMEs, the report and the help texts print can be typed: programs, verbs, options and files exist."""

import ast
import importlib
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from wikiart_data.cli.commands import main as run_command

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", ROOT / "REPORT.md", *sorted(ROOT.glob("packages/*/README.md"))]
PROGRAMS = {
    "wikiart-data": "wikiart_data.cli.main",
    "wikiart-classify": "wikiart_classify.cli",
    "wikiart-autoencode": "wikiart_autoencode.cli",
    "wikiart-cluster": "wikiart_autoencode.cluster_cli",
    "wikiart-stylegen": "wikiart_stylegen.cli",
    "wikiart-lora": "wikiart_lora.cli",
}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def commands_of(program: str) -> tuple:
    return importlib.import_module(PROGRAMS[program]).COMMANDS


def programs_of(page: Path) -> list[str]:
    """The programs that a package's README is about; for the pages of the root, none."""
    package = page.parent.name.replace("-", "_")
    return [program for program, module in PROGRAMS.items() if module.startswith(f"{package}.")]


def printed(page: Path) -> Iterator[list[str]]:
    """Every command line of a page, as a program and its arguments: of blocks, and of code within text."""
    text = page.read_text(encoding="utf-8")
    blocks = [block for _, block in _BLOCK.findall(text)] + re.findall(r"(?:^    \S.*\n)+", text, re.MULTILINE)
    for line in "".join(blocks).replace("\\\n", " ").splitlines():
        if re.search(r"\bwikiart[-_](data|classify|autoencode|cluster|stylegen|lora)\b", line) and "import" not in line:
            yield from typed(shlex.split(line, comments=True), page)
    verbs = {command.name: program for program in programs_of(page) for command in commands_of(program)}
    for span in re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text)):
        words = span.replace("…", "").split(" ")
        if words[0] in (*PROGRAMS, "uv", "accelerate"):
            yield from typed(shlex.split(span.replace(" …", "")), page)
        elif words[0] in verbs and len(words) > 1:  # `export RUN --format kohya`: the program goes without saying
            yield [verbs[words[0]], *shlex.split(span)]


def typed(words: list[str], page: Path) -> Iterator[list[str]]:
    """The program of ours that a command line ends in, with its arguments, also behind `uv run` and `-m`."""
    for place, word in enumerate(words):
        before = words[place - 1] if place else ""
        if word in PROGRAMS and before != "--package":
            yield words[place:]
            return
        if before == "-m" and word.startswith("wikiart_"):
            yield [word.replace("_", "-"), *words[place + 1 :]]
            return
    assert words[0] in ("uv", "pip", "accelerate"), f"{page_name(page)}: {shlex.join(words)} runs no program of ours"


def parsed(line: list[str]) -> int:
    """The exit status of a command line whose function does nothing."""
    program, *arguments = line
    if arguments == ["--base", "list"]:  # of wikiart-lora, answered before any verb
        return 0
    if len(arguments) == 1 and arguments[0] in {command.name for command in commands_of(program)}:
        return 0  # the verb is named, what it needs is left out
    # operator.not_ of the options is False: done, status 0.
    idle = [replace(command, function="operator:not_") for command in commands_of(program)]
    return run_command(program, "", idle, arguments)


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_printed_is_understood(page: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    course = {"trainingdir": "data/train", "testingdir": "data/test", "epochs": 3}
    Path("config.json").write_text(json.dumps(course))
    lines = list(printed(page))
    assert lines
    for line in lines:
        assert parsed(line) == 0, f"{shlex.join(line)}: {capsys.readouterr()}"


def test_a_command_that_does_not_exist_is_noticed(capsys):
    assert parsed(["wikiart-classify", "train", "--epoch", "3"]) == 2
    assert parsed(["wikiart-lora", "paint"]) == 2


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_option_named_exists(page: Path):
    text = page.read_text(encoding="utf-8")
    known = {"--extra", "--package", "--all-packages", "--check", "--multi_gpu", "--num_processes", "--num_machines"}
    known |= {"--machine_rank", "--main_process_ip", "--main_process_port", "--help", "-n"}
    known |= set(re.findall(r'add_argument\("(--[a-z-]+)"', (ROOT / "tools/reproduce.py").read_text(encoding="utf-8")))
    for program in programs_of(page) or PROGRAMS:
        for command in commands_of(program):
            fields = command.options.__dataclass_fields__
            known |= {"--" + name.replace("_", "-") for name in fields}
            known |= {"--no-" + name.replace("_", "-") for name, field in fields.items() if field.type is bool}
    # A README may name another part's option beside that part's program.
    spans = [span for span in re.findall(r"`([^`\n]+)`", _BLOCK.sub("", text)) if not span.startswith("wikiart-")]
    named = {option for span in spans for option in re.findall(r"(?<![\w-])--[a-z][\w-]*", span)}
    if page.parent == ROOT or programs_of(page):
        assert named - known - ({"--size", "--epochs", "--balance"} if "lora" in page_name(page) else set()) == set()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_and_python_hold(page: Path):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert (page.parent / target).exists(), f"{page_name(page)} links to {target}"
    for language, block in _BLOCK.findall(text):
        if language == "python":
            for node in ast.walk(ast.parse(block)):
                if isinstance(node, ast.ImportFrom):
                    module = importlib.import_module(str(node.module))
                    assert all(hasattr(module, name.name) for name in node.names)


def test_links_to_headings_of_the_report():
    headings = re.findall(r"^#+ (.+)$", (ROOT / "REPORT.md").read_text(encoding="utf-8"), re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    for page in PAGES:
        named = re.findall(r"REPORT\.md#([\w-]+)\)", page.read_text(encoding="utf-8"))
        assert set(named) <= anchors, page_name(page)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_has_an_example_that_can_be_typed_and_fits_the_screen(program: str, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    main = importlib.import_module(PROGRAMS[program]).main
    for command in commands_of(program):
        assert main([command.name, "--help"]) == 0
        shown = capsys.readouterr().out
        examples = re.findall(r"^Example: (.+)$", shown, re.MULTILINE)
        assert len(examples) == 1, f"{program} {command.name}"
        assert parsed(shlex.split(examples[0])) == 0, examples[0]
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", shown), "control characters"
        about = [line for line in shown.splitlines() if not line.startswith(("Example: ", "usage: "))]
        assert max(map(len, about)) <= 80


def test_the_map_of_files_names_every_module():
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Map of the files")[2]
    sections = re.split(r"^\| `packages/[\w-]+/src/(\w+)/`", text, flags=re.MULTILINE)
    named = dict(zip(sections[1::2], sections[2::2], strict=True))
    for package in sorted(ROOT.glob("packages/*/src/*/__init__.py")):
        modules = {path.name for path in package.parent.glob("*.py")} - {"__init__.py", "__main__.py"}
        missing = {name for name in modules if f"`{name}`" not in named[package.parent.name]}
        assert not missing, f"{package.parent.name}: {', '.join(sorted(missing))}"
    for tool in [*ROOT.glob("tools/*.py"), *ROOT.glob("benchmarks/*.py")]:
        assert f"`{tool.relative_to(ROOT).as_posix()}`" in text, tool.name
