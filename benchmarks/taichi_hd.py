"""Taichi-HD: tai chi performers cropped from YouTube by the First Order Motion Model, 256x256."""

from latte_eval.benchmarks.catalogue import Benchmark, Layout

TAICHI_HD = Benchmark(
    name="taichi-hd",
    title="Taichi-HD",
    origin="hf://datasets/maxin-cn/Taichi-HD (taichi-256 as a split zip: join it with `zip -s 0 taichi-256-part.zip "
    "--out taichi-256.zip`); from YouTube with the loader of github.com/AliaksandrSiarohin/first-order-model",
    licence="videos belong to their YouTube authors; the list is published for research",
    real_split="train",
    # The author measured Taichi-HD at 6 while the published code says 3 (Vchitect/Latte#115).
    stride=6,
    checkpoint="hf://maxin-cn/Latte/taichi-hd.pt",
    # A YouTube id, first and last frame; converters turn `#` into `_`.
    video_names=r"[\w-]{11}[#_]\d{6}[#_]\d{6}",
    frame_size=(256, 256),
    expected={"train": None, "test": None},
    layouts=(
        Layout(
            "hub copy, frames",
            ("taichi-256/frames/{split}", "frames/{split}"),
            "the published rows: the copy on which users measured about 100 at stride 6 and about 170 at stride 3",
        ),
        Layout(
            "split folders",
            ("{split}", "taichi/{split}", "taichi-256/{split}", "taichi-hd/{split}", "Taichi-HD/{split}"),
            "the published rows, if the frames are 256x256",
        ),
        Layout("one folder", ("",), "the published rows, if this is the train split at 256x256"),
    ),
    advice="YouTube loses videos: a fresh download is smaller than the published copy. Users who took the test split "
    "measured more than 400. DIGAN's 128x128 copy cuts every video into four interleaved clips and is not comparable.",
)
