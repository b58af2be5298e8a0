"""checkpoint, backup, restore."""
import json
import os
import pathlib
import signal
import subprocess
import time

from harness import VARVE, main, test


def fill(t, count=2000, first=0):
    t.run("load", "-q", t.store,
          stdin=b"".join(b"%06d\t%s\n" % (i, t.random.randbytes(100).hex().encode())
                         for i in range(first, first + count)))


def place(t, name):
    return str(pathlib.Path(t.store).parent / name)


@test
def checkpoint_makes_a_store_that_shows_the_same(t):
    fill(t)
    copy = place(t, "copy")
    t.equal(t.run("checkpoint", t.store, copy).out, b"")
    t.equal(t.run("dump", copy).out, t.run("dump", t.store).out)
    t.run("put", copy, "own", "1")
    t.equal(t.run("exists", t.store, "own", status=1).out, b"no\n")
    result = t.run("checkpoint", t.store, copy, status=2)
    t.true(b"there is a store" in result.err, result.err)
    other = place(t, "other")
    t.equal(json.loads(t.run("checkpoint", "--json", t.store, other).out)["path"], other)
    t.true(any(p.stat().st_nlink > 1 for p in pathlib.Path(other).iterdir()))


@test
def backups_are_made_listed_restored_and_purged(t):
    where = place(t, "backups")
    dumps = []
    for i in range(3):
        fill(t, first=i * 1000)
        dumps.append(t.run("dump", t.store).out)
        line = t.run("backup", t.store, where).out.decode()
        t.true(line.startswith(f"{i + 1}  ") and " new, store " in line, line)
    t.equal(t.run("backup", "-q", t.store, where).out, b"")
    result = t.run("backup", "--list", "--json", where)
    listed = [json.loads(line) for line in result.out.splitlines()]
    t.equal([b["id"] for b in listed], [1, 2, 3, 4])
    t.equal(listed[0]["copied_bytes"], listed[0]["bytes"])
    t.equal(listed[3]["sequence"], listed[2]["sequence"])
    t.equal(len(t.run("backup", "--list", where).out.splitlines()), 4)
    t.equal(t.run("backup", "--verify", where).out, b"no damage found\n")
    for i in range(3):
        back = place(t, f"back{i}")
        t.run("restore", where, "--id", str(i + 1), back)
        t.equal(t.run("dump", back).out, dumps[i])
        t.equal(t.run("check", back).out, b"no damage found\n")
    t.true(b"there is a store" in t.run("restore", where, place(t, "back0"), status=2).err)
    t.run("backup", "--purge", "1", where)
    t.equal(len(t.run("backup", "--list", where).out.splitlines()), 1)
    t.run("restore", where, "--id", "1", place(t, "none"), status=2)
    t.true(not os.path.exists(place(t, "none")))
    latest = place(t, "latest")
    t.equal(json.loads(t.run("restore", "--json", where, latest).out)["path"], latest)
    t.equal(t.run("dump", latest).out, dumps[2])


@test
def damage_is_named_by_verify_and_refused_by_restore(t):
    where = place(t, "backups")
    fill(t)
    t.run("backup", "-q", t.store, where)
    damaged = max((pathlib.Path(where) / "files").iterdir(), key=lambda p: p.stat().st_size)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    result = t.run("backup", "--verify", where, status=1)
    t.true(damaged.name.encode() in result.out and b"bytes from 0 to" in result.out, result.out)
    t.true(result.out.endswith(b"backups are damaged\n"), result.out)
    result = t.run("backup", "--verify", "--json", where, status=1)
    lines = [json.loads(line) for line in result.out.splitlines()]
    t.true(damaged.name in lines[0]["damage"] and lines[-1]["result"] == "damaged", lines)
    result = t.run("restore", where, place(t, "back"), status=2)
    t.true(damaged.name.encode() in result.err, result.err)
    t.true(not os.path.exists(place(t, "back")))


@test
def a_backup_that_is_killed_is_not_there_and_the_next_one_is(t):
    where = place(t, "backups")
    fill(t, 60000)
    dump = t.run("dump", t.store).out
    for i in range(12):
        process = subprocess.Popen([VARVE, "backup", "-q", t.store, where],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(0.025 * i)
        process.send_signal(signal.SIGKILL)
        process.wait()
        if not os.path.isdir(where):
            continue
        t.run("backup", "--verify", "-q", where)
    count = len(t.run("backup", "--list", where).out.splitlines()) if os.path.isdir(where) else 0
    t.run("backup", "-q", t.store, where)
    t.equal(len(t.run("backup", "--list", where).out.splitlines()), count + 1)
    t.true(not [p for p in pathlib.Path(where).rglob("*.tmp")])
    t.run("restore", where, place(t, "back"))
    t.equal(t.run("dump", place(t, "back")).out, dump)


@test
def words_that_do_not_fit_are_refused(t):
    fill(t, 10)
    where = place(t, "backups")
    t.run("backup", t.store, status=2)
    t.run("backup", "--list", t.store, where, status=2)
    t.run("backup", "--list", "--verify", where, status=2)
    t.run("backup", "--id", "1", t.store, where, status=2)
    t.run("backup", "--purge", "0", where, status=2)
    t.run("backup", "--list", where, status=2)
    t.run("restore", where, status=2)
    t.true(b"no directory of backups" in t.run("backup", t.store, t.store, status=2).err)


main()
