"""The embedded benchmark: four moving shapes, drawn on the fly.

    disc      orange, bounces between floor and ceiling
    square    blue, spins in place
    triangle  green, orbits the centre
    ring      violet, pulses in place

A clip is a function of (seed, index) alone. It is small enough to train and evaluate on a laptop and says
nothing about how a model does on real video.
"""

from latte_eval.benchmarks.shapes.draw import CLASSES, FRAMES, SIZE, draw_clip, draw_clips

__all__ = ["CLASSES", "FRAMES", "SIZE", "draw_clip", "draw_clips"]
