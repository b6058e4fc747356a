# SPDX-License-Identifier: Apache-2.0
"""Writes GGUF version 3 files: metadata, and tensors of any type of gguf_types.py.

The layouts are those of the format's description (ggml docs/gguf.md). Only what ayni's tools need.
"""
import struct

from gguf_types import TYPES

ALIGNMENT = 32
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def _string(text):
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def _value(kind, value):
    if kind == STRING:
        return _string(value)
    return struct.pack({U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}[kind], value)


class GGUFWriter:
    """Collects metadata and tensors in order; `write` lays them out."""

    def __init__(self):
        self.metadata = []
        self.tensors = []

    def u32(self, key, value):
        self.metadata.append(_string(key) + struct.pack("<I", U32) + _value(U32, value))

    def f32(self, key, value):
        self.metadata.append(_string(key) + struct.pack("<I", F32) + _value(F32, value))

    def bool(self, key, value):
        self.metadata.append(_string(key) + struct.pack("<I", BOOL) + _value(BOOL, value))

    def string(self, key, value):
        self.metadata.append(_string(key) + struct.pack("<I", STRING) + _value(STRING, value))

    def array(self, key, kind, values):
        head = _string(key) + struct.pack("<IIQ", ARRAY, kind, len(values))
        self.metadata.append(head + b"".join(_value(kind, v) for v in values))

    def tensor(self, name, array, kind):
        """`array` has rows first, as numpy prints it; the file wants the row length first."""
        kind = TYPES[kind]
        self.tensors.append((name, array.shape, kind.id, kind.encode(array)))

    def write(self, path):
        head = [struct.pack("<4sIQQ", b"GGUF", 3, len(self.tensors), len(self.metadata))]
        head += self.metadata
        offset = 0
        for name, shape, kind, data in self.tensors:
            dims = struct.pack(f"<{len(shape)}Q", *reversed(shape))
            head.append(_string(name) + struct.pack("<I", len(shape)) + dims
                        + struct.pack("<IQ", kind, offset))
            offset += len(data) + -len(data) % ALIGNMENT
        head = b"".join(head)
        with open(path, "wb") as out:
            out.write(head + b"\0" * (-len(head) % ALIGNMENT))
            for _, _, _, data in self.tensors:
                out.write(data + b"\0" * (-len(data) % ALIGNMENT))
