"""Notices: what a person should know although the work goes on, where no `Reporter` is at hand.

They are warnings of Python, so that a program may collect them or turn them into errors; the command line prints each
once, as a line on stderr.
"""

from __future__ import annotations

import warnings


class Notice(UserWarning):
    """One sentence about what was passed over or done in a lesser way."""


def notice(text: str) -> None:
    """Tell it."""
    warnings.warn(Notice(text), stacklevel=2)
