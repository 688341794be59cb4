"""`Protocol`: every choice that changes a number, as data with a generated id and hash."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from latte_eval.core.choices import check_choice
from latte_eval.core.errors import ProtocolError
from latte_eval.core.schemas import Check, Schema, is_count, is_text, list_of, or_none

CHOICES: dict[str, tuple[str, ...]] = {
    "real_split": ("all", "train", "test", "train+test"),
    "real_selection": ("seeded", "sorted"),
    "real_offset": ("seeded", "zero"),
    "fake_offset": ("zero", "seeded"),
    "windows": ("one", "all", "any"),
    "crop": ("crop-resize", "resize-crop", "resize-crop-ceil", "none"),
    "resample": ("lanczos", "bilinear", "torch-bilinear", "torch-antialias"),
    "rounding": ("nearest", "floor", "floor-unit", "floor-shifted"),
    "decoder": ("pyav", "decord"),
    "labels": ("uniform", "dataset", "balanced"),
    "covariance": ("n", "n-1"),
    "fid_resize": ("tf1", "clean"),
    "frame_rule": ("all", "first", "mean"),
    "i3d_eps": ("1e-3", "1e-5"),
    "counted": ("all", "generated"),
}
# Fields that came after version 0.1, with the choice that it had made: at this value a field is left out of the hash,
# so that protocols which it knew keep their ids.
LATER: dict[str, str | int] = {
    "covariance": "n", "fid_resize": "tf1", "frame_rule": "all", "fake_offset": "zero", "rounding": "nearest",
    "decoder": "pyav", "i3d_eps": "1e-3", "skip_frames": 0, "counted": "all",
}  # fmt: skip
# Fields that say how clips are measured, and change none of them.
MEASURE_FIELDS = ("covariance", "fid_resize", "frame_rule", "i3d_eps")
# Those of them that choose one of several detectors of a family.
DETECTOR_FIELDS = ("fid_resize", "i3d_eps")
# Filters of torch, on float pixels, and not those of Pillow.
TORCH_FILTERS = ("torch-bilinear", "torch-antialias")
STORAGE_STEPS = ("h264-crf5", "jpeg75")
# Clips of each side in the published tables; as many are taken where nobody says how many and there is no end.
PUBLISHED_CLIPS = 2048

# Type of a field -> what it must be in JSON.
KINDS: dict[str, Check] = {
    "str": is_text, "int": is_count, "int | None": or_none(is_count), "tuple[str, ...]": list_of(is_text),
}  # fmt: skip


@dataclass(frozen=True)
class Protocol:
    """Every choice that changes a number.

    Attributes:
        stem: `latte`, `stylegan-v`, `clean` or `demo`; changing a field keeps the stem and changes the id.
        benchmark: the dataset it belongs to, or `none`.
        frames: frames per clip.
        size: side in pixels that real clips are brought to; None takes them as they are.
        real_stride, fake_stride: distance between the frames of a clip in its video.
        real_split: split of the dataset that counts.
        real_selection: which videos, where there are more than asked for: `sorted` takes the first in path
            order, `seeded` chooses by a hash of the seed and the video's relative path.
        real_clips: at most this many real clips; None takes all.
        fake_clips: exactly this many fake clips; None takes all that a folder has.
        windows: `one` clip per video, `all` non-overlapping ones, or `any`: real clips are drawn out of every window
            of every video, overlapping ones too, as VideoClips of torchvision lists them; then fake videos give one.
        real_offset: where the window starts if there is one per video: `seeded` or `zero`.
        fake_offset: the same of generated videos.
        skip_frames: frames that are left out at the start of every clip, on both sides, before it is measured: those
            that a model of predictions was given. `frames` counts them.
        crop: `crop-resize` (centre square, then resize), `resize-crop` (shorter side, then centre; the longer side is
            rounded down, `resize-crop-ceil` up) or `none`.
        resample: resize filter: `lanczos` and `bilinear` of Pillow; `torch-bilinear`, which looks at four pixels
            however small the picture gets, and `torch-antialias` of torch, on floats.
        rounding: how resized floats become bytes: `nearest`, or cut off on a scale of 0..255 (`floor`), of 0..1
            (`floor-unit`), or of -0.5..0.5 (`floor-shifted`, which takes a level off some real pixels of any size).
        decoder: what decodes video files: `pyav` or `decord`.
        real_storage, fake_storage: lossy steps a side passes through, in order: `h264-crf5` (yuv420p, 8 fps),
            `jpeg75` (4:2:0).
        labels: how classes of generated clips are chosen.
        covariance: what covariances of a Fréchet distance are divided by: `n` as in StyleGAN-V, `n-1` as in
            pytorch-fid, torch-fidelity, TATS and VideoGPT.
        fid_resize: how frames are brought to 299x299 for a distance of Inception features: `tf1` as TensorFlow 1
            did, or `clean` as clean-fid does (PIL's bicubic filter on float channels).
        frame_rule: which rows a detector of frames gives a distance: `all` frames, the `first` of a clip, or the
            `mean` over a clip.
        counted: which frames of a clip are measured, on both sides: `all`, or those that are `generated` where a model
            was given frames: any that were given whole are left out, wherever they are in the clip.
        i3d_eps: of the batch-norms of the I3D: `1e-3` as in the published network, or `1e-5` as in the port of
            VideoGPT, which TATS, DIGAN, PVDM and cd-fvd use.

    A video shorter than frames x stride is dropped on the real side in every protocol, as in StyleGAN-V.
    """

    stem: str = "clean"
    benchmark: str = "none"
    frames: int = 16
    size: int | None = 256
    real_stride: int = 1
    fake_stride: int = 1
    real_split: str = "all"
    real_selection: str = "seeded"
    real_clips: int | None = None
    fake_clips: int | None = None
    windows: str = "one"
    real_offset: str = "seeded"
    crop: str = "crop-resize"
    resample: str = "lanczos"
    real_storage: tuple[str, ...] = ()
    fake_storage: tuple[str, ...] = ()
    labels: str = "uniform"
    covariance: str = "n"
    fid_resize: str = "tf1"
    frame_rule: str = "all"
    fake_offset: str = "zero"
    skip_frames: int = 0
    rounding: str = "nearest"
    decoder: str = "pyav"
    i3d_eps: str = "1e-3"
    counted: str = "all"

    def __post_init__(self) -> None:
        for name, allowed in CHOICES.items():
            check_choice(name, getattr(self, name), allowed)
        for name in ("real_storage", "fake_storage"):
            for step in getattr(self, name):
                check_choice(name, step, STORAGE_STEPS)
        for name in ("frames", "size", "real_stride", "fake_stride", "real_clips", "fake_clips"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ProtocolError(f"{name} is {value}; it must be at least 1")
        if not 0 <= self.skip_frames < self.frames:
            raise ProtocolError(f"skip_frames is {self.skip_frames}; it must be from 0 to {self.frames - 1}, less than "
                                "the frames of a clip")  # fmt: skip
        if self.skip_frames and self.counted != "all":
            said = f"counted={self.counted} and skip_frames={self.skip_frames}"
            raise ProtocolError(f"{said} both leave frames out: keep one of them")

    @property
    def counted_frames(self) -> int:
        """Frames of a clip that are measured, as far as it is known without the model: fewer, if some are given."""
        return self.frames - self.skip_frames

    @property
    def ddof(self) -> int:
        """Covariances are divided by the number of rows less this."""
        return 1 if self.covariance == "n-1" else 0

    @property
    def sha256(self) -> str:
        """Hash of all fields, but for those of `LATER` at their first value."""
        return fields_to_sha256(self.to_dict())

    @property
    def id(self) -> str:
        """A name generated from the fields, short enough to print; its tail is the start of the hash."""
        return self.id_under(self.sha256)

    def id_under(self, sha256: str) -> str:
        """The id that a version gave whose hash was this: one with fewer fields hashed fewer."""
        size = "native" if self.size is None else f"{self.size}px"
        stride = f"stride{self.real_stride}"
        if self.fake_stride != 1:
            stride += f"x{self.fake_stride}"
        benchmark = [] if self.benchmark == "none" else [self.benchmark]
        parts = [self.stem, *benchmark, f"{self.frames}f", stride, size, f"{self.windows}-window", sha256[:8]]
        return "-".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """All fields, in JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Protocol:
        """The inverse of `to_dict`. Raises `ProtocolError` for a field or a value that this version does not know."""
        kinds = {field.name: KINDS[str(field.type)] for field in dataclasses.fields(cls)}
        if unknown := set(fields) - set(kinds):
            raise ProtocolError(f"protocol field {sorted(unknown)[0]!r} is not known to this version of latte-eval")
        if fault := Schema({}, kinds).fault(fields):
            raise ProtocolError(f"protocol field {fault}")
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}
        return cls(**values)

    def replace(self, **changes: Any) -> Protocol:
        """A copy with some fields changed; id and hash follow."""
        return dataclasses.replace(self, **changes)

    def override(self, assignments: Iterable[str]) -> Protocol:
        """A copy with `field=value` texts applied, as `--param` takes them."""
        return self.replace(**dict(parse_assignment(text) for text in assignments))

    def differing_fields(self, other: Protocol) -> list[str]:
        """Names of the fields in which two protocols differ."""
        return [key for key, value in vars(self).items() if value != getattr(other, key)]


def fields_to_sha256(fields: Mapping[str, Any]) -> str:
    """Hash of the fields of a protocol in JSON types, as `to_dict` gives them.

    A stored protocol is checked over the fields that it has: those of the version that wrote it.
    """
    hashed = {name: value for name, value in fields.items() if name not in LATER or value != LATER[name]}
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()


def parse_assignment(text: str) -> tuple[str, Any]:
    """`real_stride=3` -> ("real_stride", 3); items of a list are joined with `+`, and None is written `none`."""
    name, equals, value = text.partition("=")
    fields = {field.name: str(field.type) for field in dataclasses.fields(Protocol)}
    if not equals:
        raise ProtocolError(f"--param {text!r} must read field=value")
    check_choice("--param field", name, fields)
    kind = fields[name]
    if "None" in kind and value == "none":
        return name, None
    if "int" in kind:
        if not value.lstrip("-").isdigit():
            raise ProtocolError(f"--param {name} takes a whole number, not {value!r}")
        return name, int(value)
    if "tuple" in kind:
        return name, tuple(step for step in value.split("+") if step not in ("", "none"))
    return name, value
