"""doc/FORMATS.md against the code: a reader written from the page reads what the command writes."""
import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "cli")]

import read_table  # noqa: E402
from coding import PUT, REF, Corrupt, Unsupported  # noqa: E402
from harness import main, test  # noqa: E402
from read_log import WAL, Log, read_batch  # noqa: E402
from read_store import Store, dump, escape  # noqa: E402
from xxh3 import xxh3_64  # noqa: E402

PAGE = HERE.parent.parent / "doc" / "FORMATS.md"
SMALL = "memory_budget=4MiB"


def line(key, value):
    return f"{escape(key)}\t{escape(value)}\n".encode()


def load(t, pairs, *options):
    t.run("load", "-q", "-o", SMALL, *options, t.store,
          stdin=b"".join(line(key, value) for key, value in pairs))


def agree(t, path=None):
    """Both readers see the same; gives ours."""
    store = Store(path or t.store)
    t.equal(dump(store), t.run("dump", "-q", path or t.store).out)
    return store


def verdict(t, path):
    """What both readers make of a store that may be damaged: (ours, theirs), None for damage."""
    try:
        ours = dump(Store(path))
    except Corrupt:
        ours = None
    result = t.run("dump", "-q", path, status=None)
    t.true(result.status in (0, 2), result)
    return ours, result.out if result.status == 0 else None


def killed(t, lines, *options):
    """The shell does these lines, one after the other, and is killed."""
    child = t.start("shell", "-o", SMALL, *options, t.store)
    for each in lines:
        child.stdin.write(each + b"\n")
        child.stdin.flush()
        answer = child.stdout.readline()
        t.true(answer.startswith(b"OK"), answer)
    child.kill()
    child.communicate()


def copy_of(t, name="copy"):
    path = str(t.dir / name)
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(t.store, path)
    return path


def text_of(t, size):
    """Compressible, and never the same."""
    words = [b"%x" % t.random.randrange(4096) for _ in range(64)]
    out = b" ".join(t.random.choice(words) for _ in range(size // 3 + 1))
    return out[:size]


# ---- the page

def examples():
    """The bytes of the page's dumps, by file name."""
    found = {}
    text = PAGE.read_text(encoding="utf-8")
    for name, block in re.findall(r"^```hex (\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        rows = [row[10:58].split("  ")[0] for row in block.splitlines()]
        found[name] = bytes.fromhex("".join(rows))
    return found, re.search(r"^(MANIFEST-\d+ [0-9a-f]{16}\n)", text, re.MULTILINE)[1].encode()


def store_of(t, name, files):
    path = t.dir / name
    path.mkdir()
    for file, content in files.items():
        (path / file).write_bytes(content)
    return str(path)


@test
def the_hash_is_xxh3(t):
    seed = 0x9e3779b97f4a7c15
    data = bytes((i * 131 + (i >> 8) * 7 + 1) & 255 for i in range(5000))
    for size, wanted in {
            0: 0x602b0e2cd6662c8b, 1: 0x439a256d3da4e7e3, 3: 0x99d9ea36c463c733,
            4: 0x1948b589dbf9e507, 8: 0x2ccb998b413abf78, 9: 0xdf3ada062b6f2b8c,
            16: 0x2ef96b4375b5d3b8, 17: 0x0f7ee965385416a1, 128: 0x328ac7a12c397226,
            129: 0xcfe6ce35d2c2d63e, 240: 0xe3debc6cb67ef8a3, 241: 0x287e18f35ad4b1da,
            1024: 0x771d6413c7634cc2, 1025: 0xd39ad5049f9f0c33, 4974: 0xd0c89333bd292f87}.items():
        t.equal(xxh3_64(data[:size], seed), wanted)


@test
def the_examples_on_the_page_are_a_store(t):
    files, current = examples()
    t.equal({name: len(content) for name, content in files.items()},
            {"000001.wal": 176, "MANIFEST-000002": 240, "000004.sst": 576})
    wanted = b"banana\tyellow\ncherry\tred\n"

    log = files.pop("000001.wal")
    ours = Log(log, "000001.wal", WAL, 1)
    t.equal([(kind, key, value) for record in ours.records
             for _, kind, key, value in read_batch(record, ours.name)],
            [(PUT, b"\0apple", b"red"), (PUT, b"\0banana", b"yellow"), (0, b"\0apple", b""),
             (PUT, b"\0cherry", b"red")])
    path = store_of(t, "table", {**files, "CURRENT": current})
    t.equal(dump(agree(t, path)), wanted)

    files["MANIFEST-000002"] = files["MANIFEST-000002"][:168]
    path = store_of(t, "log", {**files, "CURRENT": current, "000001.wal": log})
    t.equal(dump(agree(t, path)), wanted)


@test
def without_current_the_highest_manifest_is_in_force(t):
    files, _ = examples()
    path = store_of(t, "table", files)
    t.equal(dump(agree(t, path)), b"banana\tyellow\ncherry\tred\n")


# ---- stores of all kinds

@test
def values_of_every_size_read_back(t):
    sizes = [0, 1, 255, 256, 1023, 1024, 4095, 4096, 65535, 65536, 102400]
    pairs = [(b"%03d" % i, t.random.randbytes(size)) for i, size in enumerate(sizes * 2)]
    pairs += [(b"", b"of the empty key"), (b"\xff" * 65536, b"of the longest key"),
              (b"k" * 65536, t.random.randbytes(9000)), (b"tab\t\\\n\r\x00\x7f", "Füße \t".encode())]
    load(t, pairs)
    store = agree(t)
    t.true(store.values and not store.tables)
    t.run("compact", "-q", t.store)
    store = agree(t)
    t.true(store.values and store.tables)
    t.equal(len(store.newest()), len(pairs))


@test
def levels_are_read_newest_first(t):
    old = [(b"key%05d" % i, b"old %d" % i) for i in range(4000)]
    load(t, old, "-o", "compression=none")
    t.run("compact", "-q", "-o", "compression=none", t.store)
    for _ in range(20):  # until one is caught before it is merged down
        killed(t, [b"begin"] + [b"put key%05d new" % i for i in range(0, 4000, 16)] +
               [b"del key%05d" % i for i in range(0, 4000, 64)] + [b"commit", b"flush"])
        store = agree(t)
        if len({table["level"] for table in store.state.tables.values()}) > 1:
            break
    t.equal({table["level"] for table in store.state.tables.values()}, {0, 6})
    t.run("put", t.store, "key00001", "newest")
    t.run("del", t.store, "key00002", "key00016")
    t.true(any(log.records for log in agree(t).logs))
    t.equal({filter_ for table in store.tables for filter_ in table.filters}, {1, 2})
    t.equal({codec for table in store.tables for codec in table.codecs}, {0})


@test
def tables_of_many_partitions_read_back(t):
    load(t, [(b"%08x" % t.random.getrandbits(32), t.random.randbytes(t.random.randrange(200)))
             for _ in range(16000)], "-o", "compression=none", "-d", "none")
    t.run("compact", "-q", "-o", "compression=none", t.store)
    store = agree(t)
    t.true(max(table.properties[9] for table in store.tables) > 300)


@test
def large_values_in_blocks_read_back(t):
    """Without a value log all stands in the tables: wide offsets, and blocks of one entry."""
    options = ("-o", "value_log_min=4294967295", "-o", "compression=lz4")
    load(t, [(b"k" * (5000 * i), text_of(t, size))
             for i, size in enumerate([70000, 3, 0, 100000, 4000, 4001, 1] * 2)], *options)
    t.run("compact", "-q", *options, t.store)
    store = agree(t)
    t.true(not store.values)
    flags = {f for table in store.tables for f in table.block_flags}
    t.true(any(flag & read_table.WIDE_SUFFIX for flag in flags), flags)


@test
def lz4_blocks_and_collected_values_read_back(t):
    options = ("-o", "compression=lz4")
    names = [b"row%04d" % i for i in range(1500)]
    load(t, [(name, text_of(t, 60 if i % 5 else 6000)) for i, name in enumerate(names)], *options)
    t.run("compact", "-q", *options, t.store)
    before = agree(t)
    t.true(any(1 in table.codecs for table in before.tables))
    load(t, [(name, b"short") for i, name in enumerate(names) if i % 10 == 0], *options)
    for _ in range(20):  # collection is background work: a close may come before it
        t.run("compact", "-q", *options, t.store)
        store = Store(t.store)
        if any(file.map for file in store.values):
            break
    agree(t)
    t.true(any(file.map for file in store.values), [file.meta for file in store.values])
    t.true(any(entry[2] == REF for entry in store.entries))


@test
def zstd_blocks_read_back(t):
    load(t, [(b"%05d" % i, text_of(t, 80)) for i in range(2000)], "-o", "compression=zstd")
    t.run("compact", "-q", "-o", "compression=zstd", t.store)
    try:
        store = agree(t)
    except Unsupported as reason:
        print(f"left out: {reason}")
        return
    t.true(any(2 in table.codecs for table in store.tables))


# ---- logs

@test
def a_killed_store_reads_back(t):
    big = b"v" * 5000
    killed(t, [b"put a 1", b"put b 2", b"begin", b"put c 3", b"del a", b"put big " + big, b"commit",
               b"flush", b"put d 4", b"put big2 " + big, b"del b"])
    store = agree(t)
    t.equal(dict(store.newest()), {b"big": big, b"big2": big, b"c": b"3", b"d": b"4"})
    t.run("put", t.store, "e", "5")
    agree(t)


@test
def recycled_logs_show_nothing_of_their_past(t):
    """Logs taken over from spares hold old records behind the new ones."""
    load(t, [(b"%06d" % i, t.random.randbytes(990)) for i in range(4000)], "-o",
         "compression=none", "-d", "none")
    t.run("compact", "-q", "-o", "compression=none", t.store)
    lines = []
    for round_ in range(8):
        lines += [b"put round%d-%02d " % (round_, i) + b"%x" % t.random.getrandbits(8000)
                  for i in range(40)]
        lines.append(b"flush")
    killed(t, lines + [b"put last one", b"del round7-00"], "-d", "disk")
    store = agree(t)
    t.true(any(log.head.stale_end > log.end and any(log.data[log.end:]) for log in store.logs),
           [log.head for log in store.logs])


@test
def a_torn_log_is_read_alike(t):
    killed(t, [b"put k%d v%s" % (i, b"v" * (i * 37 % 100)) for i in range(12)] +
           [b"put big " + b"x" * 5000, b"put z last"])
    name = max(p.name for p in pathlib.Path(t.store).glob("*.wal"))
    whole = (pathlib.Path(t.store) / name).read_bytes()
    seen = set()
    for end in range(0, len(whole), 97):
        path = pathlib.Path(copy_of(t))
        (path / name).write_bytes(whole[:end])
        ours, theirs = verdict(t, str(path))
        t.equal(ours, theirs)
        seen.add(ours)
    t.true(len(seen) > 5, len(seen))


@test
def a_damaged_log_is_judged_alike(t):
    killed(t, [b"put k%d %d" % (i, i) for i in range(6)] +
           [b"sync", b"put m 1", b"put n 2", b"put o 3"])
    name = max(p.name for p in pathlib.Path(t.store).glob("*.wal"))
    whole = (pathlib.Path(t.store) / name).read_bytes()
    verdicts = set()
    for at in range(0, len(whole), 7):
        path = pathlib.Path(copy_of(t))
        damaged = bytearray(whole)
        damaged[at] ^= 1 << t.random.randrange(8)
        (path / name).write_bytes(damaged)
        ours, theirs = verdict(t, str(path))
        t.equal(ours, theirs)
        verdicts.add(ours is None)
    t.equal(verdicts, {True, False})


@test
def damage_is_never_read_as_data(t):
    options = ("-o", "compression=lz4")
    load(t, [(b"%04d" % i, text_of(t, 60 if i % 50 else 5000)) for i in range(600)], *options)
    t.run("compact", "-q", *options, t.store)
    wanted = dump(agree(t))
    for file in sorted(pathlib.Path(t.store).iterdir()):
        whole = file.read_bytes()
        for _ in range(8 if whole else 0):
            damaged = bytearray(whole)
            damaged[t.random.randrange(len(whole))] ^= 1 << t.random.randrange(8)
            path = pathlib.Path(copy_of(t))
            (path / file.name).write_bytes(damaged)
            ours, theirs = verdict(t, str(path))
            t.true(ours in (None, wanted), file.name)
            t.true(theirs in (None, wanted), file.name)


main()
