"""Archives of models that a stranger gives to doctor and evaluate, and the hub's own tarballs."""

import bz2
import gzip
import io
import lzma
import os
import struct
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

import pipeline.doctor  # noqa: F401 - imported before a process is forked
import pipeline.evaluate  # noqa: F401
from pipeline.base.fault import Fault
from pipeline.saved_model.files import tarball_digest
from pipeline.saved_model.opening import open_folder, read_files
from tests.hostile.attack import Attack, Fuzz, command
from tests.raw_archives import END, checked, file, gzip_zeros, header, long_name, pax, xz_with_dictionary
from tests.saved_model.graphs import write_graph

MB = 1_000_000
_TOO_MUCH = "a content of more than 50 times its own size"


def evaluate(path: Path) -> None:
    """Opens a model as evaluate does, which unpacks it; there is nothing to evaluate with."""
    command("evaluate", path, "--images", path.parent / "none")


def doctor(path: Path) -> None:
    """Reads an archive as doctor does, but for the process of its own, which takes long to start."""
    read_files(path)


def both(path: Path) -> None:
    """Reads an archive as doctor does, then unpacks it as evaluate does; both must refuse it."""
    with pytest.raises(Fault):
        doctor(path)
    evaluate(path)


def written(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(content())
        return folder / name

    return make


def of_tar(*parts: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    """Returns what writes entries, between others, as a .tar.gz."""

    def content() -> bytes:
        return b"".join(part if isinstance(part, bytes) else part() for part in parts)

    return written("evil.tar.gz", lambda: gzip.compress(content() + END, 1))


def plain(*parts: bytes) -> Callable[[Path], Path]:
    return written("evil.tar", lambda: b"".join(parts))


# Links ----------------------------------------------------------------------------------------------------------------
def long_links() -> bytes:
    """Writes through links that are longer than PATH_MAX once resolved, as CVE-2025-4517 does.

    tarfile's extractall(filter="data") of Python 3.11.7, 3.12.1 and 3.13.0 writes input/evil two folders above.
    """
    out, here, short, deep = [], b"", b"abcdefghijklmnop", b"d" * 247
    for letter in short:
        out.append(long_name(here + deep) + header(b"5"))
        out.append(long_name(here + bytes([letter])) + long_name(deep, b"K") + header(b"2"))
        here += deep + b"/"
    far = b"/".join(bytes([letter]) for letter in short) + b"/" + b"l" * 254
    out.append(long_name(far) + long_name(b"../" * len(short), b"K") + header(b"2"))
    out.append(long_name(b"escape") + long_name(far + b"/../../input", b"K") + header(b"2"))
    return b"".join(out) + file(b"escape/evil", b"evil")


LINKS = (
    of_tar(header(b"2", 0, b"x", b"../../input"), file(b"x/evil", b"evil")),
    of_tar(header(b"1", 0, b"x", b"/etc/passwd"), file(b"x", b"evil")),
    of_tar(header(b"2", 0, b"a", b"b"), header(b"2", 0, b"b", b"a"), file(b"a/b/c", b"evil")),
)


# Tar ------------------------------------------------------------------------------------------------------------------
def sparse() -> bytes:
    """Returns a file of 8 GiB of holes, as old GNU tar writes it, whose map goes on in a second block."""
    block = bytearray(header(b"S", 0, b"variables/variables.index"))
    block[482], block[483:495] = 1, b"%011o\0" % ((1 << 33) - 1)
    return checked(block) + bytes(512)


def sparse_pax(*records: tuple[bytes, bytes]) -> Callable[[Path], Path]:
    return of_tar(pax(records), file(b"x", b"1\n0\n1\n"))


def quadratic_pax() -> bytes:
    """Returns pax headers whose records each reach to the one "=" at the end, for tarfile's regular expressions."""
    records = b"9999 hdrcharset" * 8000 + b"=\n"
    return (file(b"x", records, b"x") + file(b"y", b"1" * 120_000, b"x") + file(b"a")) * 300


def unreadable(folder: Path) -> Path:
    """Makes what reads like a file on a broken disk."""
    path = folder / "evil.tar.gz"
    path.symlink_to("/proc/self/mem")
    return path


def entries(count: int, name: str = "{}") -> Callable[[], bytes]:
    return lambda: b"".join(header(b"0", 0, name.format(number).encode()) for number in range(count))


def with_holes(name: bytes, size: int) -> Callable[[Path], Path]:
    """Returns what writes a plain archive with a file of zeros, which take no place on this disk."""

    def make(folder: Path) -> Path:
        path = folder / "evil.tar"
        path.write_bytes(header(b"0", size, name))
        os.truncate(path, 512 + -(-size // 512) * 512 + len(END))
        return path

    return make


TARS = (
    Attack("name above", of_tar(file(b"../evil", b"evil")), both, "leads outside of the archive; if you trust it"),
    Attack("absolute name", of_tar(file(b"/tmp/evil", b"evil")), evaluate, "leads outside"),
    Attack("pax name above", of_tar(pax([(b"path", b"m/../../evil")]), file(b"x")), evaluate, "leads outside"),
    Attack("long name above", of_tar(long_name(b"m/" * 25 + b"../" * 30 + b"e" * 99), file()), evaluate, "outside"),
    Attack("name of control characters", of_tar(file(b"\x1b[2J\n\xff/../evil")), evaluate, r"'\\x1b\[2J\\n"),
    Attack("links of CVE-2025-4517", of_tar(long_links), evaluate, "a name of 1,239 characters, at most 1,024"),
    Attack("links", LINKS[0], lambda path: command("doctor", path), "no saved_model.pb"),
    *(Attack(f"links {number}", make, both, "no saved_model.pb") for number, make in enumerate(LINKS)),
    *(
        Attack(f"device {kind}", of_tar(header(kind.encode(), 0, b"saved_model.pb")), both, "link or a special file")
        for kind in "346"
    ),
    Attack("file for a folder", of_tar(file(b"a"), file(b"a/saved_model.pb")), evaluate, "cannot be written"),
    Attack("folder for a file", of_tar(file(b"a/b"), file(b"a")), evaluate, "'a' cannot be written"),
    Attack("20,000 entries", of_tar(entries(20_000)), doctor, "it has more than 10,000 entries"),
    Attack("a million folders", of_tar(entries(9_900, "{}/" + "a/" * 30 + "b")), evaluate, "more than 1,000 folders"),
    Attack("folders in folders", of_tar(long_name(b"a/" * 500 + b"b"), file(b"x")), both, "a folder within"),
    Attack("negative size", of_tar(header(b"0", -1024)), both, "an entry of negative size"),
    Attack("negative octal size", of_tar(header(b"0", b"-0000002000")), doctor, "an entry of negative size"),
    Attack("negative size, plain", plain(header(b"0", -512), END), both, "an entry of negative size"),
    Attack("negative size of a header", of_tar(header(b"x", -512)), doctor, "an entry of negative size"),
    Attack("huge size", of_tar(header(b"0", 1 << 70)), both, "an entry of 1,180,591,620,717,411,303,424 bytes"),
    Attack("huge size, plain", plain(header(b"0", 1 << 61), END), both, "unexpected end of data"),
    Attack("negative pax size", of_tar(pax([(b"size", b"-1024")]), file(b"x")), doctor, "a size that is no number"),
    Attack("huge pax size", of_tar(pax([(b"size", b"9" * 5000)]), file(b"x")), doctor, "a size that is no number"),
    Attack("4 TB", with_holes(b"variables/variables.data-00000-of-00001", 4_000_000 * MB), evaluate, "disk is full"),
    Attack("3 GB graph", with_holes(b"m/saved_model.pb", 3000 * MB), both, "model.pb: it has 3,000,000,000 bytes"),
    Attack("sparse file", of_tar(sparse), both, "is stored as a sparse file"),
    Attack("sparse 0.0", sparse_pax((b"GNU.sparse.size", b"9" * 12), (b"GNU.sparse.numblocks", b"1")), both, "sparse"),
    Attack("sparse 0.1", sparse_pax((b"GNU.sparse.map", b"0,1," * 9000)), both, "sparse"),
    Attack("sparse 1.0", sparse_pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")), both, "sparse"),
    Attack("short pax records", of_tar(lambda: (pax([(b"a", b"")] * 20_000) + file()) * 700), both, "than 200 pax"),
    Attack("short pax records of all entries", of_tar(lambda: pax([(b"a", b"")] * 100, b"g") * 10), both, "200 pax"),
    Attack("name of all entries", of_tar(pax([(b"path", b"x")], b"g"), file(b"a")), doctor, "all entries one name"),
    *(
        Attack(f"header {kind} of 3 GB", written("evil.tar.gz", lambda kind=kind: gzip.compress(  # type: ignore[misc]
            header(kind.encode(), 3000 * MB)) + gzip_zeros(3000 * MB)), both, "headers of more than 131,072 bytes")
        for kind in "LKxgX"
    ),
    *(
        Attack(f"headers {kind} in headers", of_tar(file(b"", b"a" * 100, kind.encode()) * 5000), both,
               "headers of more than|damaged pax header")
        for kind in "LKx"
    ),
    Attack("empty headers", of_tar(header(b"g") * 100_000), doctor, "headers of more than"),
    Attack("quadratic pax headers", of_tar(quadratic_pax), doctor, "a damaged pax header"),
    Attack("pax records without length", of_tar(file(b"x", b" a=b\n" * 9000, b"x")), doctor, "a damaged pax header"),
    Attack("pax records of length 0", of_tar(file(b"x", b"0 a=b\n" * 9000, b"x")), doctor, "a damaged pax header"),
    Attack("another archive behind it", of_tar(file(b"a"), END, file(b"b")), doctor, "another archive follows"),
    Attack("broken disk", unreadable, evaluate, r"/evil\.tar\.gz: the device reports an input/output error"),
    Attack("header without entry", of_tar(long_name(b"a")), doctor, "unexpected end of data"),
)  # fmt: skip


# Compression ----------------------------------------------------------------------------------------------------------
def bomb(pack: Callable[[bytes], bytes]) -> Callable[[Path], Path]:
    """Returns what writes 3 GB of saved_model.pb, as streams of 10 MB."""
    return written(
        "evil.tar",
        lambda: pack(header(b"0", 3000 * MB, b"saved_model.pb")) + pack(bytes(10 * MB)) * 300,
    )


COMPRESSED = (
    Attack("gzip bomb", bomb(gzip.compress), both, _TOO_MUCH),
    Attack("bzip2 bomb", bomb(bz2.compress), both, _TOO_MUCH),
    Attack("xz bomb", bomb(lambda data: lzma.compress(data, preset=0)), both, _TOO_MUCH),
    Attack("gzip in gzip", written("evil.tar.gz", lambda: gzip.compress(gzip.compress(END))), both, "holds no tar"),
    Attack("zeros behind the end", written("evil.tar.gz", lambda: gzip.compress(file(b"a")) + gzip_zeros(3000 * MB)),
           doctor, _TOO_MUCH),
    Attack("bzip2 streams", written("evil.tar", lambda: bz2.compress(file(b"a")) + bz2.compress(b"") * 1_000_000),
           both, "compressed streams of less than 1,000 bytes"),
    Attack("xz streams", written("evil.tar", lambda: lzma.compress(file(b"a")) + lzma.compress(b"") * 300_000),
           both, "compressed streams of less than 1,000 bytes"),
    Attack("gzip header", written("evil.tar", lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 50 * MB), both, "header"),
    Attack("xz dictionary", written("evil.tar", lambda: xz_with_dictionary(file(b"a") + END, 40)), both,
           "a dictionary that needs more than 268,435,456 bytes"),
)  # fmt: skip


# Zip ------------------------------------------------------------------------------------------------------------------
def zipped(files: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return out.getvalue()


def zip_of(*changes: Callable[[bytearray], None]) -> Callable[[Path], Path]:
    """Returns what writes a .zip of one file that is changed."""

    def build() -> bytes:
        data = bytearray(zipped([("saved_model.pb", b"content")]))
        for change in changes:
            change(data)
        return bytes(data)

    return written("evil.zip", build)


def put(signature: bytes, offset: int, form: str, *values: int) -> Callable[[bytearray], None]:
    """Returns what writes numbers into the last record of a kind."""
    return lambda data: struct.pack_into(form, data, data.rindex(signature) + offset, *values)


def overlapping() -> bytes:
    """Returns 9,900 entries that are all one file of 10 MB, packed to 10 kB."""
    data = zipped([("a/0", bytes(10 * MB))])
    start = data.rindex(b"PK\x01\x02")
    record = data[start : data.rindex(b"PK\x05\x06")]
    count = 9_900
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, count * len(record), start, 0)
    return data[:start] + record * count + end


def with_zip64(data: bytearray) -> None:
    """Adds an end of a zip64 that says that the directory has 2**62 bytes."""
    end = data.rindex(b"PK\x05\x06")
    record = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 1 << 62, 0)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, end, 1)
    data[end:end] = record + locator


def link_info() -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("saved_model.pb")
    info.external_attr = 0o120777 << 16
    return info


def windows_info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 0
    return info


_ENTRY, _LOCAL, _END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
ZIPS = (
    Attack("zip, name above", written("a.zip", lambda: zipped([("m/../../evil", b"")])), both, "leads outside"),
    Attack("zip, name of Windows", written("a.zip", lambda: zipped([(windows_info("..\\evil"), b"")])), both, "leads"),
    Attack("zip, link", written("a.zip", lambda: zipped([(link_info(), b"/etc/passwd")])), both, "is a link or"),
    Attack("zip bomb", written("a.zip", lambda: zipped([("saved_model.pb", bytes(400 * MB))])), both,
           _TOO_MUCH),
    Attack("overlapping zip", written("a.zip", overlapping), evaluate, _TOO_MUCH),
    Attack("zip, lie of zip64", zip_of(with_zip64), both, "not a whole .zip"),
    Attack("zip, encrypted", zip_of(put(_LOCAL, 6, "<H", 1), put(_ENTRY, 8, "<H", 1)), both, "is encrypted"),
    Attack("zip, wrong checksum", zip_of(put(_ENTRY, 16, "<L", 7)), both, "Bad CRC-32"),
    Attack("zip, other local name", zip_of(put(_LOCAL, 30, "<L", 7)), both, "differ"),
    Attack("zip, larger in its directory", zip_of(put(_ENTRY, 24, "<L", 2000 * MB)), both, _TOO_MUCH),
    Attack("zip, a bit larger in its directory", zip_of(put(_ENTRY, 24, "<L", 8)), both, "unexpected end of data"),
    Attack("zip, smaller in its directory", zip_of(put(_ENTRY, 24, "<L", 3)), both, "Bad CRC-32"),
    Attack("zip, place before the file", zip_of(put(_END, 16, "<L", 0xFFFFFF00)), both, "not a whole .zip"),
    Attack("zip, method 14", zip_of(put(_LOCAL, 8, "<H", 14), put(_ENTRY, 10, "<H", 14)), both,
           "is packed with method 14, expected a file that is stored or deflated"),
    Attack("zip, many entries", written("a.zip", lambda: zipped((str(number), b"") for number in range(20_000))), both,
           "it has more than 10,000 entries"),
    Attack("zip, huge directory", written("a.zip", lambda: zipped([("a", b"")]) + bytes(5 * MB)
           + struct.pack("<4s4H2LH", _END, 0, 0, 1, 1, 5 * MB, 0, 0)), both, "a directory of 5,000,000 bytes"),
    Attack("zip, comment", written("a.zip", lambda: zipped([("a", b"")])[:-2] + b"\xff\xff" + b"PK\x05\x06" * 16_383
           + b"abc"), both, "not a whole .zip|no saved_model.pb"),
    Attack("zip, control characters", written("a.zip", lambda: zipped([("\x1b[2J\u202e\n", b"")])), both, "no saved_"),
)  # fmt: skip


# Hubs and Imagenette --------------------------------------------------------------------------------------------------
DIGESTS = (
    Attack("tarball of a hub", of_tar(header(b"0", -1024)), tarball_digest, "an entry of negative size"),
    Attack("bomb in a hub", bomb(gzip.compress), tarball_digest, _TOO_MUCH),
)
ATTACKS = (*TARS, *COMPRESSED, *ZIPS, *DIGESTS)


# Fuzz -----------------------------------------------------------------------------------------------------------------
def model_archives(folder: Path, *packings: str) -> list[Path]:
    """Writes a small SavedModel, with a long name and a pax header, in each packing."""
    with tempfile.TemporaryDirectory() as scratch:
        model = write_graph(Path(scratch) / "model")
        (model / "assets").mkdir()
        (model / "assets" / ("long" * 40)).write_text("x")
        (model / "assets/link").symlink_to("long")
        for packing in packings:
            path = folder / f"model.{packing}"
            if packing == "zip":
                path.write_bytes(
                    zipped((str(f.relative_to(model)), f.read_bytes()) for f in sorted(model.rglob("*")) if f.is_file())
                )
                continue
            mode = {"tar": "w", "gnu.tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}[packing]
            form = tarfile.GNU_FORMAT if packing == "gnu.tar" else tarfile.PAX_FORMAT
            with tarfile.open(path, mode, format=form) as archive:  # type: ignore[call-overload]
                archive.add(model, "model")
    return [folder / f"model.{packing}" for packing in packings]


def read_and_unpack(path: Path) -> None:
    """Reads an archive as doctor does, and unpacks it as evaluate does."""
    read_files(path)
    with open_folder(path):
        pass


LONG_ATTACKS = (
    Attack("20,000 entries, unpacked", of_tar(entries(20_000)), evaluate, "it has more than 10,000 entries"),
    Attack("2,000,000 empty entries", written("evil.tar.gz", lambda: gzip.compress(header(b"0") * 4000) * 500),
           both, "it has more than 10,000 entries"),
    Attack("gzip members", written("evil.tar.gz", lambda: gzip.compress(b"") * 1_000_000), both, "holds no tar"),
)  # fmt: skip
FUZZES = (
    Fuzz("tar", lambda folder: model_archives(folder, "tar", "gnu.tar", "tar.gz", "tar.bz2"), read_and_unpack),
    Fuzz("zip", lambda folder: model_archives(folder, "zip"), read_and_unpack),
)
