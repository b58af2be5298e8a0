"""bench."""
import json

from harness import main, test

ALL = ("fillseq,fillrandom,overwrite,readrandom,readmissing,readseq,readreverse,seekrandom,"
       "readwhilewriting,mixed,deleterandom")


@test
def a_table_names_every_workload(t):
    out = t.run("bench", t.store, "--num", "2k", "--workload", ALL).out.decode()
    lines = [line.split()[0] for line in out.splitlines()[2:]]
    t.equal(lines, ALL.split(","))


@test
def json_holds_the_figures(t):
    result = json.loads(t.run("bench", t.store, "--num", "3000", "-w", ALL, "-t", "2", "--batch",
                              "7", "--value-size", "64", "--json").out)
    t.equal([r["workload"] for r in result["results"]], ALL.split(","))
    for figures in result["results"]:
        t.true(figures["operations"] > 0 and figures["ops_per_second"] > 0, figures)
        latency = figures["latency_us"]
        t.true(latency["p50"] <= latency["p99"] <= latency["p99.9"] <= latency["max"] * 1.2, latency)
    by_name = {r["workload"]: r for r in result["results"]}
    t.equal(by_name["readrandom"]["found"], 3000)
    t.equal(by_name["readmissing"]["found"], 0)


@test
def both_fills_write_every_key_once(t):
    for workload in ("fillseq", "fillrandom"):
        store = t.store + workload
        t.run("bench", store, "--num", "1237", "-w", workload, "--threads", "3", "--batch", "10")
        keys = t.run("scan", store, "--keys").out
        t.equal(keys, b"".join(b"%016d\n" % i for i in range(1237)))


@test
def a_store_with_entries_is_not_written_to_without_force(t):
    t.run("put", t.store, "precious", "data")
    t.fails("bench", t.store, "--num", "100", says=b"--force")
    t.equal(t.run("scan", t.store).out, b"precious\tdata\n")
    t.run("bench", t.store, "--num", "100", "-w", "readrandom")
    t.run("bench", t.store, "--num", "100", "-w", "fillseq", "--force")
    t.equal(t.run("count", t.store).out, b"101\n")


@test
def what_makes_no_sense_is_refused_before_there_is_a_store(t):
    for words, says in ((["-w", "fill"], b"fill"), (["--num", "0"], b"--num"),
                        (["--num", "1M", "--key-size", "5"], b"digits"),
                        (["--compressible", "1.5"], b"--compressible"), (["-w", "readseq"], b"")):
        t.fails("bench", t.store, *words, says=says)
        t.missing(t.store)


@test
def a_store_in_memory_will_do(t):
    t.run("bench", ":memory:", "--num", "1000", "--value-size", "0")


main()
