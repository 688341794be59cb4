"""FVD of two folders of videos by cd-fvd with I3D: python ask_cd_fvd.py REAL FAKE WEIGHTS SIZE FRAMES."""

import json
import sys
from contextlib import redirect_stdout

from cdfvd.fvd import cdfvd

if __name__ == "__main__":
    real, fake, weights, size, frames = sys.argv[1:]
    with redirect_stdout(sys.stderr):
        measure = cdfvd("i3d", n_real="full", n_fake="full", ckpt_path=weights, device="cpu")
        wanted = {"resolution": int(size), "sequence_length": int(frames), "data_type": "video_folder"}
        measure.compute_real_stats(measure.load_videos(real, **wanted))
        measure.compute_fake_stats(measure.load_videos(fake, **wanted))
        value = measure.compute_fvd_from_stats()
    print(json.dumps({"value": float(value)}))
