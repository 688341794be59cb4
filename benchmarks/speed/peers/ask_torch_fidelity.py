"""FID of two folders of images by torch-fidelity: python ask_torch_fidelity.py REAL FAKE WEIGHTS."""

import json
import sys

from torch_fidelity import calculate_metrics

if __name__ == "__main__":
    real, fake, weights = sys.argv[1:]
    found = calculate_metrics(input1=fake, input2=real, cuda=False, fid=True, cache=False, verbose=False,
                              samples_find_deep=True, feature_extractor_weights_path=weights)  # fmt: skip
    print(json.dumps({"value": found["frechet_inception_distance"]}))
