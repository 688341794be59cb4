"""FID of two folders of images by clean-fid, mode clean: python ask_clean_fid.py REAL FAKE FOLDER_OF_ARCHIVE."""

import json
import os
import sys

import torch
from cleanfid.fid import compute_fid
from cleanfid.inception_torchscript import InceptionV3W

if __name__ == "__main__":
    real, fake, folder = sys.argv[1:]
    network = InceptionV3W(folder, download=False, resize_inside=False).eval()
    # Twelve workers, its default, are too many for a small machine.
    value = compute_fid(fake, real, mode="clean", custom_feat_extractor=network, device=torch.device("cpu"),
                        num_workers=min(12, os.cpu_count() or 1), verbose=False)  # fmt: skip
    print(json.dumps({"value": float(value)}))
