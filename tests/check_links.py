"""Names each relative link of the Markdown pages that points to no file: `python tests/check_links.py`."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from repository import ROOT

PAGES = ("*.md", "docs/*.md")
# What looks like a link inside code is none.
CODE = re.compile(r"^ *```.*?^ *```|`[^`\n]+`", re.DOTALL | re.MULTILINE)
# [text](target), [text](<a target>), ![image](target), [name]: target (no footnote), href="target", src="target"
LINK = re.compile(r'(?:\]\(|^ *\[(?!\^)[^\]]+\]:|\b(?:href|src)=")\s*<?((?<=<)[^>]+|[^\s<>")]+)', re.MULTILINE)


def relative_targets(text: str) -> Iterator[str]:
    """Paths that a page links to, without web addresses and places inside the page itself."""
    for target in LINK.findall(CODE.sub("", text)):
        address = urlsplit(target)
        if address.path and not address.scheme and not address.netloc:
            yield unquote(address.path)


def broken_links(root: Path) -> list[str]:
    pages = sorted(page for pattern in PAGES for page in root.glob(pattern))
    return [
        f"{page.relative_to(root)}: {target} does not exist"
        for page in pages
        for target in relative_targets(page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]


if __name__ == "__main__":
    broken = broken_links(ROOT)
    print(*broken, sep="\n", end="\n" if broken else "")
    sys.exit(1 if broken else 0)
