#!/usr/bin/env python3
"""Reads a closed store, from doc/FORMATS.md alone, verifying every checksum on the way.

    read_store.py STORE     prints what `varve dump STORE` prints

Nothing here is shared with the store's own code, so that a page that says too little, or another
thing than the code does, is found out.
"""
import pathlib
import re
import sys

from coding import DELETE, DELETE_RANGE, Corrupt, Reader, Unsupported, is_ref, need, strip, u32, u64
from read_log import (BATCH, EDIT, HAS_REFS, KV, MANIFEST, PREV_SYNCED, SEAL, VALUES, WAL, Log,
                      read_batch, read_ref)
from read_table import Table
from xxh3 import checksum, xxh3_64

NAME = re.compile(r"(?:(MANIFEST)-)?([0-9]{6}|[1-9][0-9]{6,18})(?:\.(wal|sst|val|spare|kept))?")


def file_name(kind, number):
    return f"MANIFEST-{number:06}" if kind == "MANIFEST" else f"{number:06}.{kind}"


def numbers_of(directory, kind):
    """The numbers of the files of a kind ("MANIFEST", "wal", "sst", "val", "spare"), ascending."""
    numbers = []
    for path in directory.iterdir():
        match = NAME.fullmatch(path.name)
        if match and (match[1] is None) != (match[3] is None) and kind in (match[1], match[3]):
            numbers.append(int(match[2]))
    return sorted(numbers)


# ---- MANIFEST

def read_table_add(reader):
    names = ("level", "number", "size", "entries", "tombstones", "raw_bytes", "min_seq", "max_seq",
             "created_us")
    table = {name: reader.varint() for name in names}
    table["smallest"], table["largest"] = reader.sized(), reader.sized()
    table["refs"] = [(reader.varint(), reader.varint(), reader.varint())
                     for _ in range(reader.varint())]
    table["ranges"], table["open_end"] = 0, 0
    if reader.left() > 0:
        table["ranges"], table["open_end"] = reader.varint(), reader.varint()
        need(table["ranges"] > 0 and table["open_end"] <= 1, reader.what, "has impossible ranges")
    table["expiring"] = (0, 0)
    table["raised"] = 0
    need(table["level"] <= 6 and table["number"] > 0, reader.what, "has an impossible table")
    return table


def read_value_file(reader):
    names = ("number", "sealed", "record_bytes", "record_count")
    file = {name: reader.varint() for name in names}
    file["serves"] = [reader.varint() for _ in range(reader.varint())]
    need(file["sealed"] <= 1 and file["number"] > 0 and file["serves"] and
         file["serves"] == sorted(set(file["serves"])), reader.what, "has an impossible value file")
    return file


def read_edit(body, what):
    """The fields of an edit: [(tag, content)]."""
    reader, fields = Reader(body, what), []
    while reader.left() > 0:
        tag, inner = reader.varint(), Reader(reader.sized(), what)
        if tag == 1:
            content = (inner.varint(), inner.bytes(16) if inner.left() >= 16 else b"",
                       inner.sized().decode(), inner.sized().decode(), inner.varint())
            if content[0] != 1 or content[4] != 0:
                raise Unsupported(f"{what}: the store has format {content[0]}, "
                                  f"features {content[4]:#x}")
        elif tag in (2, 3, 7, 8, 11):
            content = inner.varint()
            need(content > 0, what, "has a zero where a number belongs")
        elif tag == 6:
            content = read_table_add(inner)
        elif tag == 9:
            content = read_value_file(inner)
        elif tag == 14:
            content = None
        elif tag == 15:
            content = (inner.varint(), inner.varint())
        elif tag == 16:
            content = (inner.varint(), inner.bytes(inner.left()))
            need(content[0] < 1 << 32 and len(content[1]) <= 4096, what, "has no such note")
        elif tag == 17:
            content = (inner.bytes(16), inner.varint())
        elif tag == 18:
            content = (inner.varint(), (inner.varint(), inner.varint()))
            added = [c for t, c in fields if t == 6 and c["number"] == content[0]]
            need(added and 0 < content[1][0] <= added[0]["entries"], what,
                 "says what expires of a table that it does not add")
            added[0]["expiring"] = content[1]
        elif tag == 20:
            content = (inner.varint(), inner.varint())
            added = [c for t, c in fields if t == 6 and c["number"] == content[0]]
            need(added and 0 < content[1] <= added[0]["min_seq"] and added[0]["ranges"] == 0, what,
                 "raises a table that it does not add, or too far")
            added[0]["raised"] = content[1]
        elif tag == 19:
            content = inner.varint()
            need(content > 0, what, "has a clock that stands at zero")
        elif tag < 64:
            raise Unsupported(f"{what}: a field {tag}")
        else:
            continue
        need(inner.left() == 0, what, "has a field that is longer than its content")
        fields.append((tag, content))
    return fields


class State:
    """What the edits of a MANIFEST add up to."""

    def __init__(self):
        self.format, self.next_file, self.flushed, self.log = None, 0, 0, 0
        self.closed, self.clock = (0, 0), 0
        self.tables, self.values, self.notes = {}, {}, {}
        self.origins = []

    def apply(self, fields):
        for tag, content in fields:
            if tag in (7, 11):
                gone = self.tables if tag == 7 else self.values
                need(content in gone, "an edit removes a file that is not there:", content)
                del gone[content]
        for tag, content in fields:
            if tag == 1:
                self.format = content
            elif tag == 2:
                self.next_file = max(self.next_file, content)
            elif tag == 3:
                self.flushed = max(self.flushed, content)
            elif tag == 6:
                need(content["number"] not in self.tables, "a table is added twice")
                self.tables[content["number"]] = content
            elif tag == 8:
                self.log = max(self.log, content)
            elif tag == 9:
                self.values[content["number"]] = content
            elif tag == 19:
                self.clock = max(self.clock, content)
            elif tag == 15:
                self.closed = content
            elif tag == 16:
                self.notes[content[0]] = content[1]
                if not content[1]:
                    del self.notes[content[0]]
            elif tag == 17:
                need(content[1] > max([below for _, below in self.origins], default=0),
                     "an origin is out of order")
                self.origins.append(content)

    def uuid_of(self, number):
        """Under which UUID a table or value file was written."""
        return next((uuid for uuid, below in self.origins if number < below), self.format[1])


def read_manifest(directory, number):
    path = directory / file_name("MANIFEST", number)
    need(path.exists(), path, "is missing")
    log = Log(path.read_bytes(), path.name, MANIFEST, number)
    edits = [read_edit(record.body, f"{path.name}: the edit at {record.offset}")
             for record in log.records if record.type == EDIT]
    need(edits, path, "has no edit")
    state = State()
    for i, fields in enumerate(edits):
        tags = [tag for tag, _ in fields]
        need(i > 0 or {1, 14} <= set(tags), path, "does not begin with a snapshot")
        need(14 not in tags or 1 in tags, path, "has a snapshot without a format")
        need(all(tags.count(tag) <= 1 for tag in (1, 2, 3, 8, 14, 15, 19)), path, "has a field twice")
        if 14 in tags:
            state = State()
        state.apply(fields)
    need(log.head.uuid == state.format[1], path, "belongs to another store than it says")
    return state


def read_current(directory):
    """The state that is in force."""
    current = directory / "CURRENT"
    text = current.read_bytes() if current.exists() else b""
    match = re.fullmatch(rb"MANIFEST-([0-9]{6,19}) ([0-9a-f]{16})\n", text)
    if match and int(match[2], 16) == xxh3_64(text.split(b" ", maxsplit=1)[0]):
        return read_manifest(directory, int(match[1]))
    for number in reversed(numbers_of(directory, "MANIFEST")):
        try:
            return read_manifest(directory, number)
        except Corrupt:
            continue
    raise Corrupt(f"{directory}: no MANIFEST reads")


# ---- value files

class ValueFile:
    def __init__(self, directory, meta, uuid):
        path = directory / file_name("val", meta["number"])
        need(path.exists(), path, "is missing")
        self.meta, self.name = meta, path.name
        self.log = Log(path.read_bytes(), path.name, VALUES, meta["number"], uuid)
        self.records = {record.offset: record for record in self.log.records if record.type == KV}
        self.map = None
        if meta["serves"] != [meta["number"]]:
            self.map = self.read_map()
        if meta["sealed"] and meta["record_count"] > 0:
            need(len(self.records) == meta["record_count"] and
                 sum(r.end - r.offset for r in self.records.values()) == meta["record_bytes"],
                 self.name, "is not as the MANIFEST says")

    def read_map(self):
        records = self.log.records
        need(records and records[-1].type == SEAL, self.name, "has no map")
        seal, body = records[-1], records[-1].body
        need(len(body) >= 16 and len(body) % 16 == 0 and seal.end == len(self.log.data) and
             (u64(body, len(body) - 16), u64(body, len(body) - 8)) ==
             (seal.offset, len(body) // 16 - 1), self.name, "has a bad trailer")
        entries = [(u32(body, at), u32(body, at + 4), u32(body, at + 8))
                   for at in range(0, len(body) - 16, 16)]
        need(entries == sorted(entries) and len({e[:2] for e in entries}) == len(entries) and
             {e[0] for e in entries} == set(self.meta["serves"]), self.name, "has a bad map")
        return {(file, start): to for file, start, to in entries}

    def value(self, ref, key):
        """The value that a reference leads to, or None if it is not whole."""
        to = ref.offset if self.map is None else self.map.get((ref.file, ref.offset))
        record = None if to is None else self.records.get(8 * to)
        if (record is None or record.key != key or len(record.body) != ref.size or
                checksum(record.body) != ref.check):
            return None
        return record.body


# ---- recovery

class Store:
    """A closed store. `entries` are all versions that count: (key, sequence, kind, value), `ranges`
    all range tombstones: (from, to, sequence)."""

    def __init__(self, path):
        self.directory = pathlib.Path(path)
        self.state = read_current(self.directory)
        _, self.uuid, engine, self.order, _ = self.state.format
        if engine != "lsm":
            raise Unsupported(f"{path}: the engine is {engine}")
        self.values, self.servers = [], {}
        for meta in self.state.values.values():
            file = ValueFile(self.directory, meta, self.uuid)
            if file.log.head is None and not meta["sealed"]:
                continue  # its process was killed before anything was in it
            self.values.append(file)
            for number in meta["serves"]:
                need(number not in self.servers, path, "has two files for references to", number)
                self.servers[number] = self.values[-1]
        self.tables = [self.read_table(meta) for meta in self.state.tables.values()]
        self.logs = []
        self.read_logs()
        self.entries = [entry for table in self.tables for entry in table.entries]
        for entry in self.entries:
            if is_ref(entry[2]):
                need(self.value_of(entry) is not None, path, "has lost the value of", entry[0])
        self.ranges = [range_ for table in self.tables for range_ in table.ranges]
        self.entries += self.replay()
        self.ranges += [(key, value, seq) for key, seq, kind, value in self.entries
                        if kind == DELETE_RANGE]
        self.entries = [entry for entry in self.entries if entry[2] != DELETE_RANGE]

    def read_table(self, meta):
        path = self.directory / file_name("sst", meta["number"])
        need(path.exists(), path, "is missing")
        data = path.read_bytes()
        need(len(data) == meta["size"], path, "has another size than the MANIFEST says")
        table = Table(data, path.name, meta["number"], self.uuid, self.order)
        p = table.properties
        table.raise_by(meta["raised"])
        need((p[2], p[3], p[4], p[5] + meta["raised"], p[6] + meta["raised"], p[7], p[8], p.get(12, 0), p.get(13, 0)) ==
             tuple(meta[name] for name in ("entries", "tombstones", "raw_bytes", "min_seq",
                                           "max_seq", "smallest", "largest", "ranges", "open_end")),
             path, "is not as the MANIFEST says")
        need(table.expiring == meta["expiring"], path, "expires otherwise than the MANIFEST says")
        need([(file, table.reference_bytes[file], len(offsets))
              for file, offsets in table.references.items()] == meta["refs"], path,
             "refers to other values than the MANIFEST says")
        return table

    def value_of(self, entry):
        key, _, kind, value = entry
        if not is_ref(kind):
            return strip(kind, value)
        ref = read_ref(strip(kind, value))
        server = self.servers.get(ref.file)
        return None if server is None else server.value(ref, key)

    def read_logs(self):
        closed_log, closed_bytes = self.state.closed
        synced = False
        for number in reversed([n for n in numbers_of(self.directory, "wal")
                                if n >= self.state.log]):
            name = file_name("wal", number)
            synced = synced or number <= closed_log
            log = Log((self.directory / name).read_bytes(), name, WAL, number, self.uuid, synced)
            log.number = number
            synced = synced or any(record.type == BATCH and record.flags & PREV_SYNCED
                                   for record in log.records)
            log.prev_synced = synced
            self.logs.insert(0, log)
        for log in self.logs:
            self.cut_unproved(log)
        if closed_log >= self.state.log:
            need(any(log.number == closed_log and log.end >= closed_bytes for log in self.logs),
                 "the log of an orderly close is not whole:", closed_log)

    def cut_unproved(self, log):
        """Rule 1: batches that no PREV_SYNCED vouches for need their values."""
        marks = [i for i, record in enumerate(log.records) if record.flags & PREV_SYNCED]
        for i in range(marks[-1] if marks else 0, len(log.records)):
            record = log.records[i]
            if record.flags & HAS_REFS and record.seq > self.state.flushed and any(
                    entry is None for entry in self.with_values(record, log.name)):
                log.end, log.last_seq = record.offset, record.seq - 1 if i > 0 else 0
                log.records = log.records[:i]
                return

    def with_values(self, record, name):
        for seq, kind, key, value in read_batch(record, name):
            entry = (key, seq, kind, value)
            yield None if self.value_of(entry) is None else entry

    def replay(self):
        """Rules 2 to 4: what the logs hold that counts."""
        state, entries = self.state.flushed, []
        lowest_is_there = any(log.number == self.state.log for log in self.logs)
        logs = [log for log in self.logs if log.head is not None]
        for i, log in enumerate(logs):
            if log.head.prev_seq > state:
                need(lowest_is_there and not log.prev_synced, log.name,
                     "goes on behind a hole after", state)
                break
            limit = min([log.last_seq] + [later.head.prev_seq for later in logs[i + 1:]])
            for record in log.records:
                if record.type == BATCH and self.state.flushed < record.seq <= limit:
                    found = list(self.with_values(record, log.name))
                    need(None not in found, log.name, "has lost a value at", record.offset)
                    entries += found
            state = max(state, limit)
        return entries

    def newest(self):
        """What a reader of the default keyspace sees: [(key, value)] in the order of keys."""
        newest = {}
        for entry in self.entries:
            held = newest.get(entry[0])
            if held is None or held[1] < entry[1]:
                newest[entry[0]] = entry
        return [(key[1:], self.value_of(entry)) for key, entry in sorted(newest.items())
                if entry[2] != DELETE and key[0] == 0 and not any(
                    start <= key < end and seq > entry[1] for start, end, seq in self.ranges)]


def escape(data):
    """As `varve dump` writes bytes: UTF-8 stays, the rest is escaped."""
    text = data.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
    text = text.replace("\t", "\\t").replace("\n", "\\n")
    return re.sub("[\0-\x1f\x7f]", lambda match: f"\\x{ord(match[0]):02x}", text)


def dump(store):
    lines = (f"{escape(key)}\t{escape(value)}\n" for key, value in store.newest())
    return "".join(lines).encode()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        sys.stdout.buffer.write(dump(Store(sys.argv[1])))
    except (Corrupt, Unsupported) as error:
        sys.exit(f"read_store.py: {error}")


if __name__ == "__main__":
    main()
