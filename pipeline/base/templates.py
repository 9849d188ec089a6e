"""Renders pages from templates."""

import functools
import re
from pathlib import Path
from typing import Any

import jinja2

from pipeline.base.compiled_templates import CompiledTemplates, RuntimeFilters
from pipeline.base.data import data_path
from pipeline.base.plain_text import code_fence, code_span, escape_clause, escape_markdown, link_target

TEMPLATES = data_path("templates")
# What the cards' snippets need, on a line for bash, zsh, fish, PowerShell and cmd, which all take double quotes.
# benchmarks/fresh_install.py runs it in new environments; the constraint is pyproject.toml's.
INSTALL = 'pip install tensorflow tensorflow-hub tf-keras "setuptools<82"'
NUMBER_WORDS = (
    "no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip


def cosine(value: float) -> str:
    """Returns a cosine similarity with enough digits that only an exact 1 is shown as 1: 0.9999998 and not 1.0000."""
    texts = (f"{value:.{digits}f}" for digits in range(4, 17))
    return "1" if value == 1 else next((text for text in texts if float(text) != 1), "1")


def in_words(count: int) -> str:
    """Spells out a number up to twelve; larger numbers stay digits."""
    return NUMBER_WORDS[count] if count < len(NUMBER_WORDS) else str(count)


def with_article(noun: str) -> str:
    """Returns a noun after "a" or "an", by how its first word sounds: "an MLP-Mixer", whose letters are spelled out."""
    first = next(iter(re.findall("[A-Za-z]+", noun)), noun)
    letter, vowels = first[:1], "AEFHILMNORSX" if first.isupper() else "AEIOUaeiou"
    return f"{'an' if letter and letter in vowels else 'a'} {noun}"


def billions(count: int) -> str:
    """Returns a count in billions, with three digits: 9.2, 0.00123, 1,020."""
    value = count / 1e9
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def with_unit(count: int) -> str:
    """Returns a large count with three digits and its unit: "9.2 billion", "30.2 million", "1,020 billion"."""
    return f"{billions(count)} billion" if count >= 1e9 else f"{billions(1000 * count)} million"


def make_environment(folder: Path, autoescape: bool) -> jinja2.Environment:
    """Returns an environment for a folder of templates, which raises UndefinedError where a fact is missing.

    Args:
        folder: the templates.
        autoescape: True for HTML; False for Markdown and for SVG, whose templates escape text with `| e`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=autoescape,
        optimized=False,  # as RuntimeFilters
        bytecode_cache=CompiledTemplates(f"{folder} {autoescape}", Path(__file__)),
    )
    environment.code_generator_class = RuntimeFilters
    environment.filters |= {
        "percent": lambda value: f"{100 * value:.2f} %",
        "thousands": lambda value: f"{value:,}",
        "megabytes": lambda value: f"{value / 1e6:,.1f} MB",
        "digits": lambda value: f"{value:.4g}",
        "power": lambda value: f"{value:.1e}",
        "limit": lambda value: f"{value:g}",
        "cosine": cosine,
        "plain": escape_markdown,
        "clause": escape_clause,
        "stop": lambda sentence: sentence if sentence.endswith((".", "!", "?")) else f"{sentence}.",
        "code": code_span,
        "fence": code_fence,
        "target": link_target,
        "in_words": in_words,
        "sentence": lambda words: words[:1].upper() + words[1:],
        "with_article": with_article,
        "billions": billions,
        "with_unit": with_unit,
    }
    environment.globals["install"] = INSTALL
    return environment


@functools.cache
def _environment() -> jinja2.Environment:
    """Returns the environment of render(), made once for what may be a thousand pages."""
    return make_environment(TEMPLATES, autoescape=False)


def render(template: str, **facts: Any) -> str:
    """Renders a template of the folder templates/.

    Raises:
        jinja2.UndefinedError: when a fact is missing that the template names.
    """
    return _environment().get_template(template).render(**facts)
