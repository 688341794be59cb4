"""SkyTimelapse: moving skies, sliced from YouTube time-lapses by MDGAN, 640x360 as released."""

from latte_eval.benchmarks.dataset import Copy, Dataset, Layout

SKYTIMELAPSE = Dataset(
    name="skytimelapse",
    title="SkyTimelapse",
    origin="hf://datasets/maxin-cn/SkyTimelapse (sky_timelapse.zip, 29.3 GB); the same frames from MDGAN, "
    "github.com/weixiong-ur/mdgan; at 256x256 as sky_timelapse_256 beside StyleGAN-V's checkpoints",
    licence="MDGAN states none (research use); the hub copy is marked Apache-2.0",
    real_split="train",
    stride=3,
    checkpoint="hf://maxin-cn/Latte/skytimelapse.pt",
    # A YouTube id, and the number of the clip within that video.
    video_names=r"[\w-]{11}_\d+",
    copies={
        (640, 360): Copy(
            "the release of MDGAN, 640x360",
            "with care: on these frames a user measured 233.66, and 50.00 on sky_timelapse_256, with one checkpoint",
        ),
        (256, 256): Copy(
            "sky_timelapse_256, as hosted with StyleGAN-V",
            "the published rows, protocol latte: a user measured 50.00 on it with the published checkpoint",
        ),
    },
    folder_names=("skytimelapse", "SkyTimelapse", "sky_timelapse_256", "sky_timelapse", "sky_train", "sky"),
    expected={"train": None, "test": None},
    bad_videos={"z6Yr7KDZhm0": "a clip of the release that users delete"},
    layouts=(
        Layout(
            "release, clips nested in videos",
            ("sky_{split}", "sky_timelapse/sky_{split}", "sky_timelapse/sky_timelapse/sky_{split}"),
        ),
        Layout("split folders", ("{split}", "sky_timelapse/{split}", "SkyTimelapse/{split}")),
        Layout("one folder", ("sky_timelapse_256", "")),
    ),
    advice="A clip folder is one video. Taking up to four windows of each moved StyleGAN-V's own number from 79.52 to "
    "49.94.",
)
