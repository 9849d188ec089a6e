"""Keeps the compiled code of templates beside them, in __pycache__, as Python keeps that of its modules.

To compile the templates of a publication takes half a second. As of modules, nothing is kept where this user may not
write, or with PYTHONDONTWRITEBYTECODE=1; PYTHONPYCACHEPREFIX names another folder.
"""

import hashlib
import marshal
import sys
from contextlib import suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket
from jinja2.compiler import CodeGenerator, Frame
from jinja2.nodes import Expr, Impossible, TemplateData

from pipeline.base.files import replacing


class CompiledTemplates(jinja2.BytecodeCache):
    """The compiled templates of an environment.

    A file has the digest of what the code was made of, that of the code, and the code.
    """

    def __init__(self, settings: str, maker: Path) -> None:
        """Takes what the code depends on beside a template's text.

        Args:
            settings: such as whether it escapes.
            maker: the Python file that makes the environment.
        """
        python = "".join(file.read_text(encoding="utf-8") for file in (Path(__file__), maker))
        self._settings = f"{MAGIC_NUMBER!r} {jinja2.__version__} {settings} {python}"

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Returns the path of a template."""
        return filename or name

    def get_source_checksum(self, source: str) -> str:
        """Returns the digest of all that the code of a template depends on."""
        return hashlib.sha256(f"{self._settings}\n{source}".encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Reads the code of a template; a file that is missing, damaged or of another text leaves it to be made."""
        with suppress(OSError, EOFError, ValueError, TypeError):
            made_of, made, code = Path(cache_from_source(bucket.key)).read_bytes().split(b" ", 2)
            if made_of == bucket.checksum.encode() and made == _digest(code):
                bucket.code = marshal.loads(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Writes the code of a template."""
        if sys.dont_write_bytecode:
            return
        # Whoever cannot write it makes it each time, as Python does with modules.
        with suppress(OSError), replacing(Path(cache_from_source(bucket.key))) as stream:
            code = marshal.dumps(bucket.code)
            stream.write(b" ".join((bucket.checksum.encode(), _digest(code), code)))


def _digest(code: bytes) -> bytes:
    return hashlib.sha256(code).hexdigest().encode()


class RuntimeFilters(CodeGenerator):
    """Applies filters when a page is rendered, also to constants: kept code would have results of earlier filters."""

    def _output_child_to_const(self, node: Expr, frame: Frame, finalize: CodeGenerator._FinalizeInfo) -> str:
        if not isinstance(node, TemplateData):
            raise Impossible
        return super()._output_child_to_const(node, frame, finalize)
