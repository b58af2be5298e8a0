"""put, get, del, exists."""
import json

from harness import main, test


@test
def get_gives_the_bytes_that_put_took(t):
    t.run("put", t.store, "key", "value")
    result = t.run("get", t.store, "key")
    t.equal(result.out, b"value")
    t.equal(result.err, b"")


@test
def put_and_del_are_silent(t):
    t.equal(t.run("put", t.store, "key", "value"), (0, b"", b""))
    t.equal(t.run("del", t.store, "key"), (0, b"", b""))


@test
def del_takes_a_range_or_a_prefix(t):
    for key in ("a/1", "a/2", "b/1", "c/1", "d"):
        t.run("put", t.store, key, "value")
    t.equal(t.run("del", t.store, "--prefix", "a/"), (0, b"", b""))
    t.equal(t.run("scan", "-k", t.store).out, b"b/1\nc/1\nd\n")
    t.run("del", t.store, "--from", "b/1", "--to", "c/1")
    t.equal(t.run("scan", "-k", t.store).out, b"c/1\nd\n")
    t.run("del", t.store, "--from", "d")
    t.equal(t.run("scan", "-k", t.store).out, b"c/1\n")
    t.run("del", t.store, status=2)
    t.run("del", t.store, "--prefix", "a", "key", status=2)
    t.run("del", t.store, "--prefix", "a", "--to", "key", status=2)
    t.run("del", t.store, "--prefix", "")
    t.equal(t.run("scan", "-k", t.store).out, b"")


@test
def a_missing_key_is_status_one_and_no_output(t):
    t.run("put", t.store, "key", "value")
    t.equal(t.run("get", t.store, "other", status=1), (1, b"", b""))
    t.equal(t.run("exists", t.store, "other", status=1).out, b"no\n")
    t.equal(t.run("exists", t.store, "key").out, b"yes\n")
    t.equal(t.run("exists", "-q", t.store, "key").out, b"")


@test
def the_value_comes_from_stdin_if_absent_or_a_dash(t):
    value = t.random.randbytes(300_000)
    t.run("put", t.store, "absent", stdin=value)
    t.run("put", t.store, "dash", "-", stdin=value)
    t.equal(t.run("get", t.store, "absent").out, value)
    t.equal(t.run("get", t.store, "dash").out, value)
    t.run("put", t.store, "empty", stdin=b"")
    t.equal(t.run("get", t.store, "empty").out, b"")


@test
def words_are_raw_bytes_unless_escape_is_given(t):
    t.run("put", t.store, "raw", r"a\tb\x00")
    t.equal(t.run("get", t.store, "raw").out, rb"a\tb\x00")
    t.run("put", "-e", t.store, r"\x00\xff", r"a\tb\x00\\\n")
    t.equal(t.run("get", "--escape", t.store, r"\0\xFF").out, b"a\tb\0\\\n")
    t.run("put", "-e", t.store, "dash", r"\x2d")
    t.equal(t.run("get", t.store, "dash").out, b"-")
    t.fails("put", "-e", t.store, r"\q", "v", says=rb"\q")


@test
def the_empty_key_and_the_empty_value_are_like_others(t):
    t.run("put", t.store, "", "")
    t.equal(t.run("exists", t.store, "").out, b"yes\n")
    t.equal(t.run("get", t.store, "").out, b"")
    t.equal(t.run("count", t.store).out, b"1\n")


@test
def del_removes_several_keys_and_minds_no_missing_one(t):
    for key in "abc":
        t.run("put", t.store, key, key)
    t.run("del", t.store, "a", "nothing", "c")
    t.equal(t.run("scan", t.store, "--keys").out, b"b\n")


@test
def a_key_that_looks_like_an_option_goes_behind_two_dashes(t):
    t.fails("get", t.store, "-5", says=b"'--'")
    t.run("put", "--", t.store, "-5", "--help")
    t.equal(t.run("get", "--", t.store, "-5").out, b"--help")


@test
def get_json_gives_an_object(t):
    t.run("put", t.store, "key", "va\"lue")
    t.equal(json.loads(t.run("get", "--json", t.store, "key").out),
            {"key": "key", "value": 'va"lue'})


@test
def reading_makes_no_store(t):
    for words in (["get", t.store, "k"], ["exists", t.store, "k"], ["scan", t.store],
                  ["dump", t.store], ["count", t.store], ["stat", t.store],
                  ["del", t.store, "k"], ["compact", t.store], ["check", t.store],
                  ["repair", t.store], ["destroy", "--force", t.store]):
        t.fails(*words)
        t.missing(t.store)


@test
def what_cannot_be_put_makes_no_store(t):
    t.fails("put", t.store, "k" * 65537, "v", says=b"65536")
    t.missing(t.store)
    t.run("put", t.store, "k" * 65536, "v")
    t.equal(t.run("get", t.store, "k" * 65536).out, b"v")


@test
def settings_reach_the_store_and_wrong_ones_are_named(t):
    t.run("put", "-o", "memory_budget=8MiB", "-o", "durability=os", t.store, "k", "v")
    t.run("put", "--durability", "disk", "--engine=lsm", t.store, "k", "v")
    t.fails("put", "-o", "xyz=1", t.store, "k", "v", says=b"xyz")
    t.fails("put", "--engine", "abacus", t.store, "k", "v", says=b"abacus")
    t.fails("get", "-o", "mode", t.store, "k", says=b"mode")


@test
def a_path_that_is_no_store_is_refused_and_left_alone(t):
    other = t.file("letter.txt", b"Dear colleague")
    t.fails("put", other, "k", "v", says=b"letter.txt")
    t.fails("get", other, "k", says=b"letter.txt")
    t.equal(open(other, "rb").read(), b"Dear colleague")


@test
def a_complaint_names_the_path_and_the_option_once(t):
    t.equal(t.fails("get", t.store, "k").err, b"varve: there is no store at %s\n" %
            t.store.encode())
    t.equal(t.fails("put", "-d", "strong", t.store, "k", "v").err,
            b"varve: option 'durability=strong': no such value; there are none, os, interval, disk\n")
    t.fails("--limit", t.store, says=b"no option '--limit' stands before a command")
    t.fails("put", t.store, "k" * 65537, "v", says=b"put: a key of 65537 bytes exceeds the limit")
    t.missing(t.store)


@test
def keys_expire(t):
    t.run("put", t.store, "key", "value", "--ttl", "90m")
    out = t.run("ttl", t.store, "key").out
    t.true(5300 < float(out.rstrip(b"s\n")) <= 5400, out)
    t.equal(t.run("persist", t.store, "key"), (0, b"", b""))
    t.equal(t.run("ttl", t.store, "key").out, b"never\n")
    t.equal(t.run("expire", t.store, "key", "7d"), (0, b"", b""))
    t.true(t.run("ttl", t.store, "key").out.endswith(b"s\n"))
    t.run("expire", t.store, "key", "1ms")
    t.run("get", t.store, "key", status=1)
    t.run("ttl", t.store, "key", status=1)
    t.run("expire", t.store, "key", "1s", status=1)
    for bad in ("", "0", "x", "5y", "-1s", "99999999999999999999"):
        t.fails("put", t.store, "other", "value", "--ttl=" + bad, says=b"time")


@test
def counters_count_and_operands_merge(t):
    t.run("put", t.store, "other", "value")
    t.equal(t.run("incr", t.store, "n").out, b"1\n")
    t.equal(t.run("incr", t.store, "n", "41").out, b"42\n")
    t.equal(t.run("incr", t.store, "n", "--", "-50").out, b"-8\n")
    t.equal(t.run("get", t.store, "n").out, (-8).to_bytes(8, "little", signed=True))
    t.fails("incr", t.store, "other", says=b"counter")
    t.fails("incr", t.store, "n", "1x", says=b"number")
    t.fails("incr", t.store, "n", "9223372036854775808", says=b"number")
    t.fails("merge", t.store, "m", "a", says=b"merge operator")
    t.run("merge", "-o", "merge=append", t.store, "m", "a")
    t.run("merge", "-o", "merge=append", t.store, "m", "b")
    t.equal(t.run("get", "-o", "merge=append", t.store, "m").out, b"a,b")
    t.fails("get", t.store, "m", says=b"append")
    t.fails("get", "-o", "merge=max", t.store, "m", says=b"append")
    t.fails("get", "-o", "merge=nothing", t.store, "m", says=b"add_i64")


main()
