"""`Weights`: where a file of network weights comes from and how its bytes are known to be the right ones.

A file is looked for in the folder that `LATTE_EVAL_WEIGHTS` names (for machines without network), then in the cache:
`LATTE_EVAL_CACHE`, else `XDG_CACHE_HOME/latte-eval`, else `~/.cache/latte-eval`. Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latte_eval.core.errors import StoreError, WeightsError
from latte_eval.core.registry import Registry
from latte_eval.files.download import LocationError, Progress, download, host_of, is_offline, unreachable_hosts
from latte_eval.files.whole_files import write_whole

State = Literal["ok", "missing", "corrupt", "unpinned"]


@dataclass(frozen=True)
class Weights:
    """One published file of weights.

    Attributes:
        name: what latte-eval calls it, as in `latte-eval weights path NAME`.
        filename: its file name in the cache and in `LATTE_EVAL_WEIGHTS`.
        urls: public locations, most trusted first; `hf://owner/repo/file@revision` or https.
        sha256: full hash, or None where none is public: then it is trusted on first use, and the hash that it had
            then is recorded in the cache.
        size: bytes, or None where unknown.
        licence: licence of the weights.
        origin: who trained and converted it, in a sentence.
        instead: the `--detector` that needs no file.
        ask_first: whether it is fetched only where somebody names it, because its licence asks for a decision.
    """

    name: str
    filename: str
    urls: tuple[str, ...]
    sha256: str | None
    size: int | None
    licence: str
    origin: str
    instead: str = ""
    ask_first: bool = False


OPEN_SORA = "https://huggingface.co/spaces/LanguageBind/Open-Sora-Plan-v1.0.0/resolve"
OPEN_SORA_COMMIT = f"{OPEN_SORA}/810fa8c4bdb3a4c8eec9bd57375c29bde6fb46de"
COMMON_METRICS = "https://github.com/JunyaoHu/common_metrics_on_video_quality/raw/main"
TGAN2 = "https://github.com/rezoo/tgan2/releases/download/v1.0"
APACHE = "Apache-2.0"

# Immutable revisions first, then the publisher's own location, then copies. Every copy must have the pinned hash.
I3D_ARCHIVE = Weights(
    name="i3d-archive",
    filename="i3d_torchscript.pt",
    urls=(
        "hf://flateon/FVD-I3D-torchscript/i3d_torchscript.pt@1c2d61711c52571ad617a1063e6fa691b212e184",
        "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
        "hf://ByteDance/LatentSync-1.6/auxiliary/i3d_torchscript.pt@main",
        f"{COMMON_METRICS}/fvd/styleganv/i3d_torchscript.pt",
        f"{OPEN_SORA_COMMIT}/opensora/eval/fvd/styleganv/i3d_torchscript.pt",
    ),
    sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
    size=51_235_320,
    licence=APACHE,
    origin="I3D RGB of google-deepmind/kinetics-i3d (Kinetics-400, from scratch), as TorchScript by StyleGAN-V",
    instead="i3d-seeded",
)
I3D_STATE = Weights(
    name="i3d-state",
    filename="i3d_pretrained_400.pt",
    urls=(
        f"{OPEN_SORA_COMMIT}/opensora/eval/fvd/videogpt/i3d_pretrained_400.pt",
        "https://github.com/songweige/TATS/raw/main/tats/fvd/i3d_pretrained_400.pt",
        "https://github.com/npurson/fid-metrics/releases/download/v1.0/i3d_pretrained_400.pt",
        f"{COMMON_METRICS}/fvd/videogpt/i3d_pretrained_400.pt",
        "https://drive.usercontent.google.com/download?id=1mQK8KD8G6UWRa5t87SRMm5PVXtlpneJT&export=download&confirm=t",
    ),
    sha256="55095f049e706479d48e221adcdb145b2b9dc930ba28b081ed72367ffaa32343",
    size=50_939_526,
    licence=APACHE,
    origin="I3D RGB of google-deepmind/kinetics-i3d (Kinetics-400), as a state dict by VideoGPT",
    instead="i3d-seeded",
)
INCEPTION_ARCHIVE = Weights(
    name="inception-archive",
    filename="inception-2015-12-05.pt",
    urls=("https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/inception-2015-12-05.pt",),
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    size=95_607_719,
    licence=APACHE,
    origin="Inception of TensorFlow (2015-12-05, ImageNet), as TorchScript by NVIDIA (stylegan2-ada-pytorch)",
    instead="inception-seeded",
)
INCEPTION_STATE = Weights(
    name="inception-state",
    filename="pt_inception-2015-12-05-6726825d.pth",
    urls=(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
    licence=APACHE,
    origin="Inception of TensorFlow (2015-12-05, ImageNet), as a state dict by pytorch-fid and torch-fidelity",
    instead="inception-seeded",
)
C3D_ARCHIVE = Weights(
    name="c3d-archive",
    filename="c3d_ucf101.pt",
    urls=("https://www.dropbox.com/s/jxpu7avzdc9n97q/c3d_ucf101.pt?dl=1",),
    sha256=None,
    size=None,
    licence="not stated by its publisher",
    origin="C3D (Sports-1M, then UCF101 split 1) of pfnet-research/tgan2, as TorchScript by StyleGAN-V",
    instead="c3d-seeded",
)
C3D_STATE = Weights(
    name="c3d-state",
    filename="conv3d_deepnetA_ucf.npz",
    urls=(f"{TGAN2}/conv3d_deepnetA_ucf.npz",),
    sha256=None,
    size=None,
    licence="MIT (the repository that releases it)",
    origin="C3D (Sports-1M, then UCF101 split 1) of Tran et al., as a chainer file by pfnet-research/tgan2",
    instead="c3d-seeded",
)
C3D_MEAN = Weights(
    name="c3d-mean",
    filename="mean2.npz",
    urls=(f"{TGAN2}/mean2.npz", "https://github.com/pfnet-research/tgan/releases/download/v1.0.0/mean2.npz"),
    sha256=None,
    size=None,
    licence="MIT (the repository that releases it)",
    origin="mean clip that C3D subtracts, [3, 16, 128, 171], from pfnet-research/tgan2",
    instead="c3d-seeded",
)

VIDEOMAE_V2 = Weights(
    name="videomae-v2-g",
    filename="vit_g_hybrid_pt_1200e_ssv2_ft.pth",
    urls=(
        "hf://OpenGVLab/VideoMAE2/mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth@main",
        "hf://OpenGVLab/InternVideoMAE_models/mae-g/vit_g_hybrid_pt_1200e_ssv2_ft.pth@main",
    ),
    sha256="5a210a92f035dff30c53b46157b612e7a1a5d3c99700e1b2d71da5c399ca7e70",
    size=None,
    licence="Apache-2.0 by its model card; its authors' list of models asks for a form",
    origin="VideoMAE V2-g, pre-trained on UnlabeledHybrid, fine-tuned on Something-Something v2 (2 GB, half precision)",
    instead="videomae-seeded",
)

VJEPA = "https://dl.fbaipublicfiles.com/jepa/vith16"
VJEPA_ENCODER = Weights(
    name="vjepa-vith16",
    filename="vith16.pth.tar",
    urls=(f"{VJEPA}/vith16.pth.tar",),
    sha256=None,
    size=None,
    licence="CC BY-NC 4.0: not for commercial use",
    origin="V-JEPA ViT-H/16 at 224 pixels of facebookresearch/jepa (VideoMix2M, epoch 300)",
    instead="vjepa-seeded",
    ask_first=True,
)
VJEPA_PROBE = Weights(
    name="vjepa-vith16-ssv2-probe",
    filename="vith16-ssv2-probe.pth.tar",
    urls=(f"{VJEPA}/ssv2-probe.pth.tar",),
    sha256=None,
    size=None,
    licence="CC BY-NC 4.0: not for commercial use",
    origin="attentive probe for V-JEPA ViT-H/16 of facebookresearch/jepa (Something-Something v2, epoch 20)",
    instead="vjepa-seeded",
    ask_first=True,
)
ALEXNET = Weights(
    name="alexnet",
    filename="alexnet-owt-7be5be79.pth",
    urls=("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",),
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    size=244_408_911,
    licence="BSD-3-Clause (torchvision)",
    origin="AlexNet of torchvision (ImageNet-1k, IMAGENET1K_V1), under LPIPS 0.1",
    instead="lpips-seeded",
)
DINOV2_ORIGIN = "DINOv2 without registers (LVD-142M) of facebookresearch/dinov2, {} of 14x14, as transformers has it"


def dinov2_weights(size: str, vit: str, sha256: str) -> Weights:
    """One of the published sizes of DINOv2."""
    url = f"hf://facebook/dinov2-{size}/model.safetensors@main"
    return Weights(f"dinov2-{size}", f"dinov2_{size}.safetensors", (url,), sha256, None, APACHE,
                   DINOV2_ORIGIN.format(vit), "dinov2-seeded")  # fmt: skip


DINOV2_LARGE = dinov2_weights("large", "ViT-L", "399fba97a95f22c36834418bc69373364a99af3a1153da1c0fb31db567c92e23")
DINOV2_BASE = dinov2_weights("base", "ViT-B", "d73036b56966966d07975d696bde331762f37297e2f095de8cea0040c3aa0841")
DINOV2_SMALL = dinov2_weights("small", "ViT-S", "ae1e99fcefd534ed978cdeb8326f08030c96e28b7a81ffcbc98a857c84d14be1")

WEIGHTS: Registry[Weights] = Registry(
    "weights",
    {
        each.name: each
        for each in (
            ALEXNET, C3D_ARCHIVE, C3D_MEAN, C3D_STATE, DINOV2_BASE, DINOV2_LARGE, DINOV2_SMALL, I3D_ARCHIVE,
            I3D_STATE, INCEPTION_ARCHIVE, INCEPTION_STATE, VIDEOMAE_V2, VJEPA_ENCODER, VJEPA_PROBE,
        )
    },
)  # fmt: skip


def all_weights() -> list[Weights]:
    """Every record, in alphabetical order of name."""
    return WEIGHTS.rows()


def cache_folder() -> Path:
    """Where downloaded weights and other reusable files live."""
    if folder := os.environ.get("LATTE_EVAL_CACHE"):
        return Path(folder).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "latte-eval"


def user_folder() -> Path | None:
    """The folder of weights that `LATTE_EVAL_WEIGHTS` names, if it does."""
    folder = os.environ.get("LATTE_EVAL_WEIGHTS")
    return Path(folder).expanduser() if folder else None


def weights_paths(record: Weights) -> list[Path]:
    """Where the file may be, in the order of search; the last is where a download goes."""
    return [folder / record.filename for folder in (user_folder(), cache_folder()) if folder]


def find_weights(record: Weights, trust: bool = False) -> Path | None:
    """The installed file, its hash checked; None where there is none, or only one with other bytes.

    `trust` takes whatever bytes are there.
    """
    for path in weights_paths(record):
        if path.is_file() and (trust or known_sha256(record) in (None, file_sha256(path))):
            record_first_use(record, file_sha256(path))
            return path
    return None


def weights_state(record: Weights) -> State:
    """`ok`, `missing`, `corrupt` (a file is there, with other bytes), or `unpinned` (there, but no hash is public)."""
    if find_weights(record):
        return "ok" if record.sha256 else "unpinned"
    return "corrupt" if any(path.is_file() for path in weights_paths(record)) else "missing"


def fetch_weights(record: Weights, offline: bool | None = None, progress: Progress | None = None) -> Path:
    """The installed file, downloaded into the cache first where it is not there.

    A file in the cache with other bytes is replaced; one in `LATTE_EVAL_WEIGHTS` belongs to the user and is an error.
    Raises `WeightsError` in one line that names the file, its hash, where to put it and what to use instead.
    """
    if path := find_weights(record):
        return path
    refuse_wrong_file(record)
    if is_offline(offline):
        raise absent(record, "offline mode is on")
    target, reasons = cache_folder() / record.filename, []
    unreachable = unreachable_hosts(record.urls)
    for url in record.urls:
        if reason := unreachable.get(host_of(url)):
            reasons.append(f"{host_of(url)}: {reason}")
            continue
        try:
            record_first_use(record, download(url, target, known_sha256(record), progress, record.size))
            return target
        except LocationError as error:
            reasons.append(str(error))
    raise absent(record, "; ".join(dict.fromkeys(reasons)))


def absent(record: Weights, why: str) -> WeightsError:
    """The error for a file that is not installed and cannot be downloaded."""
    digest = f"sha256 {record.sha256}" if record.sha256 else "no public sha256"
    instead = f", or use --detector {record.instead} (not comparable with published numbers)" if record.instead else ""
    return WeightsError(
        f"{record.filename} ({digest}) is not installed and cannot be downloaded ({why}). Put it at "
        f"{weights_paths(record)[0]} or in a folder that LATTE_EVAL_WEIGHTS names{instead}."
    )


def refuse_wrong_file(record: Weights) -> None:
    folder = user_folder()
    path = folder / record.filename if folder else None
    if path and path.is_file():
        expected = known_sha256(record)
        raise WeightsError(f"{path} has sha256 {file_sha256(path)} instead of {expected}; replace or remove it")


VERIFIED: dict[tuple[str, int, int], str] = {}


def file_sha256(path: Path) -> str:
    """sha256 of a file; asked again for the same path, size and time of change, it is not read again."""
    try:
        status = path.stat()
        key = str(path), status.st_size, status.st_mtime_ns
        if key not in VERIFIED:
            with path.open("rb") as file:
                VERIFIED[key] = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"{path} cannot be read: {error.strerror}") from error
    return VERIFIED[key]


def known_sha256(record: Weights) -> str | None:
    """The hash that the file must have: the pinned one, else the one it had at its first use, else None.

    Raises `WeightsError` for a note of the first use that is damaged.
    """
    note = first_use_note(record)
    if record.sha256 or not note.is_file():
        return record.sha256
    try:
        text = note.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        raise WeightsError(f"{note} cannot be read: {error.strerror}") from error
    if not re.fullmatch("[0-9a-f]{64}", text):
        raise WeightsError(
            f"{note} is damaged: it must hold the sha256 that {record.filename} had at its first use. Write that into "
            f"it, or delete it to trust the file that is there now"
        )
    return text


def first_use_note(record: Weights) -> Path:
    return cache_folder() / f"{record.filename}.sha256"


def record_first_use(record: Weights, found: str) -> None:
    """Write down the hash of a file that has no public one."""
    note = first_use_note(record)
    if record.sha256 or note.is_file():
        return
    with contextlib.suppress(StoreError):  # where the cache cannot be written, the file is trusted each time
        write_whole(note, f"{found}\n".encode())
