"""stat, compact, check, repair, destroy."""
import json
import os
import pathlib
import subprocess
import signal
import re

from harness import VARVE, main, test


def fill(t, count=3000):
    t.run("load", "-q", t.store,
          stdin=b"".join(b"%06d\t%s\n" % (i, t.random.randbytes(50).hex().encode())
                         for i in range(count)))


def snapshot(path):
    return {str(p.relative_to(path)): p.read_bytes() for p in pathlib.Path(path).rglob("*")
            if p.is_file()}


def names(path, text):
    """Whether the text tells which file it means, by name or by number."""
    return path.name in text or re.search(rf"\b0*{int(path.stem)}\b.* offset \d", text)


@test
def stat_prints_text_json_and_levels(t):
    fill(t)
    lines = [line.split() for line in t.run("stat", t.store).out.decode().splitlines()]
    t.true(["entries", "3,000", "about"] in lines, lines)
    t.true(not any(line[-1] == "0" for line in lines), lines)
    t.true("keys_estimate" in json.loads(t.run("stat", "--json", t.store).out))
    levels = [line.split() for line in t.run("stat", "--levels", t.store).out.splitlines()]
    t.equal([line[-1] for line in levels if line[0] == b"mem"], [b"3000"])


@test
def stat_watches_a_store_that_grows(t):
    t.run("put", t.store, "a", "1")
    child = subprocess.Popen([VARVE, "stat", "--watch", t.store], stdout=subprocess.PIPE)
    changes = []
    try:
        for line in child.stdout:
            words = line.split()
            if words[:2] == [b"changes", b"so"]:
                changes.append(int(words[-1]))
                if changes[-1] > changes[0] or len(changes) > 30:
                    break
                t.run("put", t.store, "b", "2")
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=60)
    finally:
        child.kill()
    t.true(changes[-1] > changes[0], changes)
    t.equal(child.returncode, 0)


@test
def compact_keeps_what_is_there(t):
    fill(t)
    fill(t)
    before = t.run("dump", t.store).out
    result = t.run("compact", t.store)
    t.true(b"on disk before" in result.out, result.out)
    t.equal(result.err, b"")
    t.equal(t.run("dump", t.store).out, before)
    t.true("disk_bytes_after" in json.loads(t.run("compact", "--json", t.store).out))


@test
def check_says_that_all_is_well_and_changes_nothing(t):
    fill(t)
    t.run("compact", t.store)
    before = snapshot(t.store)
    t.true(t.run("check", t.store).out.endswith(b"no damage found\n"))
    t.equal(json.loads(t.run("check", "--json", t.store).out)["result"], "ok")
    t.equal(t.run("check", "-q", t.store).out, b"")
    t.equal(snapshot(t.store), before)


@test
def check_finds_damage_and_repair_keeps_the_rest(t):
    fill(t, 30000)
    t.run("compact", t.store)
    tables = sorted(pathlib.Path(t.store).glob("*.sst"), key=lambda p: p.stat().st_size)
    t.true(tables, os.listdir(t.store))
    table = tables[-1]
    content = bytearray(table.read_bytes())
    content[len(content) // 3] ^= 0x10
    table.write_bytes(content)

    result = t.run("check", t.store, status=1)
    t.true(names(table, result.out.decode()), result.out)
    t.true(result.out.endswith(b"the store is damaged\n"), result.out)
    found = json.loads(t.run("check", "--json", t.store, status=1).out)
    t.equal(found["result"], "damaged")
    t.true(any(names(table, line) for line in found["report"]), found)

    result = t.run("repair", t.store)
    t.true(result.out.endswith(b"the store is usable\n"), result.out)
    t.true(t.run("check", t.store).out.endswith(b"no damage found\n"))
    t.run("count", t.store)


@test
def destroy_removes_the_store_and_nothing_else(t):
    fill(t, 10)
    t.run("destroy", "--force", t.store)
    t.missing(t.store)
    fill(t, 10)
    letter = t.file("store/letter.txt", b"mine")
    t.run("destroy", "-f", t.store, status=None)
    t.equal(pathlib.Path(letter).read_bytes(), b"mine")


@test
def destroy_refuses_what_is_no_store(t):
    os.mkdir(t.store)
    t.file("store/letter.txt", b"mine")
    t.fails("destroy", "--force", t.store)
    t.equal(os.listdir(t.store), ["letter.txt"])

@test
def a_log_damaged_after_an_orderly_close_is_reported_never_shortened(t):
    fill(t)
    log = max(pathlib.Path(t.store).glob("*.wal"), key=lambda p: p.stat().st_size)
    whole = log.read_bytes()
    dump = t.run("dump", t.store).out
    for damaged in (whole[:5000] + bytes([whole[5000] ^ 1]) + whole[5001:],  # one bit
                    whole[:-8], whole[:len(whole) // 2], whole[:50], b""):
        log.write_bytes(damaged)
        result = t.run("dump", t.store, status=None)
        t.equal((result.status, len(damaged)), (2, len(damaged)))
        t.true(log.name.encode() in result.err, result.err)
        t.true(t.run("check", t.store, status=None).status in (1, 2))
    log.write_bytes(whole)
    t.equal(t.run("dump", t.store).out, dump)


main()
