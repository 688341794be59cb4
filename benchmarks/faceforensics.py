"""FaceForensics: talking faces cropped from YouTube, 256x256."""

from latte_eval.benchmarks.catalogue import Benchmark, Layout

FACEFORENSICS = Benchmark(
    name="faceforensics",
    title="FaceForensics",
    origin="hf://datasets/maxin-cn/FaceForensics (FaceForensics.zip: faces already cropped, videos and frames); the "
    "raw videos by request form at github.com/ondyari/FaceForensics, cropped with StyleGAN-V's preprocess_ffs.py",
    licence="FaceForensics terms of use: research only, after signing the request form",
    real_split="train",
    stride=3,
    checkpoint="hf://maxin-cn/Latte/ffs.pt",
    # Two YouTube ids with their sequence numbers: source and target of a manipulated pair.
    video_names=r"[\w-]{11}_\d+_[\w-]{11}_\d+",
    frame_size=(256, 256),
    expected={"train": 704, "validation": 150, "test": 150},
    layouts=(
        Layout(
            "hub copy, videos",
            ("preprocess_ffs/{split}/videos", "FaceForensics/{split}/videos", "{split}/videos"),
            "FaceForensics at 256x256 as Latte was trained on; the published rows under the latte protocol",
        ),
        Layout(
            "hub copy, frames",
            ("preprocess_ffs/{split}/images", "FaceForensics/{split}/images", "{split}/images", "{split}/frames"),
            "the published rows; frames are read as they are, without a second resize or JPEG",
        ),
        Layout(
            "split folders",
            ("{split}", "faceforensics/{split}", "FaceForensics/{split}", "ffs_256/{split}"),
            "the published rows, if the faces were cropped with StyleGAN-V's preprocess_ffs.py",
        ),
        Layout(
            "one folder",
            ("",),
            "the published rows, if this is the train split and the faces were cropped by preprocess_ffs.py",
        ),
    ),
    advice="FaceForensics++ (000.mp4 to 999.mp4) is another dataset. Users who took the test split measured 100 to "
    "157 where the train split gives about 30.",
)
