"""What pages of the documentation hold, for tests that run it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from media_makers import moving_frames, write_frames


def code_blocks(page: str, language: str) -> list[str]:
    """The code of a page in one language, in order."""
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def write_two_folders(root: Path) -> np.ndarray:  # -> [8, 16, 32, 32, 3] uint8
    """`generated` and `data/UCF-101`, eight frame folders each; the clips of the first."""
    clips = np.stack([np.roll(moving_frames(16, 32, 32), shift, axis=1) for shift in range(8)])
    for number, clip in enumerate(clips):
        write_frames(root / f"generated/{number}", clip)
        write_frames(root / f"data/UCF-101/{number}", clip // 2)
    return clips
