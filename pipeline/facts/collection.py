"""The file collection.yaml, the section `module` of a member, and the handles of modules."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.addresses import check_public
from pipeline.base.fault import Fault, nearest
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member, YamlFile
from pipeline.facts.formats import DEFAULT, FormatName, check_names

# The folder of the website, and an address of the server.
RESERVED = ("site", "healthz")
MOST_VERSION = 999_999_999  # the handles of a hub's index have nine digits
MOST_REFERENCES = 200  # of a collection; those of this project have 3 and 5
FILE = "collection.yaml"
ACTIVATIONS = ("softmax", "sigmoid")  # functions of tf.nn
# An address without what would end a link in Markdown.
_CONTACT = r"""https?://[^\s<>()\[\]`"'\\]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+"""
# A folder in Colab; TF-Hub allowed links to notebooks there alone (pipeline.cards.tf_hub_rules).
_COLAB = re.compile(r"(?!.*\.ipynb/?$)https://colab\.research\.google\.com(/[\w.~%-]+)+/?", re.ASCII)


def _refuse_blank(**texts: str) -> None:
    """Raises Fault for the first text that has no words; each is given by the name of its key."""
    for name, text in texts.items():
        if not text.strip():
            raise Fault(f"{name} must not be empty")


@dataclass(frozen=True)
class Module:
    """The section `module`: what a member's pages say of it alone.

    Attributes:
        version: of both modules, from 1. A published version never changes: raise it to publish other bytes.
        title: a short name for lists, such as "ViT-S16".
        note: one more paragraph for the cards, Markdown.
        recipe: how the model was trained in particular (epochs, augmentation, learning rate), Markdown.
        accuracy_waived: why the modules are released without a measured accuracy, a clause; None where they are drafts
            until it is measured.
    """

    version: int
    title: str
    note: str | None = None
    accuracy_waived: str | None = None
    recipe: str | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.version <= MOST_VERSION:
            raise Fault(f"module.version must be 1 to {MOST_VERSION:,}, got {self.version}")
        _refuse_blank(title=self.title)
        if self.accuracy_waived is not None:
            _refuse_blank(accuracy_waived=self.accuracy_waived)
        if self.recipe is not None:
            _refuse_blank(recipe=self.recipe)


@dataclass(frozen=True)
class Publisher:
    """The publisher of a collection.

    Attributes:
        id: the first part of every handle: lower-case letters, digits and '-'.
        name: for people.
        about: a sentence or two, Markdown.
        kaggle: the owner of the models on Kaggle, a user or an organisation.
        contact: where questions go, an e-mail address or one that begins with http:// or https://.
    """

    id: str
    name: str
    about: str
    kaggle: str | None = None
    contact: str | None = None

    def __post_init__(self) -> None:
        _refuse_blank(name=self.name)
        if self.contact is not None and not re.fullmatch(_CONTACT, self.contact):
            raise Fault(
                "publisher.contact must be an e-mail address or one that begins with http:// or https://, got"
                f" {self.contact!r}"
            )


@dataclass(frozen=True)
class Reference:
    """An entry of the reference list; `bibtex` is given for those that users of the models should cite."""

    text: str
    url: str
    bibtex: str | None = None

    def __post_init__(self) -> None:
        _refuse_blank(text=self.text, url=self.url)


def check_activation(activation: str, where: str = "") -> str:
    """Returns an activation that is one of ACTIVATIONS.

    Raises:
        Fault: for another; begins with `where`.
    """
    if activation not in ACTIVATIONS:
        raise Fault(
            f"{where}{': ' if where else ''}activation must be {' or '.join(ACTIVATIONS)}, got {activation!r}"
            f"{nearest(activation, ACTIVATIONS)}"
        )
    return activation


@dataclass(frozen=True)
class Collection:
    """The file collection.yaml: facts that hold for every member.

    Attributes:
        name: the collection's name, which is also its folder's: the last part of its address.
        hub_url: the public address of the hub, unless HUB_URL= gives another.
        publisher: its publisher.
        summary: what the models are, a participle clause such as "trained on Fashion-MNIST".
        training: how the checkpoints were trained, a clause that follows "The model was".
        dataset_tag: TF-Hub's tag of the data set that the classes come from.
        dataset_name: its name for people.
        license: TF-Hub's tag of the weights' licence.
        overview: the collection page's overview after the sentence that counts the models, Markdown.
        about: the collection page's section on the models, Markdown.
        references: numbered from 1, as the texts cite them; the first is the architecture's, the last jax2tf's.
        huggingface_dataset: the data set's id on Hugging Face, if it is there.
        activation: what turns the logits into probabilities, one of ACTIVATIONS; the one of the training.
        images_license: the licence under which evaluation images may be shown, such as MIT; None where they may not.
        formats: those that members are published in (pipeline.facts.formats), unless their own YAML files name others;
            None for DEFAULT, of which one that cannot be made is left out.
        notebooks_url: the address in Colab of the folder with this project's notebooks, which pages then link.
    """

    name: str
    hub_url: str
    publisher: Publisher
    summary: str
    training: str
    dataset_tag: str
    dataset_name: str
    license: str
    overview: str
    about: str
    references: tuple[Reference, ...]
    huggingface_dataset: str | None = None
    activation: str = "softmax"
    formats: tuple[str, ...] | None = None
    images_license: str | None = None
    notebooks_url: str | None = None

    def __post_init__(self) -> None:
        check_activation(self.activation)
        if self.formats is not None:
            check_names(self.formats)
        if self.notebooks_url is not None and not _COLAB.fullmatch(self.notebooks_url):
            raise Fault(
                "notebooks_url must be the address of a folder of notebooks in Colab, such as"
                " https://colab.research.google.com/github/<owner>/<repository>/blob/main/notebooks, got"
                f" {self.notebooks_url!r}"
            )
        for what, value in (("name", self.name), ("publisher.id", self.publisher.id)):
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", value):
                raise Fault(f"{what} must be lower-case letters, digits, '_' and '-', got {value!r}")
        _refuse_blank(summary=self.summary, training=self.training, dataset_name=self.dataset_name)
        if self.images_license is not None:
            _refuse_blank(images_license=self.images_license)
        if not 1 <= len(self.references) <= MOST_REFERENCES:
            got = len(self.references) or "none"
            expected = f"at most {MOST_REFERENCES}, the architecture's first and jax2tf's last"
            raise Fault(f"references must be {expected}, got {got}")
        if self.publisher.id in RESERVED:
            raise Fault(f"publisher.id {self.publisher.id!r} is a word that the hub itself uses; choose another")
        if "_" in self.publisher.id:  # tfhub.dev, which allowed it in other names
            raise Fault(f"publisher.id must be lower-case letters, digits and '-', got {self.publisher.id!r}")

    def notebook(self, name: str) -> str | None:
        """Returns the address in Colab of one of the notebooks, such as "classification", or None without any."""
        return None if self.notebooks_url is None else f"{self.notebooks_url.rstrip('/')}/{name}.ipynb"


def read_collection(path: Path) -> Collection:
    """Reads a collection.yaml, without its key `selection`, which pipeline.pool reads.

    Raises:
        Fault: when it is malformed, with file and line.
    """
    return YamlFile(path).whole(Collection, keys_of_others=("selection",))


def read_activation(folder: Path) -> str:
    """Returns the activation of the collection in a folder, which is softmax where collection.yaml does not say.

    A folder without a collection.yaml, such as that of a rebuild, has softmax too.

    Raises:
        Fault: when the file is malformed, or names another activation than ACTIVATIONS.
    """
    path = folder / "collection.yaml"
    activation = YamlFile(path).key("activation", str) if path.exists() else None
    return check_activation(activation or "softmax", str(path))


@dataclass(frozen=True)
class Wanted:
    """The formats that a member is to be published in.

    Attributes:
        names: in the order of FormatName.
        required: whether somebody asked for them: one that cannot be made stops the publication then.
    """

    names: tuple[FormatName, ...]
    required: bool


def wanted_formats(member: Member, collection: Collection) -> Wanted:
    """Returns the formats that a member's YAML file names, else its collection's, else DEFAULT.

    Raises:
        Fault: for an unknown format, or without the module itself.
    """
    own = member.key("formats", tuple[str, ...], "formats")
    if own is not None:
        return Wanted(check_names(own, f"{member.path}:{member.line_of(['formats'])}: formats"), required=True)
    if collection.formats is None:
        return Wanted(DEFAULT, required=False)
    return Wanted(check_names(collection.formats), required=True)


def collection_of(member: Path, hub_url: str | None) -> tuple[Collection, str]:
    """Reads the collection.yaml beside a member's file; returns it and the hub's address without a final slash.

    Args:
        member: the path of a member's file, or of collection.yaml itself.
        hub_url: the setting HUB_URL, or None for the collection's own address.

    Raises:
        Fault: when the file is malformed, its name is not its folder's, or the address is not an http or https URL.
    """
    path = member.parent / FILE
    collection = read_collection(path)
    if collection.name != path.resolve().parent.name:
        raise Fault(f"{path}: name must be that of its folder, {path.resolve().parent.name!r}, got {collection.name!r}")
    address = (hub_url or collection.hub_url).rstrip("/")
    if not re.fullmatch(r"https?://[^/\s\"'<>`\\][^\s\"'<>`\\]*", address):
        where = f"HUB_URL={hub_url}" if hub_url else f"{path}: hub_url {collection.hub_url!r}"
        raise Fault(
            f"{where}: expected an address that begins with http:// or https://, without spaces, quotes and the like"
        )
    check_public(address, "HUB_URL" if hub_url else f"{path}: hub_url")
    return collection, address


def handle(collection: Collection, member: str, head: Head, version: int) -> str:
    """Returns a module's handle, such as sayakpaul/vit_s16_classification/1."""
    return f"{collection.publisher.id}/{member}_{head}/{version}"
