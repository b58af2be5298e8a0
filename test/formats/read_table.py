"""Reads tables as doc/FORMATS.md describes them, verifying all of it."""
import shutil
import struct
import subprocess

import lz4
from coding import (DELETE, DELETE_RANGE, KEY_SIZE_MAX, KINDS, MASK64, PUT, SEQ_MAX, Reader,
                    Unsupported, expires, is_ref, kind_fits, mix, need, strip, u16, u32, u64)
from read_log import read_ref
from xxh3 import checksum, xxh3_64

FOOTER_SIZE, TRAILER_SIZE = 128, 12
DATA, INDEX, FILTER, REFERENCES, PROPERTIES, TOP, RANGES = 1, 2, 3, 4, 5, 6, 7
FIXED_SUFFIX, FIXED_VALUE, WIDE_SUFFIX, WIDE_VALUE, PRINTS, HEADS = 1, 2, 4, 8, 16, 32
BLOOM, FUSE8, FUSE16 = 1, 2, 3


def decompress_zstd(content, raw_size):
    if shutil.which("zstd") is None:
        raise Unsupported("a block is compressed with zstd, and there is no zstd command")
    raw = subprocess.run(["zstd", "-dcq"], input=content, capture_output=True, check=False).stdout
    need(len(raw) == raw_size, "a zstd block has", len(raw), "bytes and not", raw_size)
    return raw


class Slotted:
    """A slotted block: `entries` of (key, sequence, kind, value)."""

    def __init__(self, content, role, bytewise, what):
        need(len(content) >= 24, what, "is shorter than its header")
        count, flags, meta_width, prefix_size, suffix_size, value_size, base = struct.unpack_from(
            "<HBBIIIQ", content, 0)
        if flags >= 64:
            raise Unsupported(f"{what} has flags {flags:#x}")
        need(0 < count <= 32767 and meta_width <= 8, what, "has a bad header")
        self.flags = flags
        need(bool(flags & PRINTS) == (role == DATA), what, "has prints and should not, or has none")
        need(bool(flags & HEADS) == (role != DATA and bytewise), what, "has heads, or has none")
        need(bytewise or prefix_size == 0, what, "has a prefix")
        need(bool(flags & WIDE_SUFFIX) == (not flags & FIXED_SUFFIX and suffix_size > 65535) and
             bool(flags & WIDE_VALUE) == (not flags & FIXED_VALUE and value_size > 65535),
             what, "has offsets of another width")
        reader = Reader(content, what)
        reader.at = 24
        prefix = reader.bytes(prefix_size)
        prints = reader.bytes(count) if flags & PRINTS else None
        heads = reader.bytes(4 * count) if flags & HEADS else None
        suffix_at = self.offsets(reader, count, flags & FIXED_SUFFIX, flags & WIDE_SUFFIX,
                                 suffix_size)
        value_at = self.offsets(reader, count, flags & FIXED_VALUE, flags & WIDE_VALUE, value_size)
        metas = reader.bytes(meta_width * count)
        suffixes, values = reader.bytes(suffix_at[count]), reader.bytes(value_at[count])
        need(reader.left() == 0, what, "is longer than its parts")
        need(meta_width == 0 or base >> 56 == 0, what, "has a kind for all and for each")
        self.entries = []
        for i in range(count):
            suffix = suffixes[suffix_at[i]:suffix_at[i + 1]]
            key, value = prefix + suffix, values[value_at[i]:value_at[i + 1]]
            seq, kind = base & SEQ_MAX, base >> 56
            if meta_width > 0:
                meta = int.from_bytes(metas[i * meta_width:(i + 1) * meta_width], "little")
                seq, kind = seq + (meta >> 4), meta & 15
            if kind not in KINDS or kind == DELETE_RANGE:
                raise Unsupported(f"{what} has an entry of kind {kind}")
            need(seq <= SEQ_MAX and len(key) <= KEY_SIZE_MAX, what, "has an impossible entry")
            need(kind_fits(kind, value), what, "has a value that does not fit its kind")
            if prints is not None:
                need(prints[i] == xxh3_64(key) >> 56, what, "has a print of another key")
            if heads is not None:
                need(u32(heads, 4 * i) == int.from_bytes(suffix[:4].ljust(4, b"\0"), "big"), what,
                     "has a head of another key")
            self.entries.append((key, seq, kind, value))

    @staticmethod
    def offsets(reader, count, fixed, wide, size):
        if fixed:
            return range(0, (count + 1) * size, size) if size > 0 else [0] * (count + 1)
        raw = reader.bytes((count + 1) * (4 if wide else 2))
        offsets = struct.unpack(f"<{count + 1}{'I' if wide else 'H'}", raw)
        need(offsets[0] == 0 and offsets[count] == size and
             all(a <= b for a, b in zip(offsets, offsets[1:])), reader.what, "has bad offsets")
        return offsets


class Filter:
    def __init__(self, content, what):
        need(len(content) >= 16, what, "is too short for a filter")
        self.array, tail = content[:-16], content[-16:]
        self.kind, self.probes, log_segment, zero, self.segments, self.seed = struct.unpack(
            "<BBBBIQ", tail)
        need(self.kind in (BLOOM, FUSE8, FUSE16) and zero == 0 and self.segments > 0, what,
             "is no filter")
        self.length = 1 << log_segment
        if self.kind == BLOOM:
            need(1 <= self.probes <= 16 and log_segment == 0 and self.seed == 0, what,
                 "is no Bloom filter")
            size = self.segments * 64
        else:
            need(self.probes == 0 and 2 <= log_segment <= 18, what, "is no fuse filter")
            size = (self.segments + 2 << log_segment) * (self.kind - 1)
        need(len(self.array) == size, what, "is a filter of another size")

    def may_hold(self, hash_):
        return self.bloom(hash_) if self.kind == BLOOM else self.fuse(hash_)

    def bloom(self, hash_):
        line = (hash_ >> 32) * self.segments >> 32
        bits = hash_ & 0xffffffff
        for _ in range(self.probes):
            bits = bits * 0x9e3779b9 & 0xffffffff
            bit = bits >> 23
            if not self.array[64 * line + (bit >> 3)] >> (bit & 7) & 1:
                return False
        return True

    def fuse(self, hash_):
        m = mix(hash_ + self.seed & MASK64)
        length = self.length
        p0 = m * self.segments * length >> 64
        p1 = p0 + length ^ m >> 18 & length - 1
        p2 = p0 + 2 * length ^ m & length - 1
        wanted = m ^ m >> 32
        if self.kind == FUSE8:
            return self.array[p0] ^ self.array[p1] ^ self.array[p2] == wanted & 0xff
        return (u16(self.array, 2 * p0) ^ u16(self.array, 2 * p1) ^
                u16(self.array, 2 * p2)) == wanted & 0xffff


def internal(entry):
    """Sorts entries as a table has them, in bytewise order."""
    return entry[0], -entry[1]


class Table:
    """One table; `entries` in internal order, `ranges` as (from, to, sequence), `properties` by
    tag."""

    def __init__(self, data, name, number, uuid, order):
        self.data, self.name, self.bytewise = data, name, order == "bytewise"
        self.codecs, self.filters, self.block_flags = set(), set(), set()
        need(len(data) >= FOOTER_SIZE, name, "is too short for a footer")
        footer = data[-FOOTER_SIZE:]
        need(footer[:8] == b"varvesst", name, "does not end like a table")
        need(checksum(footer[:124], len(data)) == u32(footer, 124), name,
             "has a footer that fails its check")
        version, required, number_said, uuid_said, size = struct.unpack_from("<IIQ16sQ", footer, 8)
        if version != 1 or required != 0:
            raise Unsupported(f"{name}: version {version}, features {required:#x}")
        need(number_said == number and uuid_said == uuid and size == len(data), name,
             "is another file")
        self.salt = xxh3_64(uuid, number)
        self.covered = [(len(data) - FOOTER_SIZE, len(data))]
        self.properties = self.read_properties(*struct.unpack_from("<QI", footer, 60))
        need(self.properties[1] == order.encode(), name, "has another order of keys")
        self.entries = list(self.read_entries(*struct.unpack_from("<QI", footer, 48)))
        self.references = self.read_references(*struct.unpack_from("<QI", footer, 72))
        self.ranges = self.read_ranges(*struct.unpack_from("<QI", footer, 84))
        self.check_all()

    def raise_by(self, raised):
        """The MANIFEST says by how much; each key has one version then."""
        need(not raised or len({entry[0] for entry in self.entries}) == len(self.entries), self.name,
             "is raised and has several versions of a key")
        self.entries = [(key, seq + raised, kind, value)
                        for key, seq, kind, value in self.entries]

    # ---- blocks

    def block(self, offset, size, role, align=8):
        what = f"{self.name}: the block at {offset}"
        need(size >= TRAILER_SIZE and offset + size <= len(self.data) - FOOTER_SIZE and
             offset % align == 0, what, "is out of place")
        content = self.data[offset:offset + size - TRAILER_SIZE]
        raw_size, codec, role_said, zero, check = struct.unpack_from("<IBBHI", self.data,
                                                                    offset + len(content))
        seed = self.salt ^ mix(offset + 1)
        need(checksum(self.data[offset:offset + size - 4], seed) == check, what, "fails its check")
        if not DATA <= role_said <= RANGES or zero != 0 or codec > 2:
            raise Unsupported(f"{what} has role {role_said}, codec {codec}, zeros {zero:#x}")
        need(role_said == role, what, "is of another kind")
        need(codec == 0 or role == DATA, what, "is compressed")
        self.codecs.add(codec)
        self.covered.append((offset, offset + size))
        if codec == 1:
            content = lz4.decompress(content, raw_size)
        elif codec == 2:
            content = decompress_zstd(content, raw_size)
        need(len(content) == raw_size, what, "is of another size than it says")
        return content, what

    def slotted(self, offset, size, role):
        content, what = self.block(offset, size, role)
        block = Slotted(content, role, self.bytewise, what)
        self.block_flags.add(block.flags)
        return block.entries, what

    def read_properties(self, offset, size):
        content, what = self.block(offset, size, PROPERTIES)
        reader = Reader(content, what)
        properties, before = {}, 0
        while reader.left() > 0:
            tag = reader.varint()
            need(tag > before, what, "has properties out of order")
            properties[tag], before = reader.sized(), tag
        need(all(tag in properties for tag in range(1, 10)), what, "lacks a property")
        for tag in {2, 3, 4, 5, 6, 9, 12, 13} & set(properties):
            number = Reader(properties[tag], what)
            properties[tag] = number.varint()
            need(number.left() == 0, what, "has a property of another size")
        return properties

    def read_entries(self, offset, size):
        self.block_count = 0
        if size == 0:
            return
        for top_key, top_seq, kind, value in self.slotted(offset, size, TOP)[0]:
            index_at, index_size, filter_size, filter_at, blocks, entries, zero = struct.unpack(
                "<QIIQIQI", value)
            need((top_seq, kind, zero) == (0, PUT, 0), self.name, "has an odd top index")
            filter_ = None
            if filter_size > 0:
                filter_ = Filter(*self.block(filter_at, filter_size, FILTER, align=64))
                self.filters.add(filter_.kind)
            index = self.slotted(index_at, index_size, INDEX)[0]
            need(len(index) == blocks and index[-1][0] == top_key, self.name, "and its top index "
                 "differ on a partition")
            self.block_count += blocks
            seen = 0
            for i, entry in enumerate(index):
                found = self.read_data(entry, filter_)
                seen += len(found)
                self.check_separator(entry, found)
                if i > 0:
                    need(not self.bytewise or internal(index[i - 1]) < internal(found[0]), self.name,
                         "has a key before the separator of the block before")
                yield from found
            need(seen == entries, self.name, "and its top index differ on entries")

    def read_data(self, entry, filter_):
        offset, size, count, tombstones, flags = struct.unpack("<IIHHB3x", entry[3])
        need(entry[2] == PUT, self.name, "has an odd index")
        codecs, self.codecs = self.codecs, set()
        found, what = self.slotted(8 * offset, size, DATA)
        need(not flags & 2 or self.codecs == {0}, what, "is not raw, as its index says")
        self.codecs |= codecs
        kinds = [kind for _, _, kind, _ in found]
        need((len(found), kinds.count(DELETE)) == (count, tombstones) and
             bool(flags & 1) == (set(kinds) == {PUT}), what, "is not as its index says")
        for key, _, _, _ in found:
            need(filter_ is None or filter_.may_hold(xxh3_64(key)), what, "has a key that the "
                 "filter denies")
        return found

    def check_separator(self, entry, found):
        last = found[-1]
        if entry[1] != 0:
            need(entry[:2] == last[:2], self.name, "has a separator of another version")
        need(not self.bytewise or last[0] <= entry[0], self.name, "has a separator before its block")

    # ---- the end

    def read_references(self, offset, size):
        """The offsets that are referred to, of each value file."""
        if size == 0:
            return {}
        content, what = self.block(offset, size, REFERENCES)
        reader = Reader(content, what)
        references, before, self.reference_bytes = {}, -1, {}
        while reader.left() > 0:
            file, count, self.reference_bytes[file] = (reader.varint(), reader.varint(),
                                                       reader.varint())
            need(file > before and count > 0, what, "has files out of order")
            at, before, references[file] = 0, file, []
            for _ in range(count):
                at += reader.varint()
                references[file].append(at)
        return references

    def read_ranges(self, offset, size):
        if size == 0:
            return []
        content, what = self.block(offset, size, RANGES)
        reader, ranges = Reader(content, what), []
        while reader.left() > 0:
            ranges.append((reader.sized(), reader.sized(), reader.varint()))
            need(0 < ranges[-1][2] <= SEQ_MAX, what, "has a range with no sequence")
        layers = [[]]
        for range_ in ranges if self.bytewise else []:
            need(range_[0] < range_[1], what, "has an empty range")
            if layers[-1] and range_[0] < layers[-1][-1][1]:
                layers.append([])
            need(all(b[2] > range_[2] for layer in layers[:-1] for b in layer
                     if b[0] < range_[1] and range_[0] < b[1]), what, "has an older range in front")
            layers[-1].append(range_)
        return ranges

    def bounds(self):
        """The smallest key, the largest, and whether the largest is only where a range ends."""
        keys, ranges = [entry[0] for entry in self.entries], self.ranges
        largest = max([to for _, to, _ in ranges] + keys[-1:])
        return (min([start for start, _, _ in ranges] + keys[:1]), largest,
                int(not keys or keys[-1] < largest))

    def check_all(self):
        p, entries = self.properties, self.entries
        refs = [(key, read_ref(strip(kind, value))) for key, _, kind, value in entries
                if is_ref(kind)]
        seqs = [seq for _, seq, _, _ in entries] + [seq for _, _, seq in self.ranges]
        raw = sum(len(key) + (0 if is_ref(kind) else len(value))
                  for key, _, kind, value in entries) + sum(ref.size for _, ref in refs)
        need((p[2], p[3], p[4], p[5], p[6], p[9], p.get(12, 0)) ==
             (len(entries), sum(kind == DELETE for _, _, kind, _ in entries), raw, min(seqs),
              max(seqs), self.block_count, len(self.ranges)), self.name,
             "is not as its properties say")
        times = sorted(u64(value, 0) for _, _, kind, value in entries if expires(kind))
        said = Reader(p.get(14, b"\0\0"), self.name)
        count, half = said.varint(), said.varint()
        need(count == len(times) and (half in times or not times) and said.left() == 0, self.name,
             "counts what expires otherwise")
        self.expiring = (count, half)
        if self.bytewise:
            need((p[7], p[8], p.get(13, 0)) == self.bounds(), self.name, "has other bounds")
            need(all(internal(a) < internal(b) for a, b in zip(entries, entries[1:])), self.name,
                 "is not sorted")
        offsets, sums = {}, {}
        for key, ref in refs:
            record = 24 + len(key) + ref.size
            offsets.setdefault(ref.file, []).append(ref.offset)
            sums[ref.file] = sums.get(ref.file, 0) + record + -record % 8
        need({f: sorted(o) for f, o in offsets.items()} == self.references, self.name,
             "lists other references than it has")
        need(not refs or sums == self.reference_bytes, self.name, "counts its references otherwise")
        self.check_gaps()

    def check_gaps(self):
        at = 0
        for start, end in sorted(self.covered):
            need(at <= start and not any(self.data[at:start]) and start - at < 64, self.name,
                 "has bytes at", at, "that belong to nothing")
            at = end
