"""Pipelines of diffusers with a few thousand random weights, saved as diffusers saves them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch


def needed(name: str) -> Any:
    return pytest.importorskip(name, reason="the extra t2v is not installed")


def save_image_to_video(folder: Path, frames: int = 3) -> Path:
    """A StableVideoDiffusionPipeline."""
    transformers = needed("transformers")
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )

    torch.manual_seed(0)
    vision = transformers.CLIPVisionConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=224,
        patch_size=112, projection_dim=8,
    )  # fmt: skip
    StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(block_out_channels=(32,), latent_channels=4, sample_size=8),
        image_encoder=transformers.CLIPVisionModelWithProjection(vision),
        unet=UNetSpatioTemporalConditionModel(
            sample_size=8, in_channels=8, out_channels=4, block_out_channels=(32, 32), layers_per_block=1,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), cross_attention_dim=8,
            num_attention_heads=(2, 2), addition_time_embed_dim=8, projection_class_embeddings_input_dim=24,
            num_frames=frames,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", prediction_type="v_prediction",
            timestep_type="continuous", timestep_spacing="leading", steps_offset=1, use_karras_sigmas=True,
            sigma_min=0.002, sigma_max=700.0,
        ),
        feature_extractor=transformers.CLIPImageProcessor(crop_size=224, size=224),
    ).save_pretrained(folder)  # fmt: skip
    return folder


def save_text_to_video(folder: Path, prompts: Sequence[str]) -> Path:
    """A TextToVideoSDPipeline, such as ModelScope's."""
    transformers, tokenizers = needed("transformers"), needed("tokenizers")
    from diffusers import AutoencoderKL, DDIMScheduler, TextToVideoSDPipeline, UNet3DConditionModel

    words = ["<pad>", "</s>", "<unk>", *sorted({word for prompt in prompts for word in prompt.split()})]
    vocabulary = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(vocabulary)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    text = transformers.CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=8, pad_token_id=0, bos_token_id=1, eos_token_id=1,
    )  # fmt: skip
    TextToVideoSDPipeline(
        vae=AutoencoderKL(block_out_channels=(8,), norm_num_groups=4, latent_channels=4, sample_size=8),
        text_encoder=transformers.CLIPTextModel(text),
        tokenizer=transformers.PreTrainedTokenizerFast(
            tokenizer_object=tokenizer, pad_token="<pad>", bos_token="</s>", eos_token="</s>", unk_token="<unk>",
            model_max_length=8,
        ),
        unet=UNet3DConditionModel(
            sample_size=8, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=8,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=16, attention_head_dim=8,
        ),
        scheduler=DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False),
    ).save_pretrained(folder)  # fmt: skip
    return folder
