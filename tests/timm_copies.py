"""Which of the seven have a copy of timm's, by timm's table of configurations: the sources after the bucket."""

TIMM_COPIES_OF_THE_SEVEN = {
    "vit_s16": ["hf://timm/vit_small_patch16_224.augreg_in21k_ft_in1k/model.safetensors"],
    "vit_b16": [],
    "vit_b32": ["hf://timm/vit_base_patch32_224.augreg_in21k_ft_in1k/model.safetensors"],
    "vit_l16": ["hf://timm/vit_large_patch16_224.augreg_in21k_ft_in1k/model.safetensors"],
    "vit_r26_s32_lightaug": ["hf://timm/vit_small_r26_s32_224.augreg_in21k_ft_in1k/model.safetensors"],
    "vit_r26_s32_medaug": [],
    "vit_r50_l32": ["hf://timm/vit_large_r50_s32_224.augreg_in21k_ft_in1k/model.safetensors"],
}
