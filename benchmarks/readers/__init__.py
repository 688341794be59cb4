"""Folders and zip archives of video files and frames as clips."""

from latte_eval.benchmarks.readers.source import FolderSource

__all__ = ["FolderSource"]
