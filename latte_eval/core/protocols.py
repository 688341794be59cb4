"""The named protocols, one row each: fields, where they come from, and what a benchmark fills in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from latte_eval.core.choices import check_choice
from latte_eval.core.protocol import Protocol
from latte_eval.core.registry import Registry

JPEG, MP4_JPEG = ("jpeg75",), ("h264-crf5", "jpeg75")
COUNTS = ("real_clips", "fake_clips")

# What the loaders of TATS and cd-fvd do to folders of frames: centre square, then Pillow's filter.
FRAME_FOLDERS = {"crop": "crop-resize", "resample": "lanczos"}

TATS = Protocol(
    stem="tats", size=128, real_split="train", real_clips=2048, fake_clips=2048, windows="any",
    crop="resize-crop-ceil", resample="torch-bilinear", rounding="floor-shifted", covariance="n-1", i3d_eps="1e-5",
)  # fmt: skip
DIGAN = TATS.replace(stem="digan", crop="crop-resize", rounding="floor", real_split="test")

FLOAT32 = "the distance is computed in float32 there, without roots of singular values below 1e-10; here in float64"
LOADER = "frames through its own transform, bit by bit"
DISTANCES = "distance by N - 1: VideoGPT@733d2b1 and TATS@1aa93e1 on the same features"


@dataclass(frozen=True)
class NamedProtocol:
    """One protocol by name.

    Attributes:
        protocol: its fields, apart from any benchmark.
        source: the paper and the code that it was read from.
        of_benchmark: fields that a benchmark sets to its own values.
        on: benchmark -> fields that are otherwise there, as the source says.
        beside: which published numbers it stands beside.
        differs: what of the original it cannot do, one sentence each.
        golden: what it was checked against; where nothing can be had, why.
    """

    protocol: Protocol
    source: str
    of_benchmark: tuple[str, ...]
    on: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    beside: str = ""
    differs: tuple[str, ...] = ()
    golden: str = ""


PROTOCOLS: Registry[NamedProtocol] = Registry(
    "protocol",
    {
        "clean": NamedProtocol(
            Protocol(),
            "latte without lossy storage on either side: symmetric and reproducible",
            of_benchmark=("real_split", "real_stride", *COUNTS),
            beside="none published: for new work",
            golden="the converters of Vchitect/Latte@b27c24a, before JPEG",
        ),
        "latte": NamedProtocol(
            Protocol(
                stem="latte", real_stride=3, real_split="train", real_clips=2048, fake_clips=2048,
                real_storage=JPEG, fake_storage=MP4_JPEG,
            ),
            "Ma et al. 2024, Table 2; Vchitect/Latte@b27c24a: stride 3, random subset, samples as mp4, frames as JPEG",
            of_benchmark=("real_split", "real_stride", *COUNTS),
            beside="Latte's Table 2, and papers that take their baselines from it",
            differs=("subset and offsets are drawn without a seed there; here they follow from the seed",),
            golden="converters and datasets of Vchitect/Latte@b27c24a, metrics of universome/stylegan-v@3fecd69",
        ),
        "stylegan-v": NamedProtocol(
            Protocol(
                stem="stylegan-v", real_split="train", real_selection="sorted", real_clips=2048, fake_clips=2048,
                crop="resize-crop", real_storage=JPEG, labels="dataset",
            ),
            "Skorokhodov et al. 2022; universome/stylegan-v@3fecd69: the first 2,048 videos in sorted order, stride 1",
            of_benchmark=("real_split",),
            beside="StyleGAN-V's tables (FVD16), and papers that evaluate with its code",
            differs=("offsets are drawn without a seed there; here they follow from the seed",),
            golden="converters, datasets and detector calls of universome/stylegan-v@3fecd69",
        ),
        "tats": NamedProtocol(
            TATS,
            "Ge et al. 2022; songweige/TATS@03bbce1: scripts/sample_vqgan_transformer_short_videos.py, tats/data.py, "
            "tats/fvd/",
            of_benchmark=(),
            on={
                "skytimelapse": {**FRAME_FOLDERS, "windows": "one"},
                "taichi-hd": {**FRAME_FOLDERS, "windows": "one", "real_stride": 4},
            },
            beside="TATS's tables on UCF101, Sky and Taichi-HD at 128 px, and papers that evaluate with its code",
            differs=(
                FLOAT32,
                "classes of fakes are a random part of a balanced pool there; here they are drawn evenly",
                "the loader shuffles without a seed; here the draw follows from the seed",
            ),
            golden=f"{LOADER}; {DISTANCES}",
        ),
        "videogpt": NamedProtocol(
            TATS.replace(stem="videogpt", real_split="test", real_clips=256, fake_clips=256),
            "Yan et al. 2021; wilson1yan/VideoGPT@733d2b1: scripts/compute_fvd.py, videogpt/data.py, videogpt/fvd/",
            of_benchmark=(),
            beside="VideoGPT's own FVD, on 256 clips of the test split; BAIR is 64 px there: --param size=64",
            differs=(
                FLOAT32,
                "BAIR comes from HDF5 there, with one window of each video: --windows one",
                "FVD*, against reconstructions, needs the VQ-VAE and is not measured",
            ),
            golden=f"{LOADER}; {DISTANCES}",
        ),
        "digan": NamedProtocol(
            DIGAN,
            "Yu et al. 2022 (ICLR); sihyun-yu/digan@e822320: src/scripts/compute_fvd_kvd.py, src/training/dataset.py",
            of_benchmark=(),
            on={
                "ucf101": {"real_split": "train+test"},
                "skytimelapse": {"windows": "all", "real_split": "test"},
                "taichi-hd": {"windows": "all", "real_stride": 4, "real_split": "all"},
            },
            beside="DIGAN's FVD on UCF101 at 128 px, and of its baselines there",
            differs=(
                "its value is the mean of 10 measurements: --seed 0 to 9, one run each",
                "its Taichi-HD takes all four phases of stride 4; here windows=all takes the first",
                FLOAT32,
            ),
            golden=f"{LOADER}; {DISTANCES}",
        ),
        "pvdm": NamedProtocol(
            DIGAN.replace(stem="pvdm", size=256, windows="one", real_split="train"),
            "Yu et al. 2023 (CVPR), appendix B.2; sihyun-yu/PVDM@793172f: evals/fvd/, tools/dataloader.py; split and "
            "counts: issue 30 of sihyun-yu/PVDM",
            of_benchmark=("real_split",),
            beside="PVDM's FVD16 on UCF101 and Sky at 256 px",
            differs=(
                "the code of its repository measures 16 clips while it trains; counts and split are the paper's",
                FLOAT32,
            ),
            golden=f"{LOADER}; {DISTANCES}",
        ),
        "cd-fvd": NamedProtocol(
            Protocol(
                stem="cd-fvd", size=128, real_split="train", fake_clips=2048, crop="resize-crop-ceil",
                resample="torch-antialias", rounding="floor-unit", fake_offset="seeded", i3d_eps="1e-5",
            ),
            "Ge et al. 2024 (CVPR); cd-fvd 0.1.1 on PyPI: fvd.py, utils/data_utils.py, and the table in its README",
            of_benchmark=(),
            on={"ucf101": {"real_split": "train+test"}, "skytimelapse": FRAME_FOLDERS},
            beside="CD-FVD's numbers, of I3D (fvd) and of VideoMAE (cd-fvd), against all real videos (`full`) at 128 "
            "px; its references of 2,048: --param real_clips=2048, those at 256 px: --param size=256",
            differs=(
                "fewer fake videos than n_fake are read again and again there; here each gives one clip",
                "folders of frames go through Pillow there: --param crop=crop-resize --param resample=lanczos",
                "skipped frames make its clips shorter (sample_every_n_frames); here a stride keeps their length",
            ),
            golden=f"{LOADER}; its I3D and its VideoMAE",
        ),
        "mcvd": NamedProtocol(
            Protocol(
                stem="mcvd", size=64, real_split="test", crop="resize-crop", resample="lanczos", covariance="n-1",
            ),
            "Voleti et al. 2022; voletiv/mcvd-pytorch@451da2e: runners/ncsn_runner.py, models/fvd/fvd.py, datasets/",
            of_benchmark=(),
            beside="MCVD's FVD of predictions at 64 px: given and predicted frames count on both sides, so frames is "
            "their sum (BAIR: 16; UCF101 with 4 given and 16 predicted: --param frames=20; KTH with 10 and 30: 40); "
            "with --param skip_frames=N the N given ones do not",
            differs=(
                "predictions go to the I3D as floats there; here they are bytes",
                "UCF101 is every tenth test video there: give a list of them as --real",
                "several predictions of a test video are fakes of one set there too: put all of them into --fake",
            ),
            golden="its I3D is StyleGAN-V's archive; of its loader, which reads HDF5 files of its own, none can be had",
        ),
    },
)  # fmt: skip


def named_protocol(name: str) -> Protocol:
    """The fields of the protocol called `name`. Raises `ProtocolError` with a suggestion."""
    check_choice("--protocol", name, PROTOCOLS)
    return PROTOCOLS[name].protocol
