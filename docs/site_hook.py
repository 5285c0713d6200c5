"""What `mkdocs build` needs beyond docs/: pages from elsewhere in the repository, links between them, notebooks.

Pages of docs/ link to other files as they lie in the repository, so that the links work on a code host. Here they are
rewritten to where the site has these files. mkdocs.yml names this module under `hooks`.
"""

import base64
import html
import json
import posixpath
import re
import runpy
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
OTHERS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "emopipe/inference/shipped.md": "shipped.md",
    "emopipe/weights/files/LICENSE-weights.md": "licence_of_weights.md",
    "LICENSE": "LICENSE.txt",
    "CITATION.cff": "CITATION.cff",
}
"""File of the repository outside docs/ -> its place in the site."""
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)\s]*)?\))")
_LOADED = re.compile(r"<(?:script|img|iframe|source)\b[^>]*\ssrc=[\"']?https?:|<link\b[^>]*\shref=[\"']?https?:")
_PANDAS = re.compile(r'<table border="1" class="dataframe">')  # the theme styles tables without a class
_TERMINAL = re.compile(r"\x1b\[[0-9;]*m")


def on_config(config: Any) -> Any:
    """Name headings as code hosts do, so that links to headings work there and here, and put the notice on each page.

    Called by mkdocs.
    """
    from pymdownx.slugs import slugify  # only mkdocs' own environment has it

    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    notice = runpy.run_path(str(REPOSITORY / "emopipe/core/notice.py"))["NOTICE"]
    config.copyright = f"MIT licence; the weights have terms of their own. {html.escape(notice)}"
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/, and a page for each notebook with its pictures. Called by mkdocs."""
    from mkdocs.structure.files import File

    for source, place in OTHERS.items():
        files.append(File.generated(config, place, content=(REPOSITORY / source).read_text(encoding="utf-8")))
    for path in sorted((REPOSITORY / "docs").glob("*.ipynb")):
        page, pictures = notebook(path)
        files.append(File.generated(config, f"{path.stem}.md", content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page with links to where the site has the files. Called by mkdocs."""
    place = page.file.src_uri
    source = next((name for name, other in OTHERS.items() if other == place), f"docs/{place}")
    return rewritten(markdown, source)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Refuse a page that would load something from the network; links are not loaded. Called by mkdocs."""
    if found := _LOADED.search(output):
        from mkdocs.exceptions import PluginError

        raise PluginError(f"The page {page.file.src_uri} loads from the network: {found[0]}. Put the file into docs/.")
    return output


def rewritten(markdown: str, source: str) -> str:
    """Return a page whose links to files of the repository lead to their places in the site.

    Args:
        markdown: The page.
        source: Its path in the repository.
    """
    here = posixpath.dirname(_place(source))

    def link(found: re.Match[str]) -> str:
        start, target, end = found.groups()
        if "://" in target:
            return found[0]
        wanted = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        return f"{start}{posixpath.relpath(_place(wanted), here or '.')}{end}"

    return _LINK.sub(link, markdown)


def _place(path: str) -> str:
    """Return where the site has a file of the repository."""
    if path.startswith("docs/") and path.endswith(".ipynb"):
        path = f"{path.removesuffix('.ipynb')}.md"
    return OTHERS.get(path, path.removeprefix("docs/"))


def notebook(path: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as a page (Markdown), and name -> content of its pictures (PNG)."""
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        text = "".join(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else _fenced(text, "python"))
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{path.stem}_{len(pictures)}.png"
                pictures[name] = base64.b64decode("".join(data["image/png"]))
                parts.append(f"![Output]({name})")
            elif "text/html" in data:
                parts.append(f"<div>\n{_PANDAS.sub('<table>', ''.join(data['text/html']))}\n</div>")
            else:
                parts.append(_fenced("".join(output.get("text", data.get("text/plain", ""))), "text"))
    return "\n\n".join(parts) + "\n", pictures


def _fenced(text: str, language: str) -> str:
    return f"````{language}\n{_TERMINAL.sub('', text).rstrip()}\n````"
