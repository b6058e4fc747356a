#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A Llama model from its definition, in float64 with numpy: the tests' independent oracle.

    reference.py MODEL.gguf TOKEN...     one line of logits a position

It shares no code with compute/ and follows no order of operations: it is what the canonical
arithmetic rounds. Only F32, F16, BF16, Q8_0 and Q4_0 tensors are read. Exit status 77 says
that numpy is missing.
"""

import struct
import sys

try:
    import numpy as np
except ImportError:
    sys.exit(77)

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


class Gguf:
    """Metadata as a dict; tensors decoded on demand as float64 arrays of [rows, columns]."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 4
        version, n_tensors, n_keys = self.scalar("I"), self.scalar("Q"), self.scalar("Q")
        if self.data[:4] != b"GGUF" or version not in (2, 3):
            sys.exit(f"{path}: not a GGUF file of version 2 or 3")
        self.keys = {}
        for _ in range(n_keys):
            name = self.string()
            self.keys[name] = self.value(self.scalar("I"))
        self.table = {}
        for _ in range(n_tensors):
            name = self.string()
            dims = [self.scalar("Q") for _ in range(self.scalar("I"))]
            self.table[name] = (dims, self.scalar("I"), self.scalar("Q"))
        align = self.keys.get("general.alignment", 32)
        self.base = (self.at + align - 1) // align * align

    def scalar(self, code):
        value = struct.unpack_from("<" + code, self.data, self.at)[0]
        self.at += struct.calcsize(code)
        return value

    def string(self):
        n = self.scalar("Q")
        self.at += n
        return self.data[self.at - n : self.at].decode("utf-8", "replace")

    def value(self, kind):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, n = self.scalar("I"), self.scalar("Q")
            return [self.value(kind) for _ in range(n)]
        return self.scalar(SCALARS[kind])

    def tensor(self, name):
        dims, kind, offset = self.table[name]
        n = int(np.prod(dims))
        raw = np.frombuffer(self.data, dtype=np.uint8, offset=self.base + offset)
        return decode(raw, kind, n).reshape(dims[::-1])


def decode(raw, kind, n):
    if kind == 0:
        return raw[: 4 * n].view("<f4").astype(np.float64)
    if kind == 1:
        return raw[: 2 * n].view("<f2").astype(np.float64)
    if kind == 30:
        return (raw[: 2 * n].view("<u2").astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if kind == 8:
        blocks = raw[: n // 32 * 34].reshape(-1, 34)
        quants = blocks[:, 2:].view(np.int8).astype(np.float64)
    elif kind == 2:
        blocks = raw[: n // 32 * 18].reshape(-1, 18)
        nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
        quants = nibbles.astype(np.float64) - 8.0
    else:
        sys.exit(f"tensor type {kind} is not known here")
    scales = blocks[:, :2].copy().view("<f2").astype(np.float64)
    return (quants * scales).reshape(-1)


def product(g, name, x):
    """Rows of x times the matrix; 8-bit weights meet activations of 8 bits, by definition."""
    if g.table[name][1] in (2, 8):
        blocks = x.reshape(x.shape[0], -1, 32)
        scales = np.abs(blocks).max(axis=-1, keepdims=True) / 127
        x = (np.rint(blocks / np.where(scales > 0, scales, 1)) * scales).reshape(x.shape)
    return x @ g.tensor(name).T


def rms_norm(x, weight, epsilon):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + epsilon) * weight


def rotate(x, angles):
    """Rotate neighbouring pairs: x is [tokens, heads, d_head], angles [tokens, d_rope / 2]."""
    pairs = angles.shape[1]
    z = x[:, :, : 2 * pairs].reshape(x.shape[0], x.shape[1], pairs, 2)
    z = (z[..., 0] + 1j * z[..., 1]) * np.exp(1j * angles)[:, None, :]
    out = x.copy()
    out[:, :, 0 : 2 * pairs : 2] = z.real
    out[:, :, 1 : 2 * pairs : 2] = z.imag
    return out


def attention(q, k, v):
    """q [tokens, heads, d], k [tokens, kv heads, d], v [tokens, kv heads, d_value]; causal."""
    n, heads, d = q.shape
    group = heads // k.shape[1]
    k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
    scores = np.einsum("thd,shd->hts", q, k) / np.sqrt(d)
    scores[:, np.triu(np.ones((n, n), dtype=bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    return np.einsum("hts,shd->thd", weights, v).reshape(n, -1)


def logits(g, tokens):
    key = lambda name, default=None: g.keys.get("llama." + name, default)
    heads, width = key("attention.head_count"), key("embedding_length")
    kv_heads = key("attention.head_count_kv", heads)
    d_head = key("attention.key_length", width // heads)
    d_value = key("attention.value_length", width // heads)
    d_rope = key("rope.dimension_count", d_head)
    epsilon = key("attention.layer_norm_rms_epsilon")

    frequencies = key("rope.freq_base", 10000.0) ** (-np.arange(0, d_rope, 2) / d_rope)
    if "rope_freqs.weight" in g.table:
        frequencies = frequencies / g.tensor("rope_freqs.weight")
    n = len(tokens)
    angles = np.outer(np.arange(n), frequencies)

    x = g.tensor("token_embd.weight")[tokens]
    for layer in range(key("block_count")):
        weight = lambda name: g.tensor(f"blk.{layer}.{name}.weight")
        times = lambda name, x: product(g, f"blk.{layer}.{name}.weight", x)
        h = rms_norm(x, weight("attn_norm"), epsilon)
        q = rotate(times("attn_q", h).reshape(n, heads, d_head), angles)
        k = rotate(times("attn_k", h).reshape(n, kv_heads, d_head), angles)
        v = times("attn_v", h).reshape(n, kv_heads, d_value)
        x = x + times("attn_output", attention(q, k, v))
        h = rms_norm(x, weight("ffn_norm"), epsilon)
        gate = times("ffn_gate", h)
        x = x + times("ffn_down", gate / (1 + np.exp(-gate)) * times("ffn_up", h))
    x = rms_norm(x, g.tensor("output_norm.weight"), epsilon)
    return product(g, "output.weight" if "output.weight" in g.table else "token_embd.weight", x)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    for row in logits(Gguf(sys.argv[1]), [int(t) for t in sys.argv[2:]]):
        print(" ".join(repr(float(value)) for value in row))


if __name__ == "__main__":
    main()
