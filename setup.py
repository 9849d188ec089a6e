"""What pyproject.toml cannot say of the wheel: the files that lie beside pipeline/ in a checkout lie in it there."""

from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

# pipeline/base/data.py finds them in either place.
DATA = {"pipeline.templates": "templates", "pipeline.model_cards": "model_cards", "pipeline.docs": "docs"}
# Files of folders that are no data; MANIFEST.in has them for the source archive.
FILES = ("CHANGELOG.md", "benchmarks/README.md")


class BuildWithFiles(build_py):
    """Copies FILES, too."""

    def run(self) -> None:
        super().run()
        for name in () if self.editable_mode else FILES:
            target = Path(self.build_lib, "pipeline", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.copy_file(name, str(target))


setup(
    packages=[*find_packages(include=["pipeline", "pipeline.*"]), *DATA],
    package_dir=DATA,
    package_data={
        "pipeline": ["**/*.tsv"],
        "pipeline.templates": ["**/*"],
        "pipeline.model_cards": ["vit/imagenet2012.tsv", "labels/*.tsv"],
        "pipeline.docs": ["*.md", "*.png"],
    },
    exclude_package_data={"pipeline.templates": ["*__pycache__/*"]},  # compiled templates
    cmdclass={"build_py": BuildWithFiles},
    include_package_data=False,  # no file that merely lies there
)
