"""Compares what a page says in words with its models: size, architecture, parameters, data set, licence.

Authors write this prose, and copy it from other collections, so it cannot be rendered again. A sentence in English is
refused where it says of the models ("they take", "it is", "trained on") such a fact and not their own; it may name
others beside it ("pre-trained at 224x224, fine-tuned at 384x384"). Sentences that speak of other things, such as the
sides of patches, the original photographs or a larger model, are left alone: _ELSEWHERE lists the words. What cannot be
told apart surely is not judged.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pipeline.cards.page import Page, Problem
from pipeline.cards.tf_hub_rules import known_tags
from pipeline.facts import datasets
from pipeline.facts.report import Report

_SIZE = re.compile(
    r"\b(\d{2,4}) ?(?:[x\u00d7]|by) ?\1\b|\b(\d{2,4})[ -]?(?:pixels?\b|px\b)|\bresolution (?:of )?(\d{3,4})\b",
    re.IGNORECASE,
)
_PARAMETERS = re.compile(
    r"\b(?<![\d,])(?P<number>\d[\d,]{0,20}(?:\.\d{1,9})?)"
    r" ?(?P<unit>million|billion|thousand|[kMB]\b)?[ -](?:trainable )?parameters?\b"
)
_UNITS = {None: 1, "thousand": 1e3, "k": 1e3, "million": 1e6, "M": 1e6, "billion": 1e9, "B": 1e9}
# "S/16", "ViT-S16", "MLP-Mixer B/16": a size and a patch, mostly after the name of a family.
_ARCHITECTURE = re.compile(
    r"(?<![\w/+-])(?:(?P<family>[A-Za-z]{2,20}(?:-[A-Za-z]{2,20})?)(?P<joint>[- ]))?"
    r"(?P<variant>(?P<hybrid>R\d*[+-]?)?(?:Nano|Mini|Ti|S|B|L|H)(?P<slash>[/-]?)\d{1,2})(?![\w/])"
)
# Values of TF-Hub's tag that stand before a size in other senses: "the other B/16", "a Vision Transformer B/16".
_NO_FAMILY = ("multiple", "other", "transformer")
_LICENCE = re.compile(
    r"\b(?:(?P<apache>Apache)|(?P<mit>(?<!by )(?<!at )MIT)|(?P<bsd>BSD)|(?P<lgpl>LGPL)|(?P<gpl>GPL)|(?P<mpl>MPL)"
    r"|(?P<cc>CC[- ]BY|CC0))\b"
)
# What is said of the models, and not of their images, heads or neighbours.
_MODELS = re.compile(
    r"\b(?:models?|modules?|networks?|transformers?|they|these|this|it|(?:re|pre-?|fine-?)?(?:trained|tuned))\b",
    re.IGNORECASE,
)
_TAKES = re.compile(
    r"\b(?:takes?|taking|accepts?|expects?|inputs?|resolution|must|(?:resized?|rescaled?|scaled?|resampled?)\b.* to)\b",
    re.IGNORECASE,
)
_AT = re.compile(r"\b(?:at|for|on|with) (?:(?:[a-z-]+ ){0,2}(?:images|photographs) of )?$", re.IGNORECASE)
_IS = re.compile(r"\b(?:is|are|was|were|be)\b", re.IGNORECASE)
_HAS = re.compile(r"\b(?:has|have|with|of)\b", re.IGNORECASE)
# What a model was trained on, or what else was done with a data set.
_VERB = re.compile(
    r"\b(?:(?P<trained>fine-?tun(?:ed|ing)|trained|tuned)|tested|evaluated|measured|validated|used|scor\w*|reach\w*|achiev\w*"
    r"|perform\w*|works?)\b",
    re.IGNORECASE,
)
# Up to a data set's name: "on the 60,000 training images of ", but not "on photographs, from weights of ".
_ON = re.compile(
    r"\bon (?:(?!from\b|with\b|using\b|starting\b|after\b|than\b|unlike\b|like\b|as\b)[\w,'-]+ ){0,6}$", re.IGNORECASE
)
_PRE = re.compile(r"pre-?(?=trained)", re.IGNORECASE)
# Of the weights that the training started from, where a sentence says it before "trained on".
_START = re.compile(
    r"\b(?:initiali[sz]\w*|start\w*|tun(?:ed|ing) from|from an?|first|stage|backbones?|encoders?|features)\b",
    re.IGNORECASE,
)
_ELSEWHERE = re.compile(
    r"\b(?:pre-?train\w*|original\w*|native\w*|raw|sources?|upscal\w*|downscal\w*|enlarg\w*|crop\w*|patch\w*|tiles?"
    r"|windows?|kernels?|strides?|shift\w*|pad\w*|borders?|margins?|blur\w*|pool\w*|tokens?|grids?|embeddings?|maps?"
    r"|convolution\w*|than|unlike|instead|smaller|larger|bigger|higher|lower|least|most|below|above|minimum|maximum"
    r"|cross|first|start\w*|epochs?|interpolat\w*|acquired|recorded|captured|scanned"
    r"|earlier|older|others?|another|worth|teachers?|taught|distil\w*|compar\w*|half|twice|faster|slower|camera|sensors?"
    r"|head|layers?|not)\b",
    re.IGNORECASE,
)
# Of another model than the page's.
_ANOTHER = re.compile(
    r"\b(?:than|unlike|others?|another|teachers?|distil\w*|compar\w*|baselines?|instead|not)\b", re.IGNORECASE
)
_UNDER = re.compile(r"\bunder (?:the )?$", re.IGNORECASE)
_WEIGHTS = re.compile(r"\b(?:weights|models?|modules?|checkpoints?|they|it)\b", re.IGNORECASE)
_OTHER_WORKS = re.compile(
    r"\b(?:code|scripts?|library|libraries|software|programs?|tools?|packages?|images?|photographs?|photos?|pictures?"
    r"|data|datasets?|annotations|labels|paper|originals?|originally|from an?|tuned from|start\w*|initiali[sz]\w*)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?P<family>[a-z]{2,20})_(?P<variant>(?:r\d*_)?(?:nano|mini|ti|s|b|l|h)\d{1,2})(?=_|$)")
# At the end of a name, or behind the architecture, but not in "run_256_epochs".
_SIZE_IN_NAME = re.compile(
    r"(?:(?<=[a-z]\d[-_])|(?<=[a-z]\d\d[-_])|(?<=[-_])(?=\d+$))"
    r"(?:128|160|192|224|240|256|288|320|384|448|480|512)(?=[-_ ]|$)",
    re.IGNORECASE,
)
# Characters that are judged at a time: the patterns look back and forth in a sentence, which may never end.
_LONGEST = 600
# Sections that authors do not write, and that name other models and data sets.
_GENERATED = ("Example predictions", "Accuracy per class", "Tested versions", "References")


@dataclass(frozen=True)
class Models:
    """The models that a page is about; what is not known is empty, and not compared.

    Attributes:
        sizes: of the square inputs, in pixels.
        variants: of the architectures, such as "S/16".
        families: the architectures, as TF-Hub's tag `network-architecture` calls them, such as "vit".
        parameters: how many each of the modules has.
        dataset: the data set of the classes, for people.
        license: TF-Hub's tag.
        stored: the image sizes of the checkpoints, which may be others; they were trained at them.
    """

    sizes: frozenset[int] = frozenset()
    variants: frozenset[str] = frozenset()
    parameters: frozenset[int] = frozenset()
    dataset: str = ""
    license: str = ""
    families: frozenset[str] = frozenset()
    stored: frozenset[int] = frozenset()


@dataclass(frozen=True)
class _Architecture:
    """An architecture that a text names.

    Attributes:
        text: as the text has it, such as "MLP-Mixer B/16".
        start: where it begins in the text.
        variant: without the family, such as "B/16".
        family: TF-Hub's tag, such as "mixer"; None where the text names none.
    """

    text: str
    start: int
    variant: str
    family: str | None

    def is_one_of(self, models: Models) -> bool:
        """Whether it may be that of one of the models; "B/16" may mean "Mixer-B/16"."""
        is_family = self.family is None or not models.families or self.family in models.families
        return is_family and any(_letters(variant).endswith(_letters(self.variant)) for variant in models.variants)


def models_of(reports: Iterable[Report], dataset: str, license_tag: str, has_figures: bool = True) -> Models:
    """Returns the models of reports; without figures, those of a stand-in are not compared."""
    reports = list(reports)
    counts = (checks.weights.parameters for report in reports for checks in report.modules.values())
    return Models(
        sizes=frozenset(report.model.image_size for report in reports),
        stored=frozenset(report.model.checkpoint_image_size or report.model.image_size for report in reports),
        variants=frozenset(report.model.variant for report in reports),
        families=frozenset(report.model.tag for report in reports),
        parameters=frozenset(counts) if has_figures else frozenset(),
        dataset=dataset,
        license=license_tag,
    )


def page_problems(page: Page, models: Models) -> Iterator[Problem]:
    """Yields the sentences of a page that state another fact than its models', but in sections of _GENERATED."""
    generated = {line for heading in _GENERATED for line in page.section(heading)}
    for piece in page.paragraphs():
        if piece.line not in generated:
            for problem in text_problems(piece.text, models):
                yield Problem(piece.line + problem.line - 1, problem.text)


def text_problems(text: str, models: Models) -> Iterator[Problem]:
    """Yields the sentences of a text that state another fact than the models'; lines are counted in the text."""
    for line, sentence in _sentences(text):
        for rule in (_size, _architecture, _parameters, _dataset, _license):
            for problem in rule(sentence, models):
                yield Problem(line, f"{problem}; correct it")


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yields the sentences of a text in one line each, in parts of at most _LONGEST characters, and their lines."""
    line = 1
    for sentence in re.split(r"(?<=[.!?;])(?=\s)", text):
        first = line + sentence.count("\n", 0, len(sentence) - len(sentence.lstrip()))
        line += sentence.count("\n")
        words = " ".join(sentence.split())
        for start in range(0, len(words), _LONGEST):
            yield first, words[start : start + _LONGEST]


def _is_of_models(sentence: str, pattern: re.Pattern[str], at: int) -> bool:
    """Whether a sentence names the models before a place in it, and the pattern stands between."""
    models = _MODELS.search(sentence, 0, at)
    return bool(models and pattern.search(sentence, models.end(), at))


def _size(sentence: str, models: Models) -> Iterator[str]:
    is_input = _TAKES.search(sentence)
    if any(
        is_input or _is_of_models(sentence, _AT, match.start()) for match in _SIZE.finditer(sentence)
    ) and not _ELSEWHERE.search(sentence):
        yield from _other_size(sentence, models if is_input else replace(models, sizes=models.sizes | models.stored))


def _sizes_in(text: str) -> set[int]:
    return {int(match[1] or match[2] or match[3]) for match in _SIZE.finditer(text)}


def _other_size(text: str, models: Models) -> Iterator[str]:
    """Yields that no size in a text is the models'."""
    named = list(dict.fromkeys(match[0] for match in _SIZE.finditer(text)))
    if named and models.sizes and not models.sizes & _sizes_in(text):
        yield f"{text!r} names {' and '.join(named)}, but the input is of {_pixels(models)}"


def _pixels(models: Models) -> str:
    return f"{' or '.join(f'{size}x{size}' for size in sorted(models.sizes))} pixels"


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _family(name: str) -> str | None:
    """Returns TF-Hub's tag of a family, such as "mixer" for "MLP-Mixer"; None for other words."""
    tags = known_tags()["network-architecture"]
    names = (name.lower(), name.lower().rpartition("-")[2])
    return next((each for each in names if each in tags and each not in _NO_FAMILY), None)


def _architectures_in(text: str) -> Iterator[_Architecture]:
    """Yields the architectures that a text names; those of unknown families, such as "DeiT-B/16", are left out."""
    for match in _ARCHITECTURE.finditer(text):
        family, is_joined = _family(match["family"] or ""), match["joint"] == "-"
        is_short = match["slash"] == "/" and "-" not in (match["hybrid"] or "")  # others may be names of anything
        if family and (is_short or is_joined):
            yield _Architecture(match[0], match.start(), match["variant"], family)
        elif is_short and not is_joined:
            yield _Architecture(match["variant"], match.start("variant"), match["variant"], None)


def _architecture(sentence: str, models: Models) -> Iterator[str]:
    named = next(_architectures_in(sentence), None)
    if named and _is_of_models(sentence, _IS, named.start) and not _ELSEWHERE.search(sentence):
        yield from _other_architecture(sentence, models)


def _other_architecture(text: str, models: Models) -> Iterator[str]:
    """Yields that no architecture in a text is the models'."""
    named = list(_architectures_in(text))
    if named and models.variants and not any(architecture.is_one_of(models) for architecture in named):
        texts = " and ".join(architecture.text for architecture in named)
        yield f"{text!r} names {texts}, but the architecture is {_in_words(models, named)}"


def _in_words(models: Models, named: Iterable[_Architecture]) -> str:
    """Returns the models' architectures, with their families where a text names another one."""
    is_other = bool(models.families) and any(each.family and each.family not in models.families for each in named)
    families = f" ({', '.join(sorted(models.families))})" if is_other else ""
    return f"{' or '.join(sorted(models.variants))}{families}"


def _parameters(sentence: str, models: Models) -> Iterator[str]:
    named = [match for match in _PARAMETERS.finditer(sentence) if _is_of_models(sentence, _HAS, match.start())]
    if not named or not models.parameters or _ELSEWHERE.search(sentence):
        return
    if not any(_means(match, count) for match in named for count in models.parameters):
        expected = " or ".join(f"{count:,}" for count in sorted(models.parameters))
        yield f"{sentence!r} names {named[0][0]!r}, but there are {expected}"


def _means(match: re.Match[str], count: int) -> bool:
    """Whether a number of parameters is a count, rounded or cut to its digits."""
    unit = _UNITS[match["unit"]]
    digits = match["number"].replace(",", "")
    step = unit * 10.0 ** -len(digits.partition(".")[2])
    if match["unit"] is None:  # 86,000,000 is rounded, too
        step = 10.0 ** (len(digits) - len(digits.rstrip("0")))
    return abs(float(digits) * unit - count) < step


def _dataset(sentence: str, models: Models) -> Iterator[str]:
    is_known = bool(datasets.mentions(models.dataset))
    is_own = not is_known and re.search(r"\b(?:our|own|my)\b", sentence, re.IGNORECASE)
    if not models.dataset or is_own or (not is_known and models.dataset.lower() in sentence.lower()):
        return
    if _ANOTHER.search(sentence):
        return
    named = [mention for mention in datasets.mentions(sentence) if _is_trained_on(sentence, mention.start)]
    if named and not any(datasets.is_same(mention, models.dataset) for mention in named):
        name = sentence[named[-1].start : named[-1].end]
        yield f"{sentence!r} names {name}, but the data set is {models.dataset}"


def _is_trained_on(sentence: str, at: int) -> bool:
    """Whether the model was trained last on what the sentence names there; pre-training is not meant."""
    before, after = sentence[:at], sentence[at:]
    verbs = list(_VERB.finditer(before))
    if not verbs or not verbs[-1]["trained"] or not _ON.search(before):
        return False
    verb = verbs[-1]
    if _PRE.search(before[max(0, verb.start() - 4) : verb.end()]) or _START.search(before[: verb.start()]):
        return False
    return verb[0].lower().startswith(("fine", "tuned")) or not re.search(r"\bfine-?tuned on\b", after, re.IGNORECASE)


def _license(sentence: str, models: Models) -> Iterator[str]:
    if not models.license or not _WEIGHTS.search(sentence) or _OTHER_WORKS.search(sentence):
        return
    is_licensed = re.search(r"licen[cs]", sentence, re.IGNORECASE)
    named = [match for match in _LICENCE.finditer(sentence) if is_licensed or _UNDER.search(sentence[: match.start()])]
    if named and not any(models.license.lower().startswith(str(match.lastgroup)) for match in named):
        yield f"{sentence!r} names the licence {named[0][0]}, but that of the weights is {models.license}"


def title_problems(title: str, models: Models) -> Iterator[str]:
    """Yields the architecture, size or data set of a title that is not the models'."""
    yield from _other_size(title, models)
    yield from _other_architecture(title, models)
    named = [mention.known.name for mention in datasets.mentions(title)]
    if named and models.dataset and datasets.is_other(" ".join(named), models.dataset):
        yield f"{title!r} names {' and '.join(named)}, but the data set is {models.dataset}"
    yield from name_problems(title, models)


def name_problems(name: str, models: Models) -> Iterator[str]:
    """Yields the architecture or size in a name such as vit_s16_384 or Mixer-B16-384 that is not the models'."""
    if (match := _NAME.match(name)) and models.variants and (family := _family(match["family"])):
        is_own = not models.families or family in models.families
        named = _Architecture(match["variant"] if is_own else match[0], 0, match["variant"], None if is_own else family)
        if not named.is_one_of(models):
            yield f"{name!r} names {named.text}, but the architecture is {_in_words(models, [named])}"
    in_datasets = {at for mention in datasets.mentions(name) for at in range(mention.start, mention.end)}
    sizes = {int(match[0]) for match in _SIZE_IN_NAME.finditer(name) if match.start() not in in_datasets}
    if sizes and models.sizes and not sizes & models.sizes:
        yield f"{name!r} names {min(sizes)}, but the input is of {_pixels(models)}"
