"""Codecs: from latents to uint8 frames, through the Stable Diffusion VAE or, for pixel-space models, as they are."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from latte_eval.core.arithmetic import exact_float32
from latte_eval.core.errors import ClipError, UsageError, WeightsError, first_line
from latte_eval.core.seeding import numpy_generator
from latte_eval.core.stops import check_stop
from latte_eval.core.unset_weights import UnsetWeights
from latte_eval.files.weights import cache_folder, file_sha256, user_folder
from latte_eval.sampler.memory import free_bytes, peak_bytes

SD_VAE = "stabilityai/sd-vae-ft-ema"
SD_VAE_FILES = ("config.json", "diffusion_pytorch_model.safetensors")
# Latents are trained at this scale: Rombach et al. 2022.
SCALE = 0.18215
NAMES = ("auto", "identity", "vae-seeded")
# The architecture of the Stable Diffusion VAE, as diffusers names it.
SD_VAE_CHANNELS = 4
SD_VAE_CONFIG = {
    "block_out_channels": (128, 256, 512, 512), "latent_channels": SD_VAE_CHANNELS, "layers_per_block": 2,
    "norm_num_groups": 32,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


class Codec(Protocol):
    """Latents to frames.

    Attributes:
        name: as in a result.
        sha256: of the file of weights; None where there are none.
        channels: of the latents.
        factor: pixels per latent along a side.
    """

    name: str
    sha256: str | None
    channels: int
    factor: int

    def decode(self, latents: Tensor) -> Tensor:
        """Frames of a batch of clips, on its device. # [N, T, C, H, W] float -> [N, T, 3, H*factor, W*factor] uint8

        Raises `FramesNotFinite` where there is a NaN or infinite pixel.
        """

    def encode(self, pixels: Tensor, noise: Tensor | None = None) -> Tensor:
        """Latents of frames, on their device. # [N, T, 3, H*factor, W*factor] uint8 -> [N, T, C, H, W] float32

        `noise`, shaped like the latents, draws them where the encoder gives a distribution; without it they are the
        most likely ones.
        """


class FramesNotFinite(ClipError):
    """A decoder gave pixels that are NaN or infinite, which uint8 would show as grey, black or white.

    Attributes:
        position: of the first such clip in the batch.
        dtype: that it was decoded in, such as `float16`.
    """

    def __init__(self, position: int, dtype: torch.dtype):
        self.position, self.dtype = position, str(dtype).removeprefix("torch.")
        super().__init__(f"clip {position} of the batch was decoded to NaN or infinite pixels, in {self.dtype}")


def check_frames(finite: Tensor, dtype: torch.dtype) -> None:  # finite [N, T] bool
    """Raise `FramesNotFinite` unless every frame is finite."""
    clips = to_host(finite.all(1)).tolist()
    if not all(clips):
        raise FramesNotFinite(clips.index(False), dtype)


def to_host(x: Tensor) -> Tensor:
    """On the CPU, where its values can be read: the host waits for the device.

    The sampler waits here alone, for a batch whose last step is taken: whether its latents and its frames are finite,
    and its pixels.
    """
    return x.cpu()


def finite_frames(x: Tensor) -> Tensor:  # [F, 3, H, W] -> [F] bool
    return torch.isfinite(x).flatten(1).all(1)


def to_uint8(x: Tensor) -> Tensor:  # -1..1 -> 0..255
    """As the published sampler: scale, add a half, clamp, truncate; in the type of x, float16 included."""
    return (((x * 0.5 + 0.5) * 255) + 0.5).clamp(0, 255).to(torch.uint8)


def to_float(pixels: Tensor) -> Tensor:  # 0..255 uint8 -> -1..1 float32
    """What `to_uint8` brings back to the same bytes."""
    return pixels.float() / 127.5 - 1


class IdentityCodec:
    """For checkpoints that were trained on pixels: latents of 3 channels in -1..1 are the frames."""

    name = "identity"
    sha256: str | None = None
    channels = 3
    factor = 1

    def decode(self, latents: Tensor) -> Tensor:  # [N, T, 3, H, W] float -> [N, T, 3, H, W] uint8
        check_frames(finite_frames(latents.flatten(0, 1)).unflatten(0, latents.shape[:2]), latents.dtype)
        return to_uint8(latents)

    def encode(
        self, pixels: Tensor, noise: Tensor | None = None
    ) -> Tensor:  # [N, T, 3, H, W] uint8 -> [N, T, 3, H, W] float32 in -1..1
        return to_float(pixels)


class VaeCodec:
    """A diffusers `AutoencoderKL`, decoding frame by frame.

    On the CPU frames go through one at a time, so that a frame has the same bits whatever it is decoded with; on a
    GPU as many as fit in half of the free memory, or in as many bytes as the caller says.

    Args:
        vae: a diffusers `AutoencoderKL`; moved to `device` and `dtype`.
        name, sha256: as in a result.
    """

    def __init__(
        self, vae: Any, name: str, sha256: str | None, device: str = "cpu", dtype: torch.dtype = torch.float32
    ):
        self.vae = vae.to(device=torch.device(device), dtype=dtype).requires_grad_(False).eval()
        self.name, self.sha256, self.dtype = name, sha256, dtype
        self.channels: int = self.vae.config.latent_channels
        self.factor: int = 2 ** (len(self.vae.config.block_out_channels) - 1)

    @classmethod
    def from_folder(cls, folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> VaeCodec:
        """From a folder as diffusers saves it, or one whose subfolder `vae` is that. Raises `WeightsError`."""
        folder = folder if (folder / "config.json").is_file() else folder / "vae"
        weights = weights_file(folder)
        autoencoder = quiet_autoencoder()
        try:
            vae = autoencoder.from_pretrained(folder, local_files_only=True, low_cpu_mem_usage=False)
        except Exception as error:  # damaged files fail in many ways inside diffusers
            raise WeightsError(f"the VAE in {folder} cannot be opened: {first_line(error)}") from error
        name = folder.parent.name if folder.name == "vae" else folder.name
        return cls(vae, name, file_sha256(weights), device, dtype)

    @classmethod
    def seeded(cls, device: str = "cpu", dtype: torch.dtype = torch.float32) -> VaeCodec:
        """A small VAE of the same factor with weights from a seed: for trial runs only, its frames show nothing."""
        sizes = {
            "block_out_channels": (32, 32, 64, 64), "latent_channels": 4, "layers_per_block": 1, "norm_num_groups": 8,
            "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
        }  # fmt: skip
        vae = quiet_autoencoder()(**sizes)
        vae.load_state_dict({key: seeded_weight(key, value) for key, value in vae.state_dict().items()})
        recipe = json.dumps(["vae-seeded", {key: list(value.shape) for key, value in vae.state_dict().items()}])
        return cls(vae, "vae-seeded", hashlib.sha256(recipe.encode()).hexdigest(), device, dtype)

    @exact_float32()
    def decode(
        self, latents: Tensor, room: int | None = None
    ) -> Tensor:  # [N, T, C, H, W] float -> [N, T, 3, H*factor, W*factor] uint8
        frames = latents.flatten(0, 1).to(self.vae.device, self.dtype)
        batches = frames.split(self.frames_at_once(frames, room))
        pairs = [self.decoded(batch) for batch in batches]
        pixels, finite = (torch.cat(parts).unflatten(0, latents.shape[:2]) for parts in zip(*pairs, strict=True))
        check_frames(finite, self.dtype)
        return pixels

    @exact_float32()
    def encode(
        self, pixels: Tensor, noise: Tensor | None = None
    ) -> Tensor:  # [N, T, 3, H*factor, W*factor] uint8 -> [N, T, C, H, W] float32
        """The most likely latents of every frame, or drawn ones; one frame at a time."""
        frames = to_float(pixels.flatten(0, 1)).to(self.vae.device, self.dtype)
        drawn = [None] * len(frames) if noise is None else noise.flatten(0, 1).to(frames).split(1)
        latents = [self.encoded(frame, each) for frame, each in zip(frames.split(1), drawn, strict=True)]
        return (torch.cat(latents).float() * SCALE).unflatten(0, pixels.shape[:2])

    def encoded(self, frame: Tensor, noise: Tensor | None) -> Tensor:  # [1, 3, H, W], [1, C, h, w] -> the latter
        """Latents of a frame before they are scaled."""
        found = self.vae.encode(frame, return_dict=False)[0]
        mode: Tensor = found.mode()
        return mode if noise is None else mode + found.std * noise

    def decoded(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels of latents, and which of them are finite. # [F, C, H, W] -> [F, 3, H*factor, W*factor] uint8, [F]"""
        check_stop()
        x = self.vae.decode(frames / SCALE, return_dict=False)[0]
        return to_uint8(x), finite_frames(x)

    def frames_at_once(self, frames: Tensor, room: int | None = None) -> int:
        """Frames that are decoded together on a GPU, in `room` bytes. # frames [F, C, H, W]"""
        if frames.device.type != "cuda":
            return 1
        each = frame_bytes(vae_to_config(self.vae.config), frames.shape[2], self.dtype)
        room = free_bytes(frames.device) // 2 if room is None else room
        return max(1, min(len(frames), room // each))


def decode_in(room: int | None, codec: Codec, latents: Tensor) -> Tensor:
    """As `codec.decode`; a VAE on a GPU takes at most `room` bytes beside the frames, at least those of one frame."""
    return codec.decode(latents, room) if isinstance(codec, VaeCodec) else codec.decode(latents)


@cache
def frame_bytes(vae_config: str, side: int, dtype: torch.dtype) -> int:
    """What decoding one frame of latents [channels, side, side] allocates beside the weights, counted without memory.

    Args:
        vae_config: of diffusers' `AutoencoderKL`, as `vae_to_config` gives it.
    """
    config = json.loads(vae_config)
    with UnsetWeights(), torch.device("meta"):
        vae = quiet_autoencoder()(**config).to(dtype).requires_grad_(False).eval()
    latents = torch.empty(1, config["latent_channels"], side, side, device="meta", dtype=dtype)
    return peak_bytes(lambda: vae.decode(latents, return_dict=False)[0])


def vae_to_config(config: Mapping[str, Any]) -> str:
    """The arguments that a VAE of diffusers was made with, as JSON."""
    return json.dumps({name: value for name, value in config.items() if not name.startswith("_")}, default=list)


def seeded_weight(key: str, like: Tensor) -> Tensor:
    """Norms start at one, biases at zero; weights are uniform with variance 1 / fan-in, the same on every platform."""
    if like.ndim == 1:
        return torch.full_like(like, 1.0 if key.endswith("weight") else 0.0)
    words = numpy_generator("vae-seeded", key).bit_generator.random_raw(like.numel())
    uniform = torch.from_numpy((words >> 40).astype("float32") / 2**24 - 0.5).reshape(like.shape)
    return uniform * math.sqrt(12 / like[0].numel())


def weights_file(folder: Path) -> Path:
    """The file of weights in a diffusers folder. Raises `WeightsError` for a folder that is not one."""
    for name in ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"):
        if (folder / name).is_file() and (folder / "config.json").is_file():
            return folder / name
    raise WeightsError(f"{folder} is not a diffusers VAE: it must hold {' and '.join(SD_VAE_FILES)}")


def quiet_autoencoder() -> Any:
    """diffusers' `AutoencoderKL`, without its warnings and bars."""
    from diffusers import AutoencoderKL
    from diffusers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    return AutoencoderKL


def codec_record(codec: Codec) -> dict[str, Any]:
    """What a result says about a codec; `codec_dtype`, such as `float16`, of one that has weights."""
    dtype = getattr(codec, "dtype", None)
    types = {"codec_dtype": str(dtype).removeprefix("torch.")} if dtype else {}
    return {"codec": codec.name, "codec_sha256": codec.sha256, **types}


def open_codec(name: str, channels: int, device: str = "cpu", dtype: str = "fp32") -> Codec:
    """The codec for latents of `channels` channels.

    Args:
        name: `auto` (pixels for 3 channels, else the Stable Diffusion VAE), `identity`, `vae-seeded`, a folder, or a
            hub repository `owner/name`.
        dtype: `fp16` decodes in float16, as published. The 8 significant bits of `bf16` are too coarse for pixels: it
            decodes in float16 too on a GPU, and in float32 elsewhere.

    Raises:
        WeightsError: the VAE is not there and cannot be had; says what to do.
        UsageError: an unknown name, or a codec for other latents.
    """
    if name == "auto":
        name = "identity" if channels == 3 else SD_VAE
    codec: Codec = IdentityCodec() if name == "identity" else open_vae(name, device, dtype)
    if codec.channels != channels:
        raise UsageError(f"--vae {name} decodes latents of {codec.channels} channels, the checkpoint makes {channels}")
    return codec


def open_vae(name: str, device: str, dtype: str) -> VaeCodec:
    """A VAE by name: `vae-seeded`, a folder, or a hub repository."""
    halves = ("fp16", "bf16") if device.startswith("cuda") else ("fp16",)
    precision = torch.float16 if dtype in halves else torch.float32
    if name == "vae-seeded":
        return VaeCodec.seeded(device, precision)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        folder = hub_folder(name.removeprefix("hf://"))
    return VaeCodec.from_folder(folder, device, precision)


def hub_folder(repository: str) -> Path:
    """Local folder of a hub repository: the user's folder of weights, the cache, else downloaded."""
    if not re.fullmatch(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?", repository):
        close = difflib.get_close_matches(repository, NAMES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UsageError(f"--vae {repository} is no folder; {hint}give {', '.join(NAMES)}, a folder or owner/name")
    repository, _, revision = repository.partition("@")
    for folder in (user_folder(), cache_folder()):
        if folder and not revision and (folder / repository.split("/")[1]).is_dir():
            return folder / repository.split("/")[1]
    return fetch_vae(repository, f"@{revision}" if revision else "")


def fetch_vae(repository: str, revision: str) -> Path:
    """Download a VAE through the hub's cache. Raises `WeightsError` in one line that says what would help."""
    from latte_eval.files.download import fetch_hub_file

    try:
        paths = [fetch_hub_file(f"hf://{repository}/{file}{revision}") for file in SD_VAE_FILES]
    except WeightsError as error:
        target = (user_folder() or cache_folder()) / repository.split("/")[1]
        raise WeightsError(
            f"the VAE {repository} is not here: {error}. Put its {' and '.join(SD_VAE_FILES)} into {target}, "
            "name a folder with --vae DIR, or use --vae vae-seeded for a trial run"
        ) from error
    return paths[0].parent
