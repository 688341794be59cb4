"""Taichi-HD: tai chi performers cropped from YouTube for the First Order Motion Model, 256x256."""

from latte_eval.benchmarks.dataset import Copy, Dataset, Layout

TAICHI_HD = Dataset(
    name="taichi-hd",
    title="Taichi-HD",
    origin="hf://datasets/maxin-cn/Taichi-HD (a split zip: join it with `zip -s 0 taichi-256-part.zip --out "
    "taichi-256.zip`); from YouTube with the loader of github.com/AliaksandrSiarohin/first-order-model",
    licence="the videos belong to their YouTube authors; the list of them is published for research",
    real_split="train",
    # The author measured Taichi-HD at 6 where the published code says 3 (Vchitect/Latte#115).
    stride=6,
    checkpoint="hf://maxin-cn/Latte/taichi-hd.pt",
    # A YouTube id, first and last frame; converters turn `#` into `_`.
    video_names=r"[\w-]{11}[#_]\d{6}[#_]\d{6}",
    copies={
        (256, 256): Copy(
            "taichi-256, as hosted with Latte",
            "the published rows, protocol latte: users measured about 100 on it at stride 6 and about 170 at stride 3",
        ),
        (128, 128): Copy("128x128, as DIGAN and TATS used it", "numbers at 128x128; the published rows are at 256x256"),
    },
    folder_names=("taichi-hd", "Taichi-HD", "taichi-256", "taichi_hd", "taichi"),
    expected={"train": None, "test": None},
    layouts=(
        Layout("hub copy, frames", ("taichi-256/frames/{split}", "frames/{split}")),
        Layout("split folders", ("{split}", "taichi-256/{split}", "taichi/{split}", "Taichi-HD/{split}")),
        Layout("one folder", ("",)),
    ),
    advice="YouTube loses videos: a fresh download is smaller than the published copy. Users who took the test split "
    "measured more than 400. DIGAN cuts every video into four interleaved clips, which changes the stride.",
)
