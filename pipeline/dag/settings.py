"""The settings of make that name places and numbers: refused before any stage works, in one sentence."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.addresses import check_public, public_address
from pipeline.base.fault import Fault
from pipeline.facts.formats import parse_names, split_names
from pipeline.images.split import parse_split

# How the names of the stamps and run records of a collection begin; those of a member begin with its name.
COLLECTION_RECORDS = "collection-"
_LEAST = 7  # letters of a setting whose misspelling is recognised: shorter ones resemble too many other words


@dataclass(frozen=True)
class Settings:
    """Settings as make has them, "" where one is not given.

    Attributes:
        checkpoints: CHECKPOINTS, a folder or URL of checkpoints under their upstream names.
        lock: LOCK, the lock file.
        imagenet: IMAGENET, labelled images for members that bring none.
        real: REAL, the ReaL labels.
        samples: SAMPLES, how many images to use.
        hub: HUB, the folder to publish to.
        split: SPLIT, the part of the data set that the images are.
        hub_url: HUB_URL, the public address of the hub.
        formats: FORMATS, the formats to make instead of those of the YAML files.
    """

    checkpoints: str = ""
    lock: str = ""
    imagenet: str = ""
    real: str = ""
    samples: str = ""
    hub: str = ""
    split: str = ""
    hub_url: str = ""
    formats: str = ""

    def check(self) -> None:
        """Raises Fault for the first setting that no stage can use."""
        if self.checkpoints and "://" not in self.checkpoints and not Path(self.checkpoints).is_dir():
            raise Fault(
                f"CHECKPOINTS={public_address(self.checkpoints)}: no such folder; expected a folder or URL of"
                " checkpoints under their upstream names"
            )
        if self.imagenet and not Path(self.imagenet).exists():
            raise Fault(
                f"IMAGENET={public_address(self.imagenet)}: no such folder or file; expected labelled images, see"
                " docs/images.md"
            )
        if self.real and not Path(self.real).is_file():
            raise Fault(f"REAL={public_address(self.real)}: no such file; expected the ReaL labels, real.json")
        if self.samples and not re.fullmatch(r"[1-9][0-9]*", self.samples):
            raise Fault(f"SAMPLES={public_address(self.samples)}: expected a whole number from 1")
        if self.split:
            parse_split(self.split)
        if self.formats:
            parse_names(split_names(self.formats), "FORMATS")
        check_public(self.hub_url, "HUB_URL")
        if "://" in self.hub and not self.hub.startswith("file://"):
            raise Fault(
                f"HUB={public_address(self.hub)}: cannot publish to a URL yet; expected a folder, whose content can be"
                " copied there"
            )


def check_environment(environment: Mapping[str, str], settings: Sequence[str]) -> None:
    """Refuses a variable of the environment whose name is one letter away from that of a setting.

    make refuses every unknown setting on its command line. An environment has many names of other programs, so there
    only one that looks misspelt is refused; a plural or singular of a setting (SAMPLE, COLLECTIONS) is not.

    Args:
        environment: the names and values of all variables.
        settings: the names of all settings.

    Raises:
        Fault: names both.
    """
    long = [setting for setting in settings if len(setting) >= _LEAST]
    for name in sorted(name for name, value in environment.items() if value and name not in settings):
        for setting in long:
            if is_one_edit_away(name, setting) and name.removesuffix("S") != setting.removesuffix("S"):
                raise Fault(
                    f"{name}: unknown setting in the environment (did you mean {setting!r}?); correct its name, or"
                    f" unset it for make if it belongs to another program: env -u {name} make ..."
                )


def is_one_edit_away(name: str, other: str) -> bool:
    """Whether a letter added, left out or replaced, or two letters swapped, makes one name of the other."""
    short, long = sorted((name, other), key=len)
    if len(long) - len(short) == 1:
        return any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
    if len(long) != len(short):
        return False
    differing = [at for at in range(len(long)) if long[at] != short[at]]
    if len(differing) != 2:
        return len(differing) == 1
    first, second = differing
    return second == first + 1 and long[first] + long[second] == short[second] + short[first]


def check_collections(members: Sequence[Path]) -> None:
    """Refuses two members of one name, a name like that of a collection's records, a folder without collection.yaml.

    Raises:
        Fault: names the files.
    """
    counts = Counter(path.stem.lower() for path in members)
    if same := sorted(str(path) for path in members if counts[path.stem.lower()] > 1):
        raise Fault(
            "two members have the same name, in any case of its letters; names are unique across the collections:"
            f" {' '.join(same)}"
        )
    for path in members:
        if path.stem.lower().startswith(COLLECTION_RECORDS):
            raise Fault(
                f"{path}: a member's name must not begin with {COLLECTION_RECORDS}, as the records of a collection do;"
                " rename the file"
            )
    for folder in sorted({path.parent for path in members}):
        if not (folder / "collection.yaml").is_file():
            raise Fault(f"each folder of members needs a collection.yaml; it is missing in {folder}")
