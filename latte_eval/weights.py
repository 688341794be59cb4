"""`Weights`: where a file of network weights comes from and how its bytes are known to be the right ones."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """One published file of weights.

    Attributes:
        name: what latte-eval calls it, as in `latte-eval weights path NAME`.
        filename: its file name in the cache and in `LATTE_EVAL_WEIGHTS`.
        urls: public locations, most trusted first; `hf://owner/repo/file@revision` or https.
        sha256: full hash, or None where none is public: then it is trusted on first use.
        size: bytes, or None where unknown.
        licence: licence of the weights.
        origin: who trained and converted it, in a sentence.
    """

    name: str
    filename: str
    urls: tuple[str, ...]
    sha256: str | None
    size: int | None
    licence: str
    origin: str
