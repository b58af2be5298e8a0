"""The shell: through pipes, and on a terminal."""
import json
import os
import pty
import select
import time

from harness import VARVE, main, test


@test
def words_do_what_commands_do(t):
    result = t.shell(b"put a 1\nget a\nexists a\nexists b\nget b\ndel a b\nget a\ncount\n")
    t.equal(result.out, b"OK\n1\nyes\nno\n(not found)\nOK\n(not found)\n0\n")
    t.equal(result.err, b"")


@test
def what_the_shell_wrote_is_there_afterwards(t):
    t.shell(b"put a 1\nput b 2\nquit\nput c 3\n")
    t.equal(t.run("scan", t.store).out, b"a\t1\nb\t2\n")


@test
def each_answer_comes_before_the_next_question(t):
    child = t.start("shell", t.store)
    for i in range(50):
        child.stdin.write(b"put k%d v%d\nget k%d\n" % (i, i, i))
        child.stdin.flush()
        t.equal(child.stdout.readline(), b"OK\n")
        t.equal(child.stdout.readline(), b"v%d\n" % i)
    child.stdin.close()
    t.equal(child.wait(), 0)


@test
def quotes_and_escapes_make_words(t):
    result = t.shell(b'''put "a b" 'c  d'\nget 'a b'\nput "\\x00\\t\\"\\\\" 'a\\nb'\nget "\\0\\t\\"\\\\"
put un\\nquoted \\x41\nget "un\\\\nquoted"\nput "" ''\nget ""\nput mix"ed "'wo rds' x\nget 'mixed wo rds'\n''')
    t.equal(result.out, b"OK\nc  d\nOK\na\\\\nb\nOK\n\\\\x41\nOK\n\nOK\nx\n")


@test
def any_bytes_pass_through(t):
    raw = bytes(b for b in range(256) if b not in b"\n'")
    t.shell(b"put '" + raw + b"' '" + raw + b"'\n")
    t.equal(t.run("scan", t.store, "--values").out, t.run("scan", t.store, "--keys").out)
    t.equal(t.run("get", t.store, "-e", "".join(f"\\x{b:02x}" for b in raw)).out, raw)


@test
def a_value_that_says_not_found_is_told_apart(t):
    t.equal(t.shell(b'put k "(not found)"\nget k\nscan\n').out,
            b"OK\n\\x28not found)\nk\t(not found)\n")


@test
def values_may_begin_with_a_dash(t):
    t.equal(t.shell(b"put temperature -5\nget temperature\nput -- -k --help\nget -- -k\n").out,
            b"OK\n-5\nOK\n--help\n")


@test
def scan_takes_its_options(t):
    out = t.shell(b"put a1 1\nput a2 2\nput b 3\nscan --prefix a\nscan --from a2 --to c --keys\n"
                  b"scan --reverse --limit 1 --values\nscan --prefix b --json\n"
                  b'scan --from "\\x61\\x32" -n 1\n').out.splitlines()[3:]
    t.equal(out[:-2], [b"a1\t1", b"a2\t2", b"a2", b"b", b"3"])
    t.equal(json.loads(out[-2]), {"key": "b", "value": "3"})
    t.equal(out[-1], b"a2\t2")


@test
def a_transaction_happens_as_one_and_reads_its_own_changes(t):
    t.equal(t.shell(b"put a 1\nbegin\nput b 2\ndel a\nget a\nget b\nexists b\ncount\ncommit\nscan\n").out,
            b"OK\nOK\nOK\nOK\n(not found)\n2\nyes\n1\nOK\nb\t2\n")
    t.equal(t.shell(b"begin\nput c 3\nrollback\nscan\n").out, b"OK\nOK\nOK\nb\t2\n")
    t.true(b"error: there is no transaction" in t.shell(b"commit\n", status=2).err)
    lost = t.shell(b"begin\nput d 4\n", status=2)
    t.true(b"lost" in lost.err, lost.err)
    t.equal(t.run("scan", t.store).out, b"b\t2\n")


@test
def levels_of_a_transaction_end_on_their_own(t):
    t.equal(t.shell(b"begin\nput a 1\nbegin\nput a 2\nrollback\nget a\nbegin\nput b 3\ncommit\n"
                    b"commit\nscan\n").out,
            b"OK\nOK\nOK\nOK\nOK\n1\nOK\nOK\nOK\nOK\na\t1\nb\t3\n")


@test
def care_answers_ok(t):
    t.equal(t.shell(b"put a 1\nflush\nsync\ncompact\nget a\n").out, b"OK\nOK\nOK\nOK\n1\n")
    t.true(len(t.shell(b"stat\n").out) > 10)


@test
def errors_are_one_line_each_and_the_shell_goes_on(t):
    bad = [b"frobnicate", b"get", b"get a b", b"put a", b'put "a', b'get "\\q"', b"scan --bogus",
           b"scan --limit x", b"begin now", b"put a 1 2", b"scan -o mode=create"]
    result = t.shell(b"\n".join(bad) + b"\nput a 1\n\n   \nget a\n", status=2)
    t.equal(result.out, b"OK\n1\n")
    t.equal(len(result.err.splitlines()), len(bad))
    for line in result.err.splitlines():
        t.true(line.startswith(b"error: "), line)


@test
def a_read_only_shell_changes_nothing(t):
    t.run("put", t.store, "a", "1")
    result = t.run("shell", "--readonly", t.store, stdin=b"put a 2\nget a\n", status=2)
    t.equal(result.out, b"1\n")
    t.fails("shell", "--readonly", t.store + "2")


@test
def help_names_every_word(t):
    out = t.shell(b"help\nhelp scan\n").out
    for word in b"put get del exists scan count stat flush sync compact begin commit rollback quit".split():
        t.true(b"\n  " + word + b" " in b"\n" + out, word)
    t.true(b"--prefix" in out)


@test
def a_reader_that_goes_away_ends_the_shell(t):
    child = t.start("shell", t.store)
    child.stdout.close()
    child.stdin.write(b"put a 1\nput b 2\n")
    child.stdin.close()
    t.equal(child.stderr.read(), b"")
    child.wait()


def read_until(master, what, seconds=20):
    seen, end = b"", time.monotonic() + seconds
    while what not in seen:
        if time.monotonic() > end or not select.select([master], [], [], 1)[0]:
            if time.monotonic() > end:
                raise AssertionError(f"no {what!r} in {seen!r}")
            continue
        try:
            seen += os.read(master, 4096)
        except OSError:
            raise AssertionError(f"end before {what!r} in {seen!r}") from None
    return seen


@test
def a_terminal_gets_prompts_history_and_completion(t):
    def session(talk):
        child, master = pty.fork()
        if child == 0:
            os.environ.update(HOME=str(t.dir), TERM="xterm")
            os.environ.pop("XDG_STATE_HOME", None)
            try:
                os.execv(VARVE, [VARVE, "shell", t.store])
            finally:
                os._exit(127)
        read_until(master, b"varve> ")
        talk(master)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        os.close(master)
        t.equal(status, 0)

    def first(master):
        os.write(master, b"put key value\r")
        read_until(master, b"OK")
        os.write(master, b"begin\r")
        read_until(master, b"(transaction)> ")
        os.write(master, b"rollback\r")
        read_until(master, b"varve> ")
        os.write(master, b"nonsense\r")
        read_until(master, b"error: no command")
        time.sleep(1)  # until the prompt is there the terminal would eat the end of input
        os.write(master, b"\x04")

    def second(master):
        os.write(master, b"ge\tkey\r")
        read_until(master, b"value")
        time.sleep(1)
        os.write(master, b"quit\r")

    session(first)
    history = t.dir / ".varve_history"
    if not history.exists():
        return    # built without libedit: prompts are all there is
    t.true(b"put" in history.read_bytes())
    t.equal(history.stat().st_mode & 0o77, 0)
    session(second)


main()
