# SPDX-License-Identifier: Apache-2.0
"""Writes GGUF version 3 files: metadata, and tensors in F32, F16, BF16, Q8_0 or Q4_0.

The layouts are those of the format's description (ggml docs/gguf.md). Only what ayni's tools need.
"""
import struct

import numpy as np

ALIGNMENT = 32
TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "BF16": 30}
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9


def encode_q8_0(x):
    """Blocks of 32: scale d = absmax / 127 in binary16, then 32 signed bytes."""
    blocks = x.astype(np.float32).reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1) / 127).astype(np.float32)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale > 0)
    quants = np.rint(blocks * inverse[:, None]).astype(np.int8)
    return b"".join(s.tobytes() + q.tobytes() for s, q in zip(scale.astype(np.float16), quants))


def encode_q4_0(x):
    """Blocks of 32: scale d = (value of largest magnitude) / -8, then nibbles of value / d + 8."""
    blocks = x.astype(np.float32).reshape(-1, 32)
    rows = np.arange(len(blocks))
    scale = (blocks[rows, np.abs(blocks).argmax(axis=1)] / -8).astype(np.float32)
    inverse = np.divide(1.0, scale, out=np.zeros_like(scale), where=scale != 0)
    quants = np.clip(np.floor(blocks * inverse[:, None] + 8.5), 0, 15).astype(np.uint8)
    packed = quants[:, :16] | (quants[:, 16:] << 4)
    return b"".join(s.tobytes() + q.tobytes() for s, q in zip(scale.astype(np.float16), packed))


def encode_bf16(x):
    """The upper half of binary32, rounded to nearest even."""
    bits = x.astype(np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16).tobytes()


ENCODERS = {
    "F32": lambda x: x.astype(np.float32).tobytes(),
    "F16": lambda x: x.astype(np.float16).tobytes(),
    "BF16": encode_bf16,
    "Q8_0": encode_q8_0,
    "Q4_0": encode_q4_0,
}


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
        self.tensors.append((name, array.shape, TYPES[kind], ENCODERS[kind](array)))

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
