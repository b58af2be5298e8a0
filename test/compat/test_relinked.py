#!/usr/bin/env python3
"""Programs for LevelDB's C API run on varve's drop-in, and answer as with LevelDB.

Where LevelDB is installed each program is there a second time, linked with it, and the two must
print the same. Elsewhere the drop-in's answers are held against what is written here.
"""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BUILD = pathlib.Path(os.environ["VARVE"]).resolve().parent
SOAK = bool(os.environ.get("VARVE_SOAK"))
SEED = int(os.environ.get("VARVE_SEED", "1"))

TEXT = b"The layer of a varve is thin; the layer of a year is a varve, and a varve is a year.\n"
COUNTS = b"a 5\nand 1\nis 3\nlayer 2\nof 2\nthe 2\nthin 1\nvarve 3\nyear 2\n"


def program(name, real=False):
    return BUILD / "test" / ("leveldb-" + name + ("-real" if real else ""))


def run(path, *arguments, text=b""):
    result = subprocess.run([path, *arguments], input=text, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, timeout=600, check=False)
    if result.returncode != 0:
        raise AssertionError(f"{path.name} {arguments}: status {result.returncode}\n"
                             + result.stdout.decode("utf-8", "replace")[-2000:]
                             + result.stderr.decode("utf-8", "replace")[-4000:])
    return result.stdout


def exported(library):
    output = subprocess.run(["nm", "-D", "--defined-only", library], stdout=subprocess.PIPE,
                            check=True).stdout.decode()
    return {line.split()[-1].split("@")[0] for line in output.splitlines()}


class Relinked(unittest.TestCase):
    def both(self, name, story):
        """Calls story(run) for each library, with a run that works in a directory of its own."""
        answers = []
        for real in (False, True):
            if real and not program(name, real).exists():
                continue
            with tempfile.TemporaryDirectory() as directory:
                before = os.getcwd()
                os.chdir(directory)
                try:
                    answers.append(story(lambda *arguments, text=b"", real=real:
                                         run(program(name, real), "db", *arguments, text=text)))
                finally:
                    os.chdir(before)
        self.assertEqual(answers[0], answers[-1])
        return answers[0]

    def test_words_are_counted_over_runs(self):
        once, twice = self.both("words", lambda run: (run(text=TEXT), run(text=TEXT)))
        self.assertEqual(once, COUNTS)
        self.assertIn(b"varve 6\n", twice)

    def test_a_queue_outlives_its_processes(self):
        def story(run):
            run("push", "one", "two", "three")
            taken = run("pop", "2")
            run("push", "four")
            return taken, run("show")

        taken, shown = self.both("queue", story)
        self.assertEqual(taken, b"one\ntwo\n")
        self.assertEqual(shown, b"job/000000000003 three\njob/000000000004 four\n"
                                b"done/000000000001 one\ndone/000000000002 two\n")

    def test_moments_are_read_after_they_have_passed(self):
        lines = self.both("moments", lambda run: run("30")).decode().splitlines()
        self.assertEqual(lines[0], "day 0: 42 items, 102900 in all")
        self.assertEqual(lines[-1], lines[-2])

    def test_a_random_script_answers_byte_for_byte_as_with_leveldb(self):
        if not program("script", real=True).exists():
            self.skipTest("LevelDB is not installed")
        for seed in range(SEED, SEED + (100 if SOAK else 6)):
            with self.subTest(seed=seed):
                steps = "20000" if SOAK else "1500"
                self.both("script", lambda run, seed=seed: run(str(seed), steps))

    def test_exactly_the_68_functions_are_exported(self):
        ours = exported(BUILD / "compat" / "leveldb" / "libleveldb.so")
        self.assertEqual(len(ours), 68)
        self.assertTrue(all(name.startswith("leveldb_") for name in ours))
        header = (ROOT / "compat" / "leveldb" / "leveldb" / "c.h").read_text()
        self.assertEqual([name for name in ours if name + "(" not in header], [])
        real = program("words", real=True)
        if not real.exists():
            return
        needed = subprocess.run(["ldd", real], stdout=subprocess.PIPE, check=True).stdout.decode()
        path = next(line.split()[2] for line in needed.splitlines() if "libleveldb" in line)
        self.assertEqual(ours, {name for name in exported(path) if name.startswith("leveldb_")})

    def test_a_program_linked_with_leveldb_may_be_started_with_ours(self):
        real = program("words", real=True)
        if not real.exists():
            self.skipTest("LevelDB is not installed")
        if "libasan" in (needed := subprocess.run(["ldd", real], stdout=subprocess.PIPE,
                                                  check=True).stdout.decode()) \
                or "libtsan" in needed:
            self.skipTest("a sanitizer wants to come first")
        with tempfile.TemporaryDirectory() as directory:
            env = {**os.environ, "LD_LIBRARY_PATH": str(BUILD / "compat" / "leveldb")}
            out = subprocess.run([real, directory], input=TEXT, env=env, timeout=60,
                                 stdout=subprocess.PIPE, check=True).stdout
            self.assertEqual(out, COUNTS)
            self.assertTrue(any(name.endswith(".wal") for name in os.listdir(directory)))


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(Relinked)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)
