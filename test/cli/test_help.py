"""Help, suggestions, completion, and the man page, which all must know the same words."""
import os
import pathlib
import subprocess

from harness import VARVE, main, test

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def words(t, *command):
    return t.run("help", "--words", *command).out.decode().splitlines()


@test
def every_command_has_help_with_an_example(t):
    commands = words(t)
    t.true({"put", "get", "del", "exists", "scan", "load", "dump", "count", "stat", "keyspaces",
            "compact", "check", "repair", "destroy", "checkpoint", "backup", "restore", "inspect",
            "shell", "bench", "help",
            "version"} <= set(commands), commands)
    for command in commands:
        text = t.run(command, "--help").out.decode()
        t.equal(t.run("help", command).out.decode(), text)
        t.true(text.startswith(f"varve {command}"), text)
        t.true("--help" in text)
        t.true("Examples" in text or command == "version", command)
        t.true(max(map(len, text.splitlines())) <= 100, command)


@test
def help_is_for_stdout_and_a_missing_command_for_stderr(t):
    t.true(b"Commands" in t.run("--help").out)
    t.equal(t.run("-h").out, t.run("help").out)
    result = t.run(status=2)
    t.equal(result.out, b"")
    t.true(b"Commands" in result.err)


@test
def version_is_one_line(t):
    out = t.run("--version").out
    t.true(out.startswith(b"varve ") and out.count(b"\n") == 1, out)
    t.equal(t.run("version").out, out)


@test
def a_slip_gets_a_suggestion(t):
    t.fails("sacn", t.store, says=b"did you mean 'scan'")
    t.fails("coun", t.store, says=b"did you mean 'count'")
    t.fails("xyzzy", says=b"varve help")
    t.fails("scan", "--prefx", "a", t.store, says=b"did you mean '--prefix'")
    t.fails("scan", "--xyzzy", t.store, says=b"--help")
    t.fails("scan", "-x", t.store, says=b"'-x'")
    t.fails("scan", t.store, "--prefix", says=b"needs an argument")
    t.fails("scan", t.store, "--keys=1", says=b"takes no argument")
    t.fails("help", "xyzzy")


@test
def operands_are_counted(t):
    for bad in (["get"], ["get", "s"], ["get", "s", "k", "x"], ["put", "s"],
                ["put", "s", "k", "v", "x"], ["scan", "s", "x"], ["del"], ["version", "x"],
                ["inspect"]):
        t.fails(*bad, says=b"varve " + bad[0].encode())
    t.equal(os.listdir(t.dir), [])


@test
def complaints_are_one_line_whatever_they_quote(t):
    t.fails("get\n\x1b[2J", says=b"get  [2J")
    t.fails("get", "no\nsuch\nstore", "k")


@test
def the_man_page_knows_every_command_and_option(t):
    page = (ROOT / "doc" / "varve.1").read_text()
    for command in words(t):
        t.true(f"\n.It Cm {command}" in page, command)
        for line in words(t, command):
            option = line.split()[0].strip("=")
            t.true(f" -{option[2:]}" in page, f"{command} {option}")


def complete(t, line):
    script = f'''
        source {ROOT}/cli/varve.bash-completion
        COMP_WORDS=({line[:-1] if line.endswith('|') else line})
        COMP_WORDS[0]={VARVE}
        [[ "{line}" == *"|" ]] && COMP_WORDS+=("")
        COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
        compopt() {{ :; }}
        _varve
        printf '%s\\n' "${{COMPREPLY[@]}}"'''
    done = subprocess.run(["bash", "-c", script], cwd=t.dir, capture_output=True, check=True)
    t.equal(done.stderr, b"")
    return done.stdout.decode().split()


@test
def completion_knows_commands_options_and_choices(t):
    t.file("books.tsv", b"")
    t.equal(complete(t, "varve sc"), ["scan"])
    t.equal(sorted(complete(t, "varve |")), sorted(words(t)))
    t.equal(complete(t, "varve scan --pre"), ["--prefix="])
    t.equal(complete(t, "varve load --format j"), ["jsonl"])
    t.equal(complete(t, "varve load -f |"), ["tsv", "jsonl", "csv"])
    t.equal(complete(t, "varve load --format = c"), ["csv"])
    t.equal(complete(t, "varve load bo"), ["books.tsv"])
    t.equal(complete(t, "varve bench -w fillseq,readm"), ["fillseq,readmissing"])
    t.equal(complete(t, "varve put -o memory"), ["memory_budget="])
    t.equal(complete(t, "varve help comp"), ["compact"])


main()
