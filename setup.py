"""What pyproject.toml cannot say of the wheel: the files that lie beside pipeline/ in a checkout lie in it there."""

from setuptools import find_packages, setup

# pipeline/base/data.py finds them in either place.
DATA = {"pipeline.templates": "templates", "pipeline.model_cards": "model_cards"}

setup(
    packages=[*find_packages(include=["pipeline", "pipeline.*"]), *DATA],
    package_dir=DATA,
    package_data={
        "pipeline": ["**/*.tsv"],
        "pipeline.templates": ["**/*"],
        "pipeline.model_cards": ["vit/imagenet2012.tsv", "labels/*.tsv"],
    },
    include_package_data=False,  # no file that merely lies there
)
