"""FaceForensics: talking faces cropped from YouTube, 256x256."""

from latte_eval.benchmarks.dataset import Copy, Dataset, Layout

FACEFORENSICS = Dataset(
    name="faceforensics",
    title="FaceForensics",
    origin="hf://datasets/maxin-cn/FaceForensics (FaceForensics.zip: faces already cropped, videos and frames); raw "
    "videos by the request form at github.com/ondyari/FaceForensics, cropped with StyleGAN-V's preprocess_ffs.py",
    licence="FaceForensics terms of use: research only, after signing the request form",
    real_split="train",
    stride=3,
    checkpoint="hf://maxin-cn/Latte/ffs.pt",
    # Two YouTube ids with their sequence numbers: source and target of a manipulated pair.
    video_names=r"[\w-]{11}_\d+_[\w-]{11}_\d+",
    copies={
        (256, 256): Copy("cropped faces at 256x256, as hosted with Latte", "the published rows, protocol latte"),
    },
    folder_names=("faceforensics", "FaceForensics", "preprocess_ffs", "ffs", "FFS", "ffs_256"),
    expected={"train": 704, "validation": 150, "test": 150},
    layouts=(
        Layout(
            "hub copy, videos",
            ("preprocess_ffs/{split}/videos", "FaceForensics/{split}/videos", "{split}/videos"),
        ),
        Layout(
            "hub copy, frames",
            (
                *("preprocess_ffs/{split}/images", "FaceForensics/{split}/images", "{split}/images"),
                *("preprocess_ffs/{split}/frames", "FaceForensics/{split}/frames", "{split}/frames"),
            ),
        ),
        Layout("split folders", ("{split}", "preprocess_ffs/{split}", "FaceForensics/{split}")),
        Layout("one folder", ("",)),
    ),
    advice="FaceForensics++ (000.mp4 to 999.mp4) is another dataset. Users who took the test split measured 157 where "
    "the train split gives about 30.",
)
