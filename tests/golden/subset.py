"""What `latte-eval doctor --verify` takes along: `python tests/golden/subset.py` writes it from the whole files."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).parent / "reference"
PACKAGED = Path(__file__).parents[2] / "latte_eval" / "evaluation" / "golden" / "outputs"

TABLES = ["pos_embed", "temp_embed"]
CONVERTED = [f"conv_{case}_{code_base}_{part}" for case in ("land", "port", "square")
             for code_base in ("stylegan-v", "latte") for part in ("before_jpeg_patch", "decoded_patch")]  # fmt: skip
SCHEDULE = ["timestep_map", "betas", "alphas_cumprod", "posterior_log_variance_clipped", "posterior_mean_coef1",
            "posterior_mean_coef2"]  # fmt: skip

# Arrays by file; a number keeps the first rows of an array.
SUBSET: dict[str, list[str | tuple[str, int]]] = {
    "latte_cond": [*TABLES, "forward_out", "cfg_out", "ddpm10_clip_x_last", "ddim10_clip_x_last", "ddpm50_x_last",
                   "ddim50_x_last", "ddim10_eta1_x_last"],
    "latte_uncond": [*TABLES, "forward_out", "ddpm250_x_last", "ddim250_x_last"],
    "vdt": ["pos_embed", "time_embed", "forward_out", "mask_predict", "ddpm10_predict_composite"],
    "latte_schedules": [f"{steps}_{name}" for steps in (50, 250) for name in SCHEDULE],
    "i3d_gamma_ones": ["t9_logits", "t16_logits", "fvd_real_features", "fvd_gen_features", "fvd_values"],
    "i3d_gamma_seeded": ["t16_logits"],
    "inception_fid": ["64x80_2048", "64x80_logits_unbiased", "256x256_2048"],
    "videomae_v2": ["small_features", "wide_features", "pos_rows"],
    "vjepa": ["square_projected", "square_unprojected", "pos_rows"],
    "clean_prdc": ["small_clean_rows", "large_clean_rows", "clean_fid", "prdc_k3", "prdc_k5", "prdc_near_k5"],
    "c3d_ucf101": ["a_fc8", "a_prob", "tgan2_is_splits1", "tgan2_is_splits10"],
    "metric_stack": [("real", 57), ("gen", 57), "frechet_table", "frechet_special", ("isv_probs", 205), "isv_table"],
    "field_loaders": [f"{name}_{case}" for name in ("tats", "digan", "cd-fvd")
                      for case in ("land", "port", "square", "native")],
    "data_semantics": [*CONVERTED, "touint8_in", "touint8_latte_float32", "touint8_latte_float16", "keep_table"],
}  # fmt: skip
# Entries of `meta` that these arrays do not need.
LEFT_OUT = {"names", "layers", "layer_shapes", "layer_stats", "latte_training_indices",
            "layout_cases_load_2_consecutive", "item_subset_examples", "latte_sample_example"}  # fmt: skip


def subset(name: str) -> dict[str, np.ndarray]:
    """The packaged arrays of one file, `meta` among them."""
    with np.load(REFERENCE / f"{name}.npz") as file:
        pairs = [each if isinstance(each, tuple) else (each, None) for each in SUBSET[name]]
        arrays = {key: file[key][:rows] for key, rows in pairs}
        meta: dict[str, Any] = json.loads(file["meta"].tobytes())
    kept = json.dumps({key: value for key, value in meta.items() if key not in LEFT_OUT}, separators=(",", ":"))
    return {**arrays, "meta": np.frombuffer(kept.encode(), np.uint8)}


def write_subset() -> None:
    PACKAGED.mkdir(exist_ok=True)
    for name in SUBSET:
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **subset(name))
        (PACKAGED / f"{name}.npz").write_bytes(buffer.getvalue())


if __name__ == "__main__":
    write_subset()
