"""A protocol and a result in plain words, for the page that a person reads in a minute."""

from __future__ import annotations

from typing import Any

from latte_eval.core.protocol import Protocol
from latte_eval.core.result import Result
from latte_eval.sampler.pipeline_options import options_in_words

STORAGE = {
    "h264-crf5": "encoded as H.264 (crf 5, 4:2:0, 8 frames a second) and decoded",
    "jpeg75": "stored as JPEG of quality 75 (4:2:0)",
}
CROPS = {
    "crop-resize": "cut to the centre square, then resized to {size} pixels ({resample})",
    "resize-crop": "resized to {size} pixels on the shorter side ({resample}), then cut to the centre square",
    "resize-crop-ceil": "resized to {size} pixels on the shorter side, rounded up on the longer ({resample}), then cut "
    "to the centre square",
    "none": "taken as they are",
}
FILTERS = {
    "lanczos": "Lanczos",
    "bilinear": "Bilinear",
    "torch-bilinear": "bilinear of torch",
    "torch-antialias": "bilinear of torch with antialiasing",
}
ROUNDINGS = {
    "nearest": "",
    "floor": ", cut off to whole grey levels",
    "floor-unit": ", cut off to whole grey levels on a scale of 0 to 1",
    "floor-shifted": ", cut off to whole grey levels on a scale of -0.5 to 0.5",
}
WINDOWS = {
    "one": "one clip a video, {offset}",
    "all": "every clip that fits, without overlap",
    "any": "drawn out of every clip of every video, overlapping ones too",
}
LABELS = {
    "uniform": "drawn evenly by the seed",
    "dataset": "drawn as often as the real clips have them",
    "balanced": "dealt so that each comes equally often",
}
FRAME_RULES = {
    "all": "",
    "first": "; of the frames of a clip the first counts for distances of frames",
    "mean": "; distances of frames take the mean over each clip",
}
SPLITS = {
    "all": "all videos",
    "train": "the train split",
    "test": "the test split",
    "train+test": "the train and test splits together",
}


def protocol_in_words(protocol: Protocol) -> list[str]:
    """Every choice that changes the number, one sentence each."""
    p = protocol
    return [real_clips(p), real_frames(p), fake_clips(p), fake_labels(p), measured(p)]


def protocol_in_brief(protocol: Protocol) -> str:
    """On one line: the choices that matter most, and the id, which holds the hash."""
    p = protocol
    size = "frames of their own size" if p.size is None else f"{p.size} pixels"
    stride = "consecutive" if p.real_stride == 1 else f"every {ordinal(p.real_stride)}"
    of = "" if p.benchmark == "none" else f" of {p.benchmark}"
    return f"{SPLITS[p.real_split]}{of}, {p.frames} frames ({stride}), {size}; {p.id}"


def measured(p: Protocol) -> str:
    """What holds in every protocol, and how clips are measured."""
    resized = "; Inception sees frames resized as clean-fid does" if p.fid_resize == "clean" else ""
    resized += FRAME_RULES[p.frame_rule]
    resized += "; batch-norms of the I3D have an eps of 1e-5, as in the port of VideoGPT" if p.i3d_eps == "1e-5" else ""
    resized += f"; the first {p.skip_frames} frames of a clip are left out on both sides" if p.skip_frames else ""
    resized += "; frames that were given to the model are left out on both sides" if p.counted == "generated" else ""
    divisor = "N - 1" if p.ddof else "N"
    return f"Real videos too short for a clip are left out; covariances are divided by {divisor}{resized}."


def real_clips(p: Protocol) -> str:
    """Which real clips."""
    of = "" if p.benchmark == "none" else f" of {p.benchmark}"
    count = "all of them" if p.real_clips is None else f"at most {p.real_clips:,}"
    how = "chosen by the seed" if p.real_selection == "seeded" else "the first in order of their paths"
    offset = "at a place chosen by the seed" if p.real_offset == "seeded" else "from the start"
    windows = WINDOWS[p.windows].format(offset=offset)
    stride = "consecutive frames" if p.real_stride == 1 else f"every {ordinal(p.real_stride)} frame"
    chosen = count if p.real_clips is None else f"{count}, {how}"
    return f"Real clips: {SPLITS[p.real_split]}{of}, {chosen}; {windows}; {p.frames} frames a clip, {stride}."


def ordinal(number: int) -> str:
    """`2nd`, `3rd`, `6th`."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 <= number % 100 <= 20 else endings.get(number % 10, 'th')}"


def real_frames(p: Protocol) -> str:
    """What happens to real frames."""
    size = CROPS["none"] if p.size is None else CROPS[p.crop].format(size=p.size, resample=FILTERS[p.resample])
    decoded = ", decoded by decord" if p.decoder == "decord" else ""
    return f"Real frames are {size}{ROUNDINGS[p.rounding]}{stored(p.real_storage)}{decoded}."


def stored(steps: tuple[str, ...]) -> str:
    """The lossy steps of a side."""
    return "".join(f", then {STORAGE[step]}" for step in steps) or ", without lossy storage"


def fake_clips(p: Protocol) -> str:
    count = "all clips that there are" if p.fake_clips is None else f"{p.fake_clips:,} clips"
    stride = "" if p.fake_stride == 1 else f", every {ordinal(p.fake_stride)} frame of a video"
    offset = ", at a place chosen by the seed" if p.fake_offset == "seeded" else ""
    return f"Fake clips: {count}, {p.frames} frames{stride}{offset}{stored(p.fake_storage)}."


def fake_labels(p: Protocol) -> str:
    return f"Classes of fake clips, where the model has classes, are {LABELS[p.labels]}."


def sampler_in_words(sampler: dict[str, Any] | None) -> str | None:
    """How a checkpoint was sampled; None for a folder."""
    if not sampler:
        return None
    scale = sampler.get("guidance_scale")
    parts = [
        f"{sampler['method']}" if sampler.get("method") else "",
        f"{sampler['steps']} steps" if sampler.get("steps") else "",
        "no guidance" if scale == 1 else f"guidance scale {scale:g}" if scale is not None else "",
        "x0 clipped to -1..1" if sampler.get("clip_x0") else "",
        f"{sampler['dtype']}" if sampler.get("dtype") else "",
        f"codec {sampler['codec']}" if sampler.get("codec") else "",
        f"seed {sampler['seed']}" if sampler.get("seed") is not None else "",
        f"given {sampler.get('given') or sampler['task']}" if sampler.get("task") else "",
        *options_in_words(sampler),
    ]
    return ", ".join(part for part in parts if part)


def detector_in_words(result: Result) -> str:
    """Which network looked at the clips, and whether its numbers can stand beside published ones."""
    detector = result.detector
    said = "" if detector["comparable"] else "; its numbers do not stand beside published ones"
    return f"{detector['name']}, sha256 {detector['sha256'][:12]}{said}"


def sides_in_words(result: Result) -> str:
    """What was compared with what."""
    seeds = f" (seeds {result.seeds[0]} to {result.seeds[1]})" if result.seeds else ""
    fake = f"{result.fake:,} clips of {result.fake_source['name']}{seeds}"
    if not result.real_source:
        return fake
    return f"{fake} against {result.real:,} real clips of {result.real_source['name']}"
