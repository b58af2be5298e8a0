"""The README's C program compiles and does what it says."""
import os
import pathlib
import re
import subprocess

from harness import VARVE, main, test

ROOT = pathlib.Path(os.environ.get("VARVE_SOURCE_ROOT", pathlib.Path(__file__).parents[2]))


def check_example(t, number, output):
    code = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.S)[number]
    source = t.file("example.c", code.encode())
    build = pathlib.Path(VARVE).parent
    program = str(pathlib.Path(source).with_suffix(""))
    needed = subprocess.run(["nm", "-D", str(build / "libvarve.so")], check=True,
                            capture_output=True, text=True).stdout
    flags = [f"-fsanitize={what}" for mark, what in (("__asan_init", "address,undefined"),
                                                     ("__tsan_init", "thread")) if mark in needed]
    subprocess.run(["cc", *flags, "-std=c17", "-Wall", "-Wextra", "-Werror", f"-I{ROOT}/include", source,
                    "-o", program, f"-L{build}", f"-Wl,-rpath,{build}", "-l:libvarve.so"],
                   check=True)
    for _ in range(2):  # the second time the store is there already
        out = subprocess.run([program], cwd=t.dir, check=True, capture_output=True).stdout
        t.equal(out, output)


@test
def the_c_example_of_the_readme_works(t):
    check_example(t, 0, b"The C Programming Language\n978-0131103627\n978-0262510875\n")


@test
def the_example_of_keyspaces_works(t):
    check_example(t, 1, b"The C Programming Language\n")


main()
