"""scan and count."""
import base64
import json

from harness import main, test


def fill(t, entries):
    t.run("load", "-q", t.store, stdin=b"".join(k + b"\t" + v + b"\n" for k, v in entries))


def scan(t, *options):
    return t.run("scan", t.store, *options).out


LETTERS = [(bytes([c]), b"v" + bytes([c])) for c in b"abcdef"]


def lines(entries):
    return b"".join(k + b"\t" + v + b"\n" for k, v in entries)


@test
def all_entries_come_in_the_order_of_keys(t):
    fill(t, reversed(LETTERS))
    t.equal(scan(t), lines(LETTERS))
    t.equal(scan(t, "--reverse"), lines(reversed(LETTERS)))


@test
def bounds_take_in_the_first_and_leave_out_the_second(t):
    fill(t, LETTERS)
    t.equal(scan(t, "--from", "b", "--to", "d"), lines(LETTERS[1:3]))
    t.equal(scan(t, "--from", "b", "--to", "d", "--reverse"), lines(reversed(LETTERS[1:3])))
    t.equal(scan(t, "--from", "bb"), lines(LETTERS[2:]))
    t.equal(scan(t, "--to", "bb"), lines(LETTERS[:2]))
    t.equal(scan(t, "--from", "x"), b"")
    t.equal(scan(t, "--from", "d", "--to", "b"), b"")
    t.equal(scan(t, "--from", "", "--to", ""), b"")


@test
def a_prefix_takes_exactly_what_begins_with_it(t):
    fill(t, [(b"a", b"1"), (b"ab", b"2"), (b"ab\\xff", b"3"), (b"ac", b"4"), (b"\\xff\\xff", b"5")])
    t.equal(scan(t, "--prefix", "ab"), b"ab\t2\nab\\xff\t3\n")
    t.equal(scan(t, "--prefix", "ab", "--reverse"), b"ab\\xff\t3\nab\t2\n")
    t.equal(scan(t, "-e", "--prefix", "\\xff", "--keys"), b"\\xff\\xff\n")
    t.equal(scan(t, "--prefix", "a", "--from", "ab", "--to", "ac", "--keys"), b"ab\nab\\xff\n")
    t.equal(scan(t, "--prefix", ""), scan(t))


@test
def limit_ends_in_both_directions(t):
    fill(t, LETTERS)
    t.equal(scan(t, "--limit", "2"), lines(LETTERS[:2]))
    t.equal(scan(t, "--limit", "2", "-r"), lines(LETTERS[:-3:-1]))
    t.equal(scan(t, "--limit", "0"), b"")
    t.fails("scan", t.store, "--limit", "many", says=b"--limit")


@test
def keys_and_values_can_be_asked_for_alone(t):
    fill(t, LETTERS[:2])
    t.equal(scan(t, "--keys"), b"a\nb\n")
    t.equal(scan(t, "--values"), b"va\nvb\n")
    t.equal(scan(t, "--keys", "--values"), lines(LETTERS[:2]))


@test
def only_what_would_break_a_line_is_escaped(t):
    t.run("put", "-e", t.store, r"\x00\t\n\r\\\x1f\x7f", "äöü 漢字 🙂".encode())
    t.run("put", "-e", t.store, r"\xc3(", b"\xed\xa0\x80 \xf5 \xc0\x80 \xe6\xbc")
    t.equal(scan(t),
            br"\x00\t\n\x0d\\\x1f\x7f" + "\täöü 漢字 🙂\n".encode() +
            br"\xc3(" + b"\t" + br"\xed\xa0\x80 \xf5 \xc0\x80 \xe6\xbc" + b"\n")


@test
def json_is_one_object_a_line_with_base64_where_needed(t):
    entries = {}
    for _ in range(200):
        entries[t.bytes(12)] = t.random.choice([t.bytes(40), "naïve \"\\\n".encode()])
    fill(t, [(escaped(k), escaped(v)) for k, v in entries.items()])
    found = {}
    for line in scan(t, "--json").splitlines():
        found[field(json.loads(line), "key")] = field(json.loads(line), "value")
    t.equal(found, entries)
    for line in scan(t, "--json", "--keys").splitlines():
        t.equal(len(json.loads(line)), 1)


def escaped(raw):
    return b"".join(b"\\x%02x" % byte for byte in raw)


def field(entry, name):
    if name in entry:
        return entry[name].encode()
    return base64.b64decode(entry[name + "_base64"], validate=True)


@test
def count_counts_ranges_too(t):
    fill(t, [(b"%05d" % i, b"x") for i in range(5000)])
    t.equal(t.run("count", t.store).out, b"5000\n")
    t.equal(t.run("count", t.store, "--prefix", "01").out, b"1000\n")
    t.equal(t.run("count", t.store, "--from", "04000").out, b"1000\n")
    t.equal(json.loads(t.run("count", t.store, "--json").out), {"count": 5000})
    estimate = int(t.run("count", t.store, "--estimate").out)
    t.true(2500 <= estimate <= 10000, estimate)


@test
def a_reader_that_goes_away_ends_the_scan_quietly(t):
    fill(t, [(b"%06d" % i, b"x" * 50) for i in range(20000)])
    child = t.start("scan", t.store)
    child.stdout.readline()
    child.stdout.close()
    t.equal(child.stderr.read(), b"")
    t.equal(child.wait(), 0)


@test
def output_that_cannot_be_written_is_an_error(t):
    fill(t, LETTERS)
    with open("/dev/full", "wb") as full:
        for words in (["scan"], ["dump"], ["count"], ["stat"]):
            child = t.start(*words, t.store, stdout=full)
            _, err = child.communicate()
            t.equal(child.returncode, 2)
            t.true(err.startswith(b"varve: cannot write the output: "), err)


@test
def a_store_can_be_read_beside_its_writer(t):
    fill(t, LETTERS)
    writer = t.start("shell", t.store)
    writer.stdin.write(b"put g vg\n")
    writer.stdin.flush()
    t.equal(writer.stdout.readline(), b"OK\n")
    t.true(scan(t).startswith(lines(LETTERS)), scan(t))
    t.fails("put", t.store, "h", "vh", says=b"store")
    writer.stdin.close()
    t.equal(writer.wait(), 0)
    t.equal(scan(t, "--keys"), b"a\nb\nc\nd\ne\nf\ng\n")


main()
