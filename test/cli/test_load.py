"""load and dump: formats, round trips, bad lines, signals."""
import csv
import io
import itertools
import json
import os
import re
import resource
import signal
import subprocess
import time

from harness import VARVE, main, test

FORMATS = ["tsv", "jsonl", "csv"]
NASTY = [b"", b"\t", b"\n", b"\r", b"\r\n", b"\\", b"\\x41", b"\0", b"\x7f", b'"', b'""', b",", b" ",
         b"\xef\xbb\xbf", b"\xef\xbb\xbfkey", b"\xff\xfe", "é\u2028🙂".encode(), b"\xed\xa0\x80",
         b"'", b"{}", b"-", b"#", b"a,b\r\nc", b'"quoted"', bytes(range(256))]


def put_all(t, store, entries):
    """Through the shell, which shares no reader with load."""
    script = b"".join(b'put "%s" "%s"\n' % (hexed(k), hexed(v)) for k, v in entries.items())
    result = t.run("shell", store, stdin=script)
    t.equal(result.out, b"OK\n" * len(entries))


def hexed(raw):
    return b"".join(b"\\x%02x" % byte for byte in raw)


@test
def what_dump_writes_load_reads_to_the_byte(t):
    entries = {key: t.random.choice(NASTY) for key in NASTY}
    for _ in range(500):
        entries[t.bytes(40)] = t.random.choice([t.bytes(300), t.random.choice(NASTY)])
    put_all(t, t.store, entries)
    plain = t.run("dump", t.store).out
    t.equal(plain.count(b"\n"), len(entries))
    for name in FORMATS:
        dump = t.run("dump", t.store, "--format", name).out
        copy = str(t.dir / name)
        t.run("load", "-q", copy, "-f", name, stdin=dump)
        t.equal(t.run("dump", copy).out, plain)
    found = {}
    for line in plain.splitlines():
        key, value = line.split(b"\t")
        found[unescaped(key)] = unescaped(value)
    t.equal(found, entries)


def unescaped(text):
    meanings = {b"n": b"\n", b"t": b"\t", b"\\": b"\\"}
    out, at = b"", 0
    while at < len(text):
        if text[at:at + 1] != b"\\":
            out, at = out + text[at:at + 1], at + 1
        elif text[at + 1:at + 2] == b"x":
            out, at = out + bytes.fromhex(text[at + 2:at + 4].decode()), at + 4
        else:
            out, at = out + meanings[text[at + 1:at + 2]], at + 2
    return out


@test
def each_first_byte_survives_as_the_only_entry(t):
    for name in FORMATS:
        for key in NASTY:
            store, copy = str(t.dir / "one"), str(t.dir / "two")
            put_all(t, store, {key: b""})
            t.run("load", "-q", copy, "-f", name, stdin=t.run("dump", store, "-f", name).out)
            t.equal(t.run("dump", copy).out, t.run("dump", store).out)
            t.run("destroy", "-f", store)
            t.run("destroy", "-f", copy)


@test
def csv_is_what_others_read_and_write(t):
    rows = [[f"k{i:03}", t.random.choice(["plain", "a,b", 'say "x"', "two\nlines", "", " é "])]
            for i in range(100)]
    text = io.StringIO()
    csv.writer(text).writerows(rows)              # with CR LF at the ends
    t.run("load", t.store, "-f", "csv", stdin=text.getvalue().encode())
    dump = t.run("dump", t.store, "-f", "csv").out.decode()
    t.equal(list(csv.reader(io.StringIO(dump, newline=""))), rows)


@test
def csv_columns_can_be_named(t):
    table = b'\xef\xbb\xbfid,"the name",age\r\n7,Ann,44\r\n\r\n9,"Bob ""B"" Bee",\r\n'
    path = t.file("people.csv", table)
    t.run("load", t.store, path, "-f", "csv", "--key-column", "the name", "--value-column", "id")
    t.equal(t.run("scan", t.store).out, b'Ann\t7\nBob "B" Bee\t9\n')
    t.fails("load", t.store, path, "-f", "csv", "--key-column", "x", "--value-column", "id",
            says=b"people.csv:1: ")
    t.fails("load", t.store, path, "-f", "csv", "--key-column", "id", says=b"--value-column")
    t.fails("load", t.store, path, "--key-column", "id", "--value-column", "id", says=b"csv")


@test
def jsonl_reads_what_json_writes(t):
    entries = {}
    for i in range(300):
        key = "".join(t.random.choice('aé"\\\n\t\0/🙂\u2028') for _ in range(i % 9)) + str(i)
        entries[key] = t.random.choice(["", "x" * 5000, "\x7f\x1f", key])
    text = "".join(json.dumps({"other": [1, {"a": "}"}, None], "value": v, "key": k},
                              ensure_ascii=t.random.random() < 0.5) + "\n"
                   for k, v in entries.items())
    t.run("load", t.store, "--format", "jsonl", stdin=text.encode())
    found = {}
    for line in t.run("dump", t.store, "-f", "jsonl").out.splitlines():
        entry = json.loads(line)
        found[entry["key"]] = entry["value"]
    t.equal(found, entries)


BAD = {
    "tsv": [b"no tab here", b"a\\qb\tc", b"a\tb\\", b"a\t\\x4", b"", b"a\t\\xzz"],
    "csv": [b"one", b'"a"b,c', b'a"b,c', b'"a,b'],
    "jsonl": [b"1", b"[]", b"{}", b'{"key":"a"}', b'{"value":"a"}', b'{"key":1,"value":"a"}',
              b'{"key":"a","value":"b"', b'{"key":"a","value":"b"} x', b'{"key":"\\ud800","value":"b"}',
              b'{"key":"\\x41","value":"b"}', b'{"key":"\xff","value":"b"}',
              b'{"key_base64":"abc","value":"b"}', b'{"key_base64":"a===","value":"b"}',
              b'{"key":"a" "value":"b"}', b'{"key":"a","value":"b","c":[1}', b'{"key":"a","value":"b',
              b'{"key":"a","value":"b","c":}', b'{"a":"b', b'{"key":"a\tb","value":"b"}'],
}


@test
def a_bad_line_is_named_and_its_batch_is_not_stored(t):
    good = {"tsv": b"k\tv", "csv": b"k,v", "jsonl": b'{"key":"k","value":"v"}'}
    for name in FORMATS:
        for bad in BAD[name]:
            path = t.file("input." + name, good[name] + b"\n" + bad + b"\n")
            t.fails("load", t.store, "-f", name, path, says=f"input.{name}:2: ".encode())
            t.equal(t.run("count", t.store).out, b"0\n")


@test
def a_bad_line_far_on_leaves_whole_batches(t):
    lines = [b"%07d\t%s" % (i, b"v" * 100) for i in range(50000)]
    lines[45000] = b"bad"
    path = t.file("big.tsv", b"\n".join(lines) + b"\n")
    error = t.fails("load", t.store, path, says=b"big.tsv:45001: ").err
    count = int(t.run("count", t.store).out)
    t.true(0 < count < 45000, count)
    t.true(f" {count} entries stored".encode() in error, error)
    t.equal(t.run("scan", t.store, "-r", "-n", "1", "-k").out, b"%07d\n" % (count - 1))


@test
def bad_lines_can_be_left_out_and_are_counted(t):
    lines = [b"bad" if i % 3 == 0 else b"%03d\tv" % i for i in range(90)]
    result = t.run("load", "--skip-errors", t.store, stdin=b"\n".join(lines))
    t.true(b"30 bad lines left out" in result.out, result.out)
    t.true(b"standard input:1: " in result.err, result.err)
    t.true(result.err.count(b"\n") <= 12, result.err)
    t.equal(t.run("count", t.store).out, b"60\n")
    t.run("load", "--skip-errors", t.store, stdin=b"k" * 65537 + b"\tv\nok\tv\n")
    t.equal(t.run("count", t.store).out, b"61\n")


@test
def a_tab_in_the_value_may_stand_bare(t):
    t.run("load", t.store, stdin=b"k\ta\tb\n")
    t.equal(t.run("get", t.store, "k").out, b"a\tb")


@test
def lines_without_a_tab_may_be_keys(t):
    t.run("load", "--keys-only", t.store, stdin=b"a\nb\t1\n\nc")
    t.equal(t.run("scan", t.store).out, b"\t\na\t\nb\t1\nc\t\n")
    t.equal(t.run("scan", t.store, "-k").out, b"\na\nb\nc\n")


@test
def several_files_and_stdin_load_in_turn(t):
    one, two = t.file("one", b"a\t1\nb\t1\n"), t.file("two", b"b\t2\nc\t2")
    t.run("load", t.store, one, "-", two, stdin=b"b\t0\nd\t0\n")
    t.equal(t.run("scan", t.store).out, b"a\t1\nb\t2\nc\t2\nd\t0\n")
    report = json.loads(t.run("load", "--json", t.store, one).out)
    t.equal((report["entries"], report["bytes"], report["skipped"]), (2, 4, 0))


@test
def what_cannot_be_loaded_makes_no_store(t):
    good = t.file("good", b"a\t1\n")
    t.fails("load", t.store, good, "nosuch.tsv", says=b"nosuch.tsv")
    t.fails("load", t.store, good, "--format", "xml", says=b"xml")
    t.missing(t.store)


@test
def long_lines_load_whole(t):
    value = bytes(t.random.choices(b"abc \\\t\n\0\xff", k=3_000_000))
    for name in FORMATS:
        t.run("put", t.store, "long", stdin=value)
        dump = t.run("dump", t.store, "-f", name).out
        t.run("load", t.store + name, "-f", name, stdin=dump)
        t.equal(t.run("get", t.store + name, "long").out, value)


@test
def an_interrupt_ends_between_batches(t):
    child = t.start("load", t.store)
    for i in range(40000):
        child.stdin.write(b"%07d\t%s\n" % (i, b"v" * 100))
    child.stdin.flush()
    time.sleep(0.5)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate()
    t.equal(child.returncode, -signal.SIGINT)
    count = int(t.run("count", t.store).out)
    t.true(f"interrupted with {count} entries stored".encode() in err, err)
    t.equal(t.run("scan", t.store, "-r", "-n", "1", "-k").out, b"%07d\n" % (count - 1))


@test
def a_killed_load_leaves_a_prefix(t):
    for _ in range(5):
        child = t.start("load", t.store)
        lines = (b"%07d\t%s\n" % (i, b"v" * 100) for i in range(60000))
        child.stdin.writelines(itertools.islice(lines, t.random.randrange(10000, 60000)))
        child.kill()
        child.communicate()
        count = int(t.run("count", t.store).out)
        last = t.run("scan", t.store, "-r", "-n", "1", "-k").out
        t.equal(last, b"%07d\n" % (count - 1) if count else b"")
        t.run("check", t.store)


@test
def a_full_disk_is_an_error_and_what_was_stored_stays(t):
    limit = (resource.RLIMIT_FSIZE, (8 << 20, 8 << 20))
    noise = [b"%07d\t%s\n" % (i, t.random.randbytes(400).hex().encode()) for i in range(40000)]
    t.run("put", t.store, "first", "one")
    child = t.start("load", "-o", "memory_budget=256MiB", t.store,
                    preexec_fn=lambda: resource.setrlimit(*limit))
    _, err = child.communicate(b"".join(noise))
    t.equal(child.returncode, 2)
    t.true(err.startswith(b"varve: ") and err.count(b"\n") == 1, err)
    t.equal(t.run("get", t.store, "first").out, b"one")
    count = int(t.run("count", t.store).out) - 1
    t.equal(t.run("scan", t.store, "-r", "-k", "--to", "a", "-n", "1").out,
            b"%07d\n" % (count - 1) if count else b"")
    t.run("load", "-q", t.store, stdin=b"".join(noise[:1000]))


@test
def dump_takes_ranges(t):
    t.run("load", t.store, stdin=b"a\t1\nb\t2\nc\t3\n")
    t.equal(t.run("dump", t.store, "--from", "b", "-f", "csv").out, b"b,2\nc,3\n")


@test
def progress_shows_on_terminals_only(t):
    path = t.file("some.tsv", b"".join(b"%07d\tv\n" % i for i in range(100)))
    t.equal(t.run("load", t.store, path).err, b"")
    t.true(t.run("load", t.store, path).out.startswith(b"100 entries, "))
    t.equal(t.run("load", "-q", t.store, path).out, b"")
    master, slave = os.openpty()
    child = t.start("load", t.store, stderr=slave)
    os.close(slave)
    for i in range(12):
        child.stdin.write(b"%07d\t%s\n" % (i, b"v" * 1_100_000))
        child.stdin.flush()
        time.sleep(0.1)
    child.stdin.close()
    t.equal(child.wait(), 0)
    drawn = os.read(master, 65536)
    t.true(b"entries" in drawn and b"B/s" in drawn and drawn.count(b"\r") < 20, drawn)
    os.close(master)


@test
def a_load_that_the_disk_stops_says_how_far_it_came(t):
    lines = b"".join(b"%06d\t%s\n" % (i, t.random.randbytes(50).hex().encode())
                     for i in range(40000))
    path = t.file("big.tsv", lines)
    done = subprocess.run(["sh", "-c", 'ulimit -f 4000; exec "$@"', "sh", VARVE, "load", "-q",
                           t.store, path], capture_output=True, check=False, timeout=60)
    t.equal(done.returncode, 2)
    said = re.search(rb"File too large; stopped with (\d+) entries stored", done.stderr)
    t.true(said, done.stderr)
    t.equal(t.run("count", t.store).out, said.group(1) + b"\n")


@test
def one_entry_is_no_entries(t):
    t.true(t.run("load", t.store, stdin=b"a\tb\n").out.startswith(b"1 entry, "))
    out = t.run("load", "--skip-errors", t.store, stdin=b"a\tb\nc\td\nbad\n").out
    t.true(out.startswith(b"2 entries, ") and out.endswith(b"; 1 bad line left out\n"), out)


main()
