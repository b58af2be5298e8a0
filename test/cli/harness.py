"""What the tests of the command are written with.

    from harness import test, main, varve

    @test
    def get_gives_the_bytes_back(t):
        t.run("put", t.store, "k", "v")
        t.equal(t.run("get", t.store, "k").out, b"v")

    main()

Each test has a directory of its own, which is kept when the test fails; `t.store` is a path in it.
The command to test is in the environment variable VARVE. Randomness comes from VARVE_SEED.
"""
import collections
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import traceback

VARVE = os.path.abspath(os.environ.get("VARVE", "build/varve"))
SEED = int(os.environ.get("VARVE_SEED", "1"))
TIMEOUT_S = 120

Result = collections.namedtuple("Result", "status out err")
tests = []


def test(function):
    tests.append(function)
    return function


class Case:
    def __init__(self, directory):
        self.dir = pathlib.Path(directory)
        self.store = str(self.dir / "store")
        self.random = random.Random(SEED)

    def run(self, *args, stdin=b"", status=0, env=None):
        """Runs the command, which must end with `status`; None allows any."""
        done = subprocess.run([VARVE, *args], input=stdin, capture_output=True, check=False,
                              timeout=TIMEOUT_S, cwd=self.dir, env={**os.environ, **(env or {})})
        if status is not None and done.returncode != status:
            raise AssertionError(f"varve {args!r} ended with {done.returncode}, not {status}\n"
                                 f"stdout: {done.stdout[:2000]!r}\nstderr: {done.stderr[:2000]!r}")
        return Result(done.returncode, done.stdout, done.stderr)

    def fails(self, *args, stdin=b"", says=b"", env=None):
        """Runs the command, which must end with status 2 and one line on stderr."""
        result = self.run(*args, stdin=stdin, status=2, env=env)
        self.true(result.err.startswith(b"varve: "), result.err)
        self.equal(result.err.count(b"\n"), 1)
        self.true(says in result.err, (says, result.err))
        return result

    def start(self, *args, **options):
        """Starts the command with pipes to it."""
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen([VARVE, *args], cwd=self.dir, **{**pipes, **options})

    def shell(self, lines, status=0):
        return self.run("shell", self.store, stdin=lines, status=status)

    def file(self, name, content):
        path = self.dir / name
        path.write_bytes(content)
        return str(path)

    def bytes(self, most):
        """Random bytes of a random length, zero at times."""
        return self.random.randbytes(self.random.randrange(most + 1))

    def equal(self, actual, expected):
        if actual != expected:
            raise AssertionError(f"{shown(actual)} is not {shown(expected)}")

    def true(self, condition, *explanation):
        if not condition:
            raise AssertionError(f"not true: {shown(explanation)}")

    def missing(self, path):
        self.true(not os.path.exists(path), f"{path} is there")


def shown(value):
    text = repr(value)
    return text if len(text) <= 1000 else text[:1000] + "…"


def main():
    wanted = sys.argv[1] if len(sys.argv) > 1 else ""
    passed = failed = 0
    for function in tests:
        if wanted not in function.__name__:
            continue
        directory = tempfile.mkdtemp(prefix="varve-cli-")
        try:
            function(Case(directory))
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
            print(f"[  FAILED  ] {function.__name__}  (seed {SEED}, files in {directory})")
        else:
            passed += 1
            print(f"[       OK ] {function.__name__}")
            shutil.rmtree(directory)
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
