"""Keyspaces on the command line."""
import json

from harness import main, test


@test
def keyspaces_are_listed_made_and_dropped(t):
    t.fails("keyspaces", t.store, says=b"no store")
    t.equal(t.run("keyspaces", t.store, "--create", "a"), (0, b"", b""))
    t.run("keyspaces", t.store, "--create", "b\n\xff".encode("utf-8", "surrogateescape"))
    t.equal(t.run("keyspaces", t.store).out.splitlines()[:2], [b"default", b"a"])
    t.equal(len(t.run("keyspaces", t.store).out.splitlines()), 3)
    t.equal(json.loads(t.run("keyspaces", t.store, "--json").out.splitlines()[1]),
            {"keyspace": "a"})
    t.fails("keyspaces", t.store, "--create", "a", says=b"already")
    t.fails("keyspaces", t.store, "--create", "", says=b"1 to 255")
    t.fails("keyspaces", t.store, "--create", "x", "--drop", "a", says=b"not both")
    t.run("keyspaces", t.store, "--drop", "a")
    t.equal(t.run("keyspaces", t.store).out.splitlines()[0], b"default")
    t.true(b"a\n" not in t.run("keyspaces", t.store).out.splitlines(True))
    t.fails("keyspaces", t.store, "--drop", "a", says=b"no keyspace 'a'")
    t.fails("keyspaces", t.store, "--drop", "default", says=b"default")


@test
def commands_work_in_a_keyspace(t):
    t.run("put", t.store, "k", "of default")
    t.run("put", "--keyspace", "a", t.store, "k", "of a")
    t.run("put", "-K", "a", t.store, "k2", "v")
    t.equal(t.run("get", t.store, "k").out, b"of default")
    t.equal(t.run("get", "-K", "a", t.store, "k").out, b"of a")
    t.equal(t.run("scan", "-K", "a", t.store).out, b"k\tof a\nk2\tv\n")
    t.equal(t.run("scan", t.store).out, b"k\tof default\n")
    t.equal(t.run("count", "-K", "a", t.store).out, b"2\n")
    t.fails("count", "-K", "a", t.store, "--estimate", says=b"whole store")
    t.equal(t.run("exists", "-K", "a", t.store, "k2").out, b"yes\n")
    t.equal(t.run("exists", t.store, "k2", status=1).out, b"no\n")
    t.run("compact", "-q", "-K", "a", t.store)
    t.run("del", "-K", "a", t.store, "k")
    t.run("del", "-K", "a", t.store, "--prefix", "k")
    t.equal(t.run("scan", "-K", "a", t.store).out, b"")
    t.equal(t.run("get", t.store, "k").out, b"of default")
    t.fails("get", "-K", "no", t.store, "k", says=b"no keyspace 'no'")
    t.fails("del", "-K", "no", t.store, "k", says=b"no keyspace 'no'")
    t.equal(t.run("keyspaces", t.store).out, b"default\na\n")


@test
def dump_and_load_take_one_keyspace_or_all(t):
    other = t.store + "-other"
    t.run("load", "-q", "-K", "a", t.store, stdin=b"k1\tv1\nk2\tv2\n")
    t.equal(t.run("dump", "-q", "-K", "a", t.store).out, b"k1\tv1\nk2\tv2\n")
    t.run("put", t.store, "", "")
    t.run("put", "-e", t.store, r"\xff", r"\x00")
    t.run("keyspaces", t.store, "--create", "empty")
    t.run("put", "-K", "n\u00e4me \"q\"", t.store, "k", "v")
    everything = t.run("dump", "-q", "--all", "-f", "jsonl", t.store).out
    names = [json.loads(line)["keyspace"] for line in everything.splitlines()]
    t.equal(sorted(set(names)), sorted({"default", "a", "empty", "n\u00e4me \"q\""}))
    t.run("load", "-q", "--all", "-f", "jsonl", other, stdin=everything)
    t.equal(t.run("dump", "-q", "--all", "-f", "jsonl", other).out, everything)
    t.equal(t.run("keyspaces", other).out, t.run("keyspaces", t.store).out)
    t.fails("dump", "--all", t.store, says=b"jsonl")
    t.fails("dump", "--all", "-f", "jsonl", "--prefix", "k", t.store, says=b"nothing out")
    t.fails("load", "--all", t.store, says=b"jsonl", stdin=b"")
    t.fails("load", "--all", "-f", "jsonl", "-K", "a", t.store, says=b"together", stdin=b"")
    plain = b'{"keyspace":"x","key":"k","value":"v"}\n'
    t.run("load", "-q", "-f", "jsonl", other, stdin=plain)
    t.equal(t.run("get", other, "k").out, b"v")
    t.fails("load", "-q", "-f", "jsonl", other, says=b"no member", stdin=b'{"keyspace":"x"}\n')


@test
def the_shell_turns_to_a_keyspace(t):
    script = b"""keyspaces --create a
use a
put k of-a
begin
put k2 v
get k2
commit
use
get k
get --keyspace a k
scan -K a
use no
use a
keyspaces --drop a
get k
keyspaces
"""
    result = t.run("shell", t.store, stdin=script, status=2)
    t.equal(result.out.decode().splitlines(),
            ["OK", "OK", "OK", "OK", "OK", "v", "OK", "OK", "(not found)", "of-a", "k\tof-a",
             "k2\tv", "OK", "OK", "(not found)", "default"])
    t.true(b"no keyspace 'no'" in result.err)


main()
