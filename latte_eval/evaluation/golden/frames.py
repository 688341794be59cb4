"""What happens to frames: converters, JPEG, H.264, windows, and the step from floats to bytes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch

from latte_eval.benchmarks.readers.prepare import prepare_frame
from latte_eval.benchmarks.readers.windows import TooShort, highest_offset, window_starts
from latte_eval.core.clips import Clips
from latte_eval.core.protocol import Protocol
from latte_eval.core.protocols import named_protocol
from latte_eval.evaluation.golden.files import Golden, open_golden
from latte_eval.evaluation.golden.measure import Measure
from latte_eval.evaluation.golden.seeded import seeded_clip
from latte_eval.files.lossy import apply_storage, jpeg_frame
from latte_eval.sampler.vae import to_uint8

LATTE = "Vchitect/Latte@b27c24a"
CODE_BASES = {"stylegan-v": "universome/stylegan-v@3fecd69", "latte": LATTE}
CASES = ("land", "port", "square")
LOADERS = {"tats": "songweige/TATS@03bbce1", "digan": "sihyun-yu/digan@e822320", "cd-fvd": "cd-fvd 0.1.1"}
PATCH = slice(112, 144)


def source_frame(golden: Golden, case: str) -> np.ndarray:  # -> [H, W, 3] uint8
    """The frame that the converters of the code bases were given: blocks of 4x4 pixels."""
    height, width = golden.meta["converter_frame"]["cases"][case]
    small = seeded_clip(f"conv/{case}", (3, 1, height // 4 + 1, width // 4 + 1), golden.meta["seed"])
    return small[:, 0].transpose(1, 2, 0).repeat(4, 0).repeat(4, 1)[:height, :width]


def converter_error(case: str, code_base: str, stored: bool) -> float:
    """Grey levels between our frame and the code base's, before or after its JPEG."""
    golden = open_golden("data_semantics")
    frame = prepare_frame(source_frame(golden, case), named_protocol(code_base))
    frame = jpeg_frame(frame) if stored else frame
    part = "decoded" if stored else "before_jpeg"
    return levels_apart(frame[PATCH, PATCH], golden[f"conv_{case}_{code_base}_{part}_patch"])


def loader_frames(golden: Golden, case: str) -> np.ndarray:  # -> [T, H, W, 3] uint8
    """The frames that the loaders of the field were given."""
    height, width = golden.meta["cases"][case]
    return seeded_clip(f"loaders/{case}", (3, 2, height, width), golden.meta["seed"]).transpose(1, 2, 3, 0)


def loader_error(case: str, name: str) -> float:
    """Grey levels between our frames under a protocol of the field and those of its own loader."""
    golden = open_golden("field_loaders")
    protocol = named_protocol(name).replace(size=golden.meta["size"])
    frames = [prepare_frame(frame, protocol) for frame in loader_frames(golden, case)]
    return levels_apart(np.stack(frames), golden[f"{name}_{case}"])


def levels_apart(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found.astype(int) - expected).max())


def bytes_error(dtype: str, device: str) -> float:
    """Grey levels between our bytes of float pixels and the published sampler's."""
    golden = open_golden("data_semantics")
    pixels = torch.from_numpy(golden["touint8_in"]).to(getattr(torch, dtype)).to(device)
    return levels_apart(to_uint8(pixels).cpu().numpy(), golden[f"touint8_latte_{dtype}"])


def h264_error(name: str) -> float:
    """Decibels of PSNR between our round trip through H.264 and the published one."""
    golden = open_golden("data_semantics")
    frames = {"blocky": blocky_clip, "ramp": ramp_clip}[name](golden)
    clips = Clips(torch.from_numpy(frames.transpose(0, 3, 1, 2).copy())[None], (0,))
    stored = apply_storage(clips, ["h264-crf5"]).pixels[0].permute(0, 2, 3, 1).numpy()
    squares = np.square(stored.astype(float) - frames).mean((0, 1, 2))
    found = 10 * np.log10(255**2 / squares)
    return float(np.abs(found - golden.meta["mp4"][name]["psnr_per_channel"]).max())


def blocky_clip(golden: Golden) -> np.ndarray:  # -> [16, H, W, 3] uint8
    side = golden.meta["mp4_inputs"]["S"]
    small = seeded_clip("mp4", (3, 16, side // 4, side // 4), golden.meta["seed"])
    return small.transpose(1, 2, 3, 0).repeat(4, 1).repeat(4, 2)


def ramp_clip(golden: Golden) -> np.ndarray:  # -> [16, H, W, 3] uint8
    side = golden.meta["mp4_inputs"]["S"]
    y, x = np.mgrid[:side, :side]
    frames = [np.stack([(x + 3 * t) % 256, (y + 2 * t) % 256, (x + y) // 2 % 256], -1) for t in range(16)]
    return np.stack(frames).astype(np.uint8)


def window_error() -> float:
    """Rows of the published table of windows that we answer differently: which videos are kept, and the last offset."""
    golden, wrong = open_golden("data_semantics"), 0
    for length, frames, stride, kept, _, high, *_ in golden["keep_table"].astype(int):
        found = is_kept(length, Protocol(frames=frames, real_stride=stride, fake_stride=stride))
        wrong += found != bool(kept) or (found and highest_offset(length, frames, stride) != high)
    return float(wrong)


def is_kept(length: int, protocol: Protocol) -> bool:
    try:
        return bool(window_starts(length, protocol, "real", 0, "v"))
    except TooShort:
        return False


def frame_measures(device: str) -> Iterator[Measure]:
    """Windows, converters and storage of both code bases, and the sampler's bytes."""
    yield Measure("windows of real videos", CODE_BASES["stylegan-v"], 0, window_error)
    for case, code_base in itertools.product(CASES, CODE_BASES):
        for stored, tolerance in ((False, 1), (True, 2)):
            what = "after JPEG" if stored else "before JPEG"
            error = partial(converter_error, case, code_base, stored)
            yield Measure(f"{code_base} {case} frame {what}, in grey levels", CODE_BASES[code_base], tolerance, error)
    for case, (name, source) in itertools.product((*CASES, "native"), LOADERS.items()):
        yield Measure(f"{name} {case} frames, in grey levels", source, 1, partial(loader_error, case, name))
    for dtype in ("float32", "float16"):
        yield Measure(f"bytes of {dtype} pixels", LATTE, 0, partial(bytes_error, dtype, device))
    for name in ("blocky", "ramp"):
        yield Measure(f"H.264 of a {name} clip, in dB", LATTE, 0.2, partial(h264_error, name))
