"""Folders and zip archives of video files and frames as clips.

`FolderSource` is imported when it is first asked for: it needs torch, listing files does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from latte_eval.core.lazy import lazy_names

if TYPE_CHECKING:
    from latte_eval.benchmarks.readers.source import FolderSource

__all__ = ["FolderSource"]

__getattr__, __dir__ = lazy_names(__name__, {"FolderSource": "source"})
