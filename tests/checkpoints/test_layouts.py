"""Weights of other programs and architectures are called that, by names as their files have them."""

import pytest

from pipeline.checkpoints.layouts import describe_arrays, describe_tensors

AUGREG = (
    "Transformer/encoder_norm/bias",
    "Transformer/encoderblock_0/LayerNorm_0/scale",
    "Transformer/encoderblock_0/LayerNorm_2/scale",
    "Transformer/encoderblock_0/MlpBlock_3/Dense_0/kernel",
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
    "blocks.0.attn.proj.bias",
    "blocks.0.attn.qkv.weight",
    "blocks.0.mlp.fc1.weight",
    "blocks.0.norm1.weight",
    "cls_token",
    "fc_norm.weight",
    "head.weight",
    "norm.weight",
    "patch_embed.backbone.stem.conv.weight",
    "patch_embed.proj.weight",
    "pos_embed",
)
BIG_VISION = ("embedding/kernel", "pos_embedding", "Transformer/encoderblock_0/MlpBlock_0/Dense_0/kernel", "cls")


def below(prefix: str, names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(prefix + name for name in names)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (BIG_VISION, "big_vision's weights; docs/members.md, 'Checkpoints of other programs', shows how to rename"),
        (below("params/", BIG_VISION), "big_vision's weights; "),
        (("embedding/kernel", "Transformer/encoderblock/LayerNorm_0/scale"), "stacked over the layers (scan); "),
        ((*BIG_VISION, "MAPHead_0/probe"), "big_vision's attention pooling; it is another architecture"),
        (below("params/img/", BIG_VISION), "a tower for images and one for texts (LiT, SigLIP); "),
        ((*AUGREG, "pre_logits/kernel"), "a Vision Transformer with a pre_logits layer, as before its fine-tuning; "),
        (("resnet/root_block/conv_root/kernel", "head/kernel"), "a ResNet of BiT; "),
        (("root_block/conv_root/kernel", "block1/unit01/conv1/kernel"), "a ResNet of BiT; "),
        (("vit.embeddings.cls_token", "vit.embeddings.patch_embeddings.projection.weight"), "Hugging Face's transform"),
        (("deit.embeddings.distillation_token",), "a DeiT with distillation; "),
        ((*TIMM, "dist_token", "head_dist.weight"), "a DeiT with distillation; "),
        ((*TIMM, "blocks.0.ls1.gamma"), "a model with LayerScale (DINOv2, DeiT III, CaiT); "),
        (("embeddings.register_tokens", "embeddings.cls_token"), "a model with register tokens (DINOv2); "),
        (("vision_model.embeddings.class_embedding",), "a CLIP or SigLIP of Hugging Face's transformers; "),
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
        (("opt/mu/embedding/bias", "opt/nu/embedding/bias"), "only the state of an optimizer; "),
    ],
)
def test_others_are_named_with_what_to_do(names: tuple[str, ...], text: str) -> None:
    for describe in (describe_arrays, describe_tensors):
        assert text in str(describe(names))
        assert str(describe(names)).startswith("by its names, such as ")


def test_timms_names_in_an_npz_are_sent_to_safetensors() -> None:
    assert "weights under timm's names; save them with safetensors" in str(describe_arrays(TIMM))
    assert describe_tensors(TIMM) is None


@pytest.mark.parametrize("prefix", ["params/", "opt/target/", "target/", "ema_params/", "params/params/"])
def test_a_prefix_is_named(prefix: str) -> None:
    assert describe_arrays(below(prefix, AUGREG)) == (
        f"its parameters lie below {prefix!r}; remove it, see docs/members.md, 'Checkpoints of other programs'"
    )


@pytest.mark.parametrize("prefix", ["module.", "model.", "state_dict.", "backbone.", "teacher.backbone."])
def test_a_prefix_of_tensors_is_named(prefix: str) -> None:
    assert str(describe_tensors(below(prefix, TIMM))).startswith(f"its parameters lie below {prefix!r}; remove it, ")


def test_what_lies_beside_the_parameters_is_counted() -> None:
    names = (*below("params/", AUGREG), *below("ema/", AUGREG), "opt/count", "step")
    assert str(describe_arrays(names)).startswith(
        "its parameters lie below 'ema/' and 'params/' (2 others do not); keep those of one, and remove it"
    )


def test_the_layouts_that_are_read_are_nobody_elses() -> None:
    assert describe_arrays(AUGREG) is None
    assert describe_arrays((*AUGREG, "extra/kernel")) is None  # one of the user's own: its mismatches are listed
    assert describe_tensors(TIMM) is None
    assert describe_arrays(()) is None
