"""Weights of other architectures and odd files are called that, by names as their files have them."""

import pytest

from pipeline.checkpoints.layouts import describe_names

AUGREG = (
    "Transformer/encoder_norm/bias",
    "Transformer/encoderblock_0/LayerNorm_0/scale",
    "Transformer/encoderblock_0/MultiHeadDotProductAttention_1/out/bias",
    "Transformer/posembed_input/pos_embedding",
    "block1/unit1/gn1/scale",
    "cls",
    "conv_root/kernel",
    "embedding/kernel",
    "head/kernel",
    "pre_logits",  # empty: no such layer
)
TIMM = (
    "blocks.0.attn.qkv.weight",
    "cls_token",
    "fc_norm.weight",
    "patch_embed.backbone.stem.conv.weight",
    "patch_embed.proj.weight",
    "pos_embed",
)
READ = (
    AUGREG,
    TIMM,
    ("embedding/kernel", "pos_embedding", "Transformer/encoderblock/MlpBlock_0/Dense_0/kernel", "MAPHead_0/probe"),
    ("MixerBlock_0/token_mixing/Dense_0/kernel", "stem/kernel", "head/kernel"),
    ("vit.embeddings.cls_token", "vit.embeddings.patch_embeddings.projection.weight"),
    ("vision_model.embeddings.patch_embedding.weight", "vision_model.post_layernorm.weight", "logit_scale"),
    (),
)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("resnet/root_block/conv_root/kernel", "head/kernel"), "a ResNet of BiT; "),
        (("root_block/conv_root/kernel", "block1/unit01/conv1/kernel"), "a ResNet of BiT; "),
        (("deit.embeddings.distillation_token",), "a DeiT with distillation; "),
        ((*TIMM, "dist_token", "head_dist.weight"), "a DeiT with distillation; "),
        ((*TIMM, "blocks.0.ls1.gamma"), "a model with LayerScale (DINOv2, DeiT III, CaiT); "),
        (("embeddings.register_tokens", "embeddings.cls_token"), "a model with register tokens (DINOv2); "),
        (("vision_model.embeddings.class_embedding",), "a CLIP of Hugging Face's transformers; "),
        (("visual.class_embedding", "visual.transformer.resblocks.0.ln_1.bias"), "a CLIP of OpenAI or OpenCLIP; "),
        (("image_encoder.blocks.0.attn.rel_pos_h",), "a Segment Anything model; "),
        (("layers.0.blocks.0.attn.relative_position_bias_table",), "a BEiT, Swin or other model with relative pos"),
        ((*TIMM, "decoder_blocks.0.attn.qkv.weight", "decoder_embed.weight"), "an MAE with its decoder; "),
        (("class_token", "conv_proj.bias", "encoder.layers.encoder_layer_0.ln_1.bias"), "of torchvision; "),
        (("base_model.model.vit.encoder.layer.0.query.lora_A.weight",), "a LoRA adapter, not a whole model; "),
        ((*TIMM, "blocks.0.attn.qkv.weight_scale"), "quantized weights; "),
        (("vit/embedding/kernel:0",), "variables of TensorFlow or Keras; "),
        (("arr_0", "arr_1"), "arrays without names, as np.savez(path, *arrays) writes them; "),
        (("embedding.kernel", "Transformer.encoderblock_0.LayerNorm_0.bias"), "path is joined by '.'; join it by '/'"),
        (("['params']['embedding']['kernel']",), "named by Python's or JAX's print of a path; "),
    ],
)
def test_others_are_named_with_what_to_do(names: tuple[str, ...], text: str) -> None:
    assert text in str(describe_names(names))
    assert str(describe_names(names)).startswith("by its names, such as ")


@pytest.mark.parametrize("names", READ)
def test_the_layouts_that_are_read_are_nobody_elses(names: tuple[str, ...]) -> None:
    assert describe_names(names) is None
    assert describe_names((*names, "extra/kernel")) is None
