"""Stores of every release: today's command reads them, and refuses what comes after it.

make_golden.py has made the stores; what they hold stands beside them.
"""
import pathlib
import shutil
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "formats"), str(HERE.parent / "cli")]

from coding import Unsupported, mix  # noqa: E402
from harness import main, test  # noqa: E402
from read_store import Store, dump  # noqa: E402
from xxh3 import checksum, xxh3_64  # noqa: E402

STORES = ("v1-killed", "v1-compacted")


def copy_of(t, name):
    path = t.dir / name
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(HERE / name, path)
    return path


def wanted(name):
    return (HERE / f"{name}.tsv").read_bytes()


def state_of(path):
    return {file.name: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.iterdir()}


def the(path, pattern):
    """The newest file of this form."""
    return max(path.glob(pattern))


# ---- changing a file so that all its checks hold

def change_head(path, at, content):
    raw = bytearray(path.read_bytes())
    raw[at:at + len(content)] = content
    raw[92:96] = struct.pack("<I", checksum(raw[:92]))
    path.write_bytes(raw)


def change_record(path, at, content):
    """Bytes of the first record; its size stays."""
    raw = bytearray(path.read_bytes())
    raw[96 + at:96 + at + len(content)] = content
    size, key_size = struct.unpack_from("<I", raw, 100)[0], struct.unpack_from("<H", raw, 106)[0]
    key, body = raw[120:120 + key_size], raw[120 + key_size:120 + size]
    body_hash = xxh3_64(bytes(body), xxh3_64(bytes(key)) if key else 0)
    salt = struct.unpack_from("<I", raw, 12)[0]
    raw[96:100] = struct.pack("<I", checksum(bytes(raw[100:120]) +
                                             struct.pack("<QQ", body_hash, 96), salt))
    path.write_bytes(raw)


def change_footer(path, at, content):
    raw = bytearray(path.read_bytes())
    footer = len(raw) - 128
    raw[footer + at:footer + at + len(content)] = content
    raw[-4:] = struct.pack("<I", checksum(bytes(raw[footer:-4]), len(raw)))
    path.write_bytes(raw)


def change_top_block(path, at, content):
    """Bytes of the top index's trailer."""
    raw = bytearray(path.read_bytes())
    number, uuid = struct.unpack_from("<Q16s", raw, len(raw) - 112)
    offset, size = struct.unpack_from("<QI", raw, len(raw) - 80)
    end = offset + size
    raw[end - 12 + at:end - 12 + at + len(content)] = content
    seed = xxh3_64(uuid, number) ^ mix(offset + 1)
    raw[end - 4:end] = struct.pack("<I", checksum(bytes(raw[offset:end - 4]), seed))
    path.write_bytes(raw)


def unsupported(t, path):
    """Both readers say that a newer version wrote this, not that it is damaged."""
    t.true(b"does not know" in t.run("dump", "-q", str(path), status=2).err)
    try:
        Store(path)
    except Unsupported:
        return
    t.true(False, "read")


def refused(t, path, *commands):
    """Each ends with status 2 and changes nothing."""
    before = state_of(path)
    for command, *operands in commands:
        t.fails(command, *(["-q"] if command in ("dump", "compact") else []), str(path), *operands)
        t.equal(state_of(path), before)


ANY = (("dump",), ("get", "last"), ("put", "k", "v"), ("del", "last"), ("compact",))
READING = (("dump",), ("get", "last"))


# ---- the past

@test
def golden_stores_say_what_they_always_said(t):
    for name in STORES:
        path = copy_of(t, name)
        t.equal(t.run("dump", "-q", str(path)).out, wanted(name))
        t.equal(dump(Store(path)), wanted(name))


@test
def reading_leaves_a_golden_store_as_it_is(t):
    for name in STORES:
        path = copy_of(t, name)
        before = state_of(path)
        t.run("dump", "-q", str(path))
        t.run("get", str(path), "value/1", status=None)
        t.run("count", str(path))
        t.run("stat", str(path))
        t.equal(state_of(path), before)


@test
def golden_stores_can_be_written_to(t):
    for name in STORES:
        path = copy_of(t, name)
        t.run("put", str(path), "zz new", "value")
        t.equal(t.run("dump", "-q", str(path)).out, wanted(name) + b"zz new\tvalue\n")
        t.run("del", str(path), "zz new")
        t.run("compact", "-q", str(path))
        t.equal(t.run("dump", "-q", str(path)).out, wanted(name))
        t.run("check", str(path))


# ---- the future

@test
def a_newer_store_format_is_refused(t):
    for name in STORES:
        path = copy_of(t, name)
        # the first record's body begins with tag 1, its size, the version
        change_record(the(path, "MANIFEST-*"), 26, b"\x02")
        refused(t, path, *ANY)


@test
def a_store_that_needs_an_unknown_feature_is_refused(t):
    for name in STORES:
        for bits in (b"\x01", b"\x40"):
            path = copy_of(t, name)
            # the last of tag 1: version, uuid, engine and order of keys stand before it
            change_record(the(path, "MANIFEST-*"), 24 + 2 + 1 + 16 + 4 + 9, bits)
            refused(t, path, *ANY)


@test
def an_unknown_edit_tag_is_refused(t):
    for name in STORES:
        path = copy_of(t, name)
        manifest = the(path, "MANIFEST-*")
        raw = manifest.read_bytes()
        size = struct.unpack_from("<I", raw, 100)[0]
        snapshot = raw.rindex(b"\x0e\x00", 0, 120 + size)  # tag 14, empty
        change_record(manifest, snapshot - 96, b"\x3f")
        refused(t, path, *ANY)


@test
def a_newer_log_is_refused(t):
    for name in STORES:
        for pattern in ("MANIFEST-*", "*.wal"):
            for at, content in ((8, b"\x02"), (10, b"\x05"), (72, b"\x01"), (75, b"\x80")):
                path = copy_of(t, name)
                change_head(the(path, pattern), at, content)
                refused(t, path, *ANY)


@test
def a_newer_value_file_is_refused_by_who_reads_it(t):
    for name in STORES:
        for at, content in ((8, b"\x02"), (72, b"\x01")):
            path = copy_of(t, name)
            change_head(the(path, "*.val"), at, content)
            refused(t, path, *READING)


@test
def a_record_of_an_unknown_type_is_refused(t):
    path = copy_of(t, "v1-killed")
    change_record(the(path, "*.wal"), 8, b"\x0a")
    refused(t, path, *ANY)


@test
def an_operation_of_an_unknown_kind_is_refused(t):
    for kind in (b"\x0e", b"\x0f", b"\x11"):
        path = copy_of(t, "v1-killed")
        change_record(the(path, "*.wal"), 24, kind)
        refused(t, path, *ANY)
        unsupported(t, path)


@test
def an_unknown_codec_or_role_is_refused_by_who_reads_it(t):
    for name in STORES:
        for at, content in ((4, b"\x03"), (5, b"\x08"), (5, b"\x00"), (6, b"\x01")):
            path = copy_of(t, name)
            change_top_block(the(path, "*.sst"), at, content)
            refused(t, path, *READING)
            unsupported(t, path)


@test
def a_newer_table_is_refused_by_who_reads_it(t):
    for name in STORES:
        for at, content in ((8, b"\x02"), (12, b"\x01"), (15, b"\x80")):
            path = copy_of(t, name)
            change_footer(the(path, "*.sst"), at, content)
            refused(t, path, *READING)


@test
def reserved_bytes_of_a_table_are_ignored(t):
    for name in STORES:
        path = copy_of(t, name)
        for at in (84, 116):
            change_footer(the(path, "*.sst"), at, b"reserved")
        t.equal(t.run("dump", "-q", str(path)).out, wanted(name))
        t.equal(dump(Store(path)), wanted(name))


@test
def reserved_bytes_of_a_log_are_ignored(t):
    for name in STORES:
        path = copy_of(t, name)
        for pattern in ("MANIFEST-*", "*.wal", "*.val"):
            change_head(the(path, pattern), 84, b"reserved")
        t.equal(t.run("dump", "-q", str(path)).out, wanted(name))
        t.equal(dump(Store(path)), wanted(name))


main()
