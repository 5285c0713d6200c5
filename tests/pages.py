"""The project's pages, README and docs, as tests read them: blocks by language, and commands."""

import re
import shlex
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", *sorted((REPOSITORY / "docs").glob("*.md"))]


def name_of(page: Path) -> str:
    """A page's path in the repository."""
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path | str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(page: Path | str) -> list[list[str]]:
    """The words of each command of a page, without comments."""
    lines = "".join(blocks(page, "sh")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def commands_of(page: Path | str, *program: str) -> list[list[str]]:
    """The arguments of a page's commands that begin so."""
    return [words[len(program) :] for words in commands(page) if words[: len(program)] == list(program)]
