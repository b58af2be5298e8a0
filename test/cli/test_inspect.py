"""inspect, on the files of a real store."""
import json
import pathlib

from harness import main, test


def fill(t):
    """Values long enough for the value log beside short ones, and deletions."""
    t.run("load", "-q", t.store, stdin=b"".join(
        b"%05d\t%s\n" % (i, b"long" * 600 if i % 100 == 0 else b"short %d" % i)
        for i in range(5000)))
    t.run("compact", t.store)
    t.run("put", t.store, "in the log", "tab\there")
    t.run("del", t.store, "00001")
    return sorted(p for p in pathlib.Path(t.store).iterdir() if p.stat().st_size > 0)


def objects(t, path, *options, status=0):
    out = t.run("inspect", "--json", *options, str(path), status=status).out
    return [json.loads(line) for line in out.splitlines()]


@test
def every_file_of_a_store_is_known_by_its_content(t):
    kinds = set()
    for path in fill(t):
        if path.name in ("LOCK", "LOG") or path.suffix == ".spare":
            continue
        alias = t.dir / "alias"
        alias.write_bytes(path.read_bytes())
        for name in (path, alias):
            t.true(t.run("inspect", str(name)).out.count(b"\n") > 1, name)
            kinds.add(objects(t, name)[1]["type"])
    t.true({"current", "MANIFEST", "table", "write-ahead log", "value log"} <= kinds, kinds)


@test
def tables_and_logs_show_what_was_written(t):
    files = fill(t)
    puts, refs = {}, 0
    for path in files:
        if path.suffix not in (".sst", ".wal"):
            continue
        for line in objects(t, path):
            if line.get("kind") == "put":
                puts[line["key"]] = line["value"]
            elif line.get("kind") == "ref":
                refs += 1
                t.equal(line["size"], 2400)
            elif line.get("kind") == "delete":
                puts.pop(line["key"], None)
    t.equal(puts["in the log"], "tab\there")
    t.equal(puts["04999"], "short 4999")
    t.equal((len(puts), refs), (4950, 50))


@test
def limit_and_keys_shorten_the_print(t):
    table = next(p for p in fill(t) if p.suffix == ".sst")
    lines = [line for line in objects(t, table, "--limit", "3", "--keys") if "kind" in line]
    t.equal(len(lines), 3)
    t.true(all("value" not in line for line in lines), lines)


@test
def damage_is_named_and_is_status_one(t):
    for path in fill(t):
        if path.suffix not in (".sst", ".val"):
            continue
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 4
        path.write_bytes(content)
        t.true(b"\ndamage: " in t.run("inspect", str(path), status=1).out, path)
        t.true(any("damage" in line for line in objects(t, path, status=1)))
        path.write_bytes(content[:len(content) // 3])
        t.true(b"\ndamage: " in t.run("inspect", str(path), status=1).out, path)


@test
def other_files_are_refused(t):
    t.fails("inspect", t.file("letter.txt", b"Dear colleague"), says=b"letter.txt")
    t.fails("inspect", t.file("empty", b""), says=b"empty")
    t.fails("inspect", str(t.dir), says=b"no plain file")
    t.fails("inspect", "nosuch", says=b"nosuch")
    t.equal(t.run("inspect", "nosuch", "nosuch2", status=2).err.count(b"\n"), 2)


main()
