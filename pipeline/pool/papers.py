"""The papers that describe upstream's models. BibTeX as upstream's README and arXiv have it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Paper:
    """An entry of a collection's references; its fields are those of pipeline.facts.collection.Reference."""

    text: str
    url: str
    bibtex: str


VIT = Paper(
    "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale, Dosovitskiy et al.",
    "https://arxiv.org/abs/2010.11929",
    """@inproceedings{dosovitskiy2021image,
  title = {An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale},
  author = {Dosovitskiy, Alexey and Beyer, Lucas and Kolesnikov, Alexander and Weissenborn, Dirk and Zhai, Xiaohua
            and Unterthiner, Thomas and Dehghani, Mostafa and Minderer, Matthias and Heigold, Georg and Gelly, Sylvain
            and Uszkoreit, Jakob and Houlsby, Neil},
  booktitle = {International Conference on Learning Representations},
  year = {2021},
  url = {https://arxiv.org/abs/2010.11929}
}""",
)
MIXER = Paper(
    "MLP-Mixer: An all-MLP Architecture for Vision, Tolstikhin et al.",
    "https://arxiv.org/abs/2105.01601",
    """@inproceedings{tolstikhin2021mixer,
  title = {{MLP-Mixer}: An all-{MLP} Architecture for Vision},
  author = {Tolstikhin, Ilya and Houlsby, Neil and Kolesnikov, Alexander and Beyer, Lucas and Zhai, Xiaohua
            and Unterthiner, Thomas and Yung, Jessica and Steiner, Andreas and Keysers, Daniel and Uszkoreit, Jakob
            and Lucic, Mario and Dosovitskiy, Alexey},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2021},
  url = {https://arxiv.org/abs/2105.01601}
}""",
)
SAM = Paper(
    "When Vision Transformers Outperform ResNets without Pre-training or Strong Data Augmentations, Chen et al.",
    "https://arxiv.org/abs/2106.01548",
    """@inproceedings{chen2022outperform,
  title = {When Vision Transformers Outperform {ResNets} without Pre-training or Strong Data Augmentations},
  author = {Chen, Xiangning and Hsieh, Cho-Jui and Gong, Boqing},
  booktitle = {International Conference on Learning Representations},
  year = {2022},
  url = {https://arxiv.org/abs/2106.01548}
}""",
)
GSAM = Paper(
    "Surrogate Gap Minimization Improves Sharpness-Aware Training, Zhuang et al.",
    "https://arxiv.org/abs/2203.08065",
    """@inproceedings{zhuang2022gsam,
  title = {Surrogate Gap Minimization Improves Sharpness-Aware Training},
  author = {Zhuang, Juntang and Gong, Boqing and Yuan, Liangzhe and Cui, Yin and Adam, Hartwig and Dvornek, Nicha
            and Tatikonda, Sekhar and Duncan, James and Liu, Ting},
  booktitle = {International Conference on Learning Representations},
  year = {2022},
  url = {https://arxiv.org/abs/2203.08065}
}""",
)


@dataclass(frozen=True)
class Family:
    """How collections and titles speak of an architecture: a short name, that of several, and its paper."""

    short: str
    plural: str
    paper: Paper


FAMILIES = {"vit": Family("ViT", "Vision Transformers", VIT), "mixer": Family("Mixer", "MLP-Mixers", MIXER)}
