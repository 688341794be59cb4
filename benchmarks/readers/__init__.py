"""Folders and zip archives of video files and frames as clips.

`FolderSource` is imported when it is first asked for: it needs torch, the names of files do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latte_eval.benchmarks.readers.source import FolderSource

__all__ = ["FolderSource"]


def __getattr__(name: str) -> Any:
    if name != "FolderSource":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from latte_eval.benchmarks.readers.source import FolderSource

    return FolderSource
