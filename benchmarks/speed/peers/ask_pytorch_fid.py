"""FID of two flat folders of images by pytorch-fid: python ask_pytorch_fid.py REAL FAKE WEIGHTS."""

import json
import os
import sys

import torch
from pytorch_fid import fid_score, inception

if __name__ == "__main__":
    real, fake, weights = sys.argv[1:]
    inception.load_state_dict_from_url = lambda url, progress=True: torch.load(weights)
    # Batch size, layer and workers of its own command line.
    value = fid_score.calculate_fid_given_paths([real, fake], 50, "cpu", 2048, min(8, os.cpu_count() or 1))
    print(json.dumps({"value": float(value)}))
