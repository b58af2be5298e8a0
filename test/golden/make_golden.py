#!/usr/bin/env python3
"""Makes the golden stores of a release, once; they are never made again.

    VARVE=build/varve test/golden/make_golden.py v2

makes v2-killed and v2-compacted beside this file, each with what `varve dump` must say of it
in v2-….tsv. Add the name to STORES in test_golden.py.
"""
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
VARVE = os.environ.get("VARVE", "build/varve")


def shell(store, lines, options, kill):
    child = subprocess.Popen([VARVE, "shell", *options, str(store)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE)
    for each in lines:
        child.stdin.write(each + b"\n")
        child.stdin.flush()
        answer = child.stdout.readline()
        if not answer.startswith(b"OK"):
            sys.exit(f"{each[:60]!r}: {answer!r}")
    if kill:
        child.kill()
    child.communicate()


def killed(store):
    """A table, and behind it a log with batches, a deletion and references into an unsealed file."""
    lines = [b"put flushed/%02d %d" % (i, i) for i in range(20)]
    lines += [b"put blob/old " + b"o" * 4096, b"flush", b"del flushed/07", b'put empty ""',
              b"begin", b"put batch/a 1", b"put batch/b 2", b"del flushed/08", b"commit",
              b"put blob/new " + b"n" * 5000, b"put blob/old again", b"put last one"]
    shell(store, lines, [], kill=True)


def compacted(store):
    """lz4 blocks, and a value file that replaced others, so that it has a map."""
    options = ["-o", "compression=lz4"]
    lines = [b'put text/%03d "%s"' % (i, b"again and again " * (i % 9)) for i in range(1, 200)]
    lines += [b"put value/%d " % i + b"%d" % i * 4096 for i in range(8)] + [b"flush"]
    lines += [b"put value/%d small" % i for i in range(0, 8, 2)]
    lines += [b"del text/%03d" % i for i in range(1, 200, 10)]
    shell(store, lines, options, kill=False)
    for _ in range(5):
        subprocess.run([VARVE, "compact", "-q", *options, str(store)], check=True)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for name, make in (("killed", killed), ("compacted", compacted)):
        store = HERE / f"{sys.argv[1]}-{name}"
        if store.exists():
            sys.exit(f"{store} is there")
        make(store)
        dump = shutil.copytree(store, str(store) + ".copy")
        with open(str(store) + ".tsv", "wb") as out:
            subprocess.run([VARVE, "dump", "-q", dump], stdout=out, check=True)
        shutil.rmtree(dump)


if __name__ == "__main__":
    main()
