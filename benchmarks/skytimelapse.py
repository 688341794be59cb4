"""SkyTimelapse: moving skies, sliced from YouTube time-lapses by MDGAN, 360x640 as released."""

from latte_eval.benchmarks.catalogue import Benchmark, Layout

SKYTIMELAPSE = Benchmark(
    name="skytimelapse",
    title="SkyTimelapse",
    origin="hf://datasets/maxin-cn/SkyTimelapse (sky_timelapse.zip, 29.3 GB); the same archive from MDGAN, "
    "github.com/weixiong-ur/mdgan; at 256x256 as sky_timelapse_256 with StyleGAN-V's checkpoints",
    licence="no licence is stated by MDGAN (research use); the hub copy is marked Apache-2.0",
    real_split="train",
    stride=3,
    checkpoint="hf://maxin-cn/Latte/skytimelapse.pt",
    # A YouTube id, and the number of the clip within that video.
    video_names=r"[\w-]{11}_\d+",
    frame_size=(360, 640),
    expected={"train": None, "test": None},
    bad_videos={"z6Yr7KDZhm0": "a clip of the release that users delete"},
    layouts=(
        Layout(
            "release, nested",
            ("sky_{split}", "sky_timelapse/sky_{split}", "sky_timelapse/sky_timelapse/sky_{split}"),
            "Latte trained on these frames, but a user who took them as the real set measured 233.66 where "
            "sky_timelapse_256 gave 50.00",
        ),
        Layout(
            "split folders",
            ("{split}", "sky_timelapse/{split}", "SkyTimelapse/{split}", "sky/{split}"),
            "the published rows under the latte protocol",
        ),
        Layout(
            "StyleGAN-V copy at 256",
            ("sky_timelapse_256", "sky_timelapse256"),
            "the published rows: the copy on which a user measured 50.00 with the published checkpoint",
        ),
        Layout("one folder", ("",), "the published rows, if this is the train split"),
    ),
    advice="One clip folder is one video; taking up to four windows of each moved StyleGAN-V's own number from 79.52 "
    "to 49.94.",
)
