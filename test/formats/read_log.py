"""Reads record logs, batches and value references as doc/FORMATS.md describes them."""
import collections
import struct

from coding import (DELETE, KEY_SIZE_MAX, KINDS, Corrupt, Reader, Unsupported, kind_fits, need,
                    u32)
from xxh3 import checksum, xxh3_64

WAL, VALUES, HASH, MANIFEST = 1, 2, 3, 4
BATCH, EDIT, KV, SEAL = 1, 7, 8, 9
PREV_SYNCED, HAS_REFS, KEY_64K = 1, 2, 4

HEAD_SIZE, RECORD_HEAD_SIZE = 96, 24
LOOKAHEAD = 64 << 20
WHERE = {BATCH: (WAL, HASH), EDIT: (MANIFEST,), KV: (VALUES, HASH),
         SEAL: (WAL, VALUES, HASH, MANIFEST)}
FLAGS = {BATCH: PREV_SYNCED | HAS_REFS, EDIT: PREV_SYNCED, KV: PREV_SYNCED | KEY_64K,
         SEAL: PREV_SYNCED}

Head = collections.namedtuple("Head", "kind salt number uuid first_seq prev_number prev_seq "
                              "created_us stale_end")
Record = collections.namedtuple("Record", "offset type flags aux seq key body end")
Ref = collections.namedtuple("Ref", "file offset size check")


def read_head(data, name, kind_wanted, number_wanted, uuid_wanted):
    """The header, or None where power failed before it was written."""
    raw = data[:HEAD_SIZE]
    if len(raw) < HEAD_SIZE or not any(raw):
        return None
    is_sound = raw[:8] == b"varvelog" and checksum(raw[:92]) == u32(raw, 92)
    head = parse_head(raw, name) if is_sound else None
    if head is None or (head.kind, head.number) != (kind_wanted, number_wanted) or (
            uuid_wanted is not None and head.uuid != uuid_wanted):
        if not any(data[HEAD_SIZE:LOOKAHEAD]):
            return None
        raise Corrupt(f"{name}: the header fails its check, or is another file's")
    return head


def parse_head(raw, name):
    version, kind, salt, number = struct.unpack_from("<HHIQ", raw, 8)
    first_seq, prev_number, prev_seq, created_us, required, stale_end = struct.unpack_from(
        "<QQQQIQ", raw, 40)
    if version != 1 or not WAL <= kind <= MANIFEST or required != 0:
        raise Unsupported(f"{name}: version {version}, kind {kind}, features {required:#x}")
    return Head(kind, salt, number, raw[24:40], first_seq, prev_number, prev_seq, created_us,
                stale_end)


class Log:
    """One log. After reading: `records`, `end` (offset behind the last), `torn`."""

    def __init__(self, data, name, kind, number, uuid=None, later_synced=False):
        self.data, self.name, self.later_synced = data, name, later_synced
        self.records, self.end, self.torn, self.last_seq = [], 0, False, 0
        self.head = read_head(data, name, kind, number, uuid)
        if self.head is None:
            need(not later_synced, name, "was synced, and its header is gone")
            return
        self.continuous = kind in (WAL, MANIFEST)
        self.read_all()

    # ---- one record

    def fields(self, at):
        """What the header of a record there says; None if it can be none."""
        if at + RECORD_HEAD_SIZE > len(self.data):
            return None
        check, size, type_, flags, key_size, aux, seq = struct.unpack_from("<IIBBHIQ",
                                                                          self.data, at)
        if flags & KEY_64K:
            key_size += 1 << 16
            if key_size > KEY_SIZE_MAX:
                return None
        if type_ == 0 or key_size > size:
            return None
        return check, size, type_, flags, key_size, aux, seq

    def verify(self, at, as_seq=None):
        """The record at an offset, if one verifies there (with `as_seq` for its sequence)."""
        fields = self.fields(at)
        if fields is None:
            return None
        check, size, type_, flags, key_size, aux, seq = fields
        body_at, end = at + RECORD_HEAD_SIZE + key_size, at + RECORD_HEAD_SIZE + size
        padded = end + -end % 8
        if padded > len(self.data):
            return None
        key, body = self.data[at + RECORD_HEAD_SIZE:body_at], self.data[body_at:end]
        body_hash = xxh3_64(body, xxh3_64(key) if key_size > 0 else 0)
        bound = self.data[at + 4:at + 16] + struct.pack(
            "<QQQ", seq if as_seq is None else as_seq, body_hash, at)
        if checksum(bound, self.head.salt) != check or any(self.data[end:padded]):
            return None
        return Record(at, type_, flags, aux, seq, key, body, padded)

    def fits(self, type_, flags, key_size, aux):
        return (self.head.kind in WHERE.get(type_, ()) and flags & ~FLAGS[type_] == 0
                and (type_ == KV or key_size == 0) and (type_ == BATCH or aux == 0))

    @staticmethod
    def count(record):
        return {BATCH: record.aux, EDIT: 1}.get(record.type, 0)

    # ---- all records

    def read_all(self):
        at, floor, exact = HEAD_SIZE, self.head.first_seq, False
        while True:
            record = self.verify(at)
            if record is not None and not self.fits(record.type, record.flags, len(record.key),
                                                    record.aux):
                raise Unsupported(f"{self.name}: a record of another version at {at}")
            if record is None or record.seq < floor or exact and record.seq != floor:
                break
            self.records.append(record)
            at = record.end
            if self.continuous:
                floor, exact = record.seq + self.count(record), True
                self.last_seq = floor - 1
            if record.type == SEAL:
                self.end = at
                return
        self.end = at
        self.judge(at, floor, exact)

    def judge(self, at, floor, exact):
        """What the bytes behind the last record are; see "The end of a log"."""
        if not any(self.data[at:at + LOOKAHEAD]):
            return
        later = self.later_record(at, at + LOOKAHEAD, floor)
        fields = self.fields(at)
        if later is None and fields is not None and fields[1] > LOOKAHEAD:
            end = at + RECORD_HEAD_SIZE + fields[1]
            later = self.later_record(end + -end % 8, end + LOOKAHEAD, floor)
        need(later is None or not later.flags & PREV_SYNCED, self.name, "is damaged at", at)
        self.torn = later is not None or at >= self.head.stale_end or self.is_ours(at, floor, exact)
        need(not (self.torn and self.later_synced), self.name, "was synced, and is damaged at", at)

    def later_record(self, at, limit, floor):
        """The first record with PREV_SYNCED from here on, or else the first record."""
        first = None
        while at + RECORD_HEAD_SIZE <= min(limit, len(self.data)):
            fields = self.fields(at)
            record = None
            if fields is not None and fields[6] >= floor and self.fits(*fields[2:6]):
                record = self.verify(at)
            if record is not None:
                if record.flags & PREV_SYNCED:
                    return record
                first = first or record
            at = record.end if record is not None else at + 8
        return first

    def is_ours(self, at, floor, exact):
        fields = self.fields(at)
        if at + RECORD_HEAD_SIZE > len(self.data) or not self.continuous:
            return False
        if not exact:
            return fields is not None and fields[6] >= floor and self.fits(*fields[2:6])
        if int.from_bytes(self.data[at + 16:at + 24], "little") == floor:
            return True
        return self.verify(at, as_seq=floor) is not None


def read_batch(record, name):
    """The operations of a BATCH record: (sequence, kind, key, value)."""
    reader = Reader(record.body, f"{name}: the batch at {record.offset}")
    for i in range(record.aux):
        kind = reader.u8()
        if kind not in KINDS:
            raise Unsupported(f"{reader.what} has an operation of kind {kind}")
        key, value = reader.sized(), b""
        if kind != DELETE:
            value = reader.sized()
        need(len(key) <= KEY_SIZE_MAX and kind_fits(kind, value), reader.what,
             "has a key over the limit, or a value that does not fit its kind")
        yield record.seq + i, kind, key, value
    need(reader.left() == 0, reader.what, "has more operations than it says")


def read_ref(value):
    return Ref(*struct.unpack("<IIII", value))
