# SPDX-License-Identifier: Apache-2.0
"""Greedy answers of a small Llama model from its GGUF file alone, with numpy, many at a time.

Shares no code with compute/ and needs neither torch nor a build: the tokenizer and the weights are
those that the file holds, so a wrong merge or tensor in it shows as wrong answers. Weights are
decoded to binary32; activations are not quantised, as they are in ayni's own arithmetic.
"""
import collections
import math
import re

import numpy as np

import reference

# GPT-2's pattern; questions are ASCII, so Python's classes stand for Unicode's
PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    table = {b: chr(b) for b in plain}
    table.update((b, chr(256 + i)) for i, b in enumerate(others))
    return table


class Tokenizer:
    """Byte-level BPE and ChatML, both with the tokens that the file names."""

    def __init__(self, keys):
        self.tokens = keys["tokenizer.ggml.tokens"]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        merges = [tuple(m.split(" ")) for m in keys["tokenizer.ggml.merges"]]
        self.ranks = {pair: i for i, pair in enumerate(merges)}
        self.alphabet = byte_alphabet()
        self.bytes = {c: b for b, c in self.alphabet.items()}
        self.end = keys["tokenizer.ggml.eos_token_id"]

    def split(self, piece):
        """Join the pair of lowest rank, everywhere it occurs, until none is left."""
        word = [self.alphabet[b] for b in piece.encode()]
        while len(word) > 1:
            best = min(zip(word, word[1:]), key=lambda p: self.ranks.get(p, math.inf))
            if best not in self.ranks:
                break
            joined = []
            for symbol in word:
                if joined and (joined[-1], symbol) == best:
                    joined[-1] += symbol
                else:
                    joined.append(symbol)
            word = joined
        return word

    def encode(self, text):
        return [self.ids[s] for piece in PIECES.findall(text) for s in self.split(piece)]

    def prompt(self, turns):
        """Ids of (role, text) turns, and of the words that ask for the assistant's."""
        start, ids = self.ids["<|im_start|>"], []
        for role, text in turns:
            ids += [start, *self.encode(f"{role}\n{text}"), self.ids["<|im_end|>"]]
            ids += self.encode("\n")
        return [*ids, start, *self.encode("assistant\n")]

    def decode(self, ids):
        text = "".join(self.tokens[i] for i in ids)
        return bytes(self.bytes.get(c, ord("?")) for c in text).decode("utf-8", "replace")


class Model:
    """The definition of Llama over a batch of sequences of the same length, with a KV cache."""

    def __init__(self, path):
        gguf = reference.Gguf(path)
        keys = gguf.keys
        self.heads = keys["llama.attention.head_count"]
        self.kv_heads = keys["llama.attention.head_count_kv"]
        self.head = keys["llama.embedding_length"] // self.heads
        self.epsilon = np.float32(keys["llama.attention.layer_norm_rms_epsilon"])
        self.layers = keys["llama.block_count"]
        turns = np.arange(0, self.head, 2) / self.head
        angles = np.outer(np.arange(keys["llama.context_length"]),
                          keys["llama.rope.freq_base"] ** -turns)
        self.cos, self.sin = np.cos(angles).astype("f4"), np.sin(angles).astype("f4")
        self.weights = {name: gguf.tensor(name).astype("f4") for name in gguf.table}
        self.tokenizer = Tokenizer(keys)

    def norm(self, x, name):
        mean = (x * x).mean(axis=-1, keepdims=True)
        return x / np.sqrt(mean + self.epsilon) * self.weights[name + ".weight"]

    def times(self, x, name):
        """One large product instead of one a sequence: numpy would loop over those."""
        matrix = self.weights[name + ".weight"]
        return (x.reshape(-1, x.shape[-1]) @ matrix.T).reshape(*x.shape[:-1], -1)

    def heads_of(self, x, count):
        return x.reshape(*x.shape[:2], count, self.head).transpose(0, 2, 1, 3)

    def rotate(self, x, at):
        """Pairs (2i, 2i + 1) of each head turn by position * base^(-2i/head)."""
        cos, sin = (t[at:at + x.shape[2]] for t in (self.cos, self.sin))
        out = np.empty_like(x)
        out[..., 0::2] = x[..., 0::2] * cos - x[..., 1::2] * sin
        out[..., 1::2] = x[..., 0::2] * sin + x[..., 1::2] * cos
        return out

    def attend(self, h, prefix, cache, at):
        """Causal attention of the new positions over the cached ones and themselves."""
        q = self.rotate(self.heads_of(self.times(h, prefix + "attn_q"), self.heads), at)
        k = self.rotate(self.heads_of(self.times(h, prefix + "attn_k"), self.kv_heads), at)
        v = self.heads_of(self.times(h, prefix + "attn_v"), self.kv_heads)
        if prefix in cache:
            k = np.concatenate([cache[prefix][0], k], axis=2)
            v = np.concatenate([cache[prefix][1], v], axis=2)
        cache[prefix] = (k, v)
        group = self.heads // self.kv_heads
        k, v = np.repeat(k, group, axis=1), np.repeat(v, group, axis=1)
        scores = q @ k.swapaxes(2, 3) / np.float32(math.sqrt(self.head))
        n, seen = scores.shape[2:]
        scores[..., np.triu(np.ones((n, seen), dtype=bool), seen - n + 1)] = -np.inf
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        mixed = (share @ v).transpose(0, 2, 1, 3)
        return self.times(mixed.reshape(*mixed.shape[:2], -1), prefix + "attn_output")

    def next_ids(self, ids, cache, at):
        """The likeliest token after each row of ids, whose first position is `at`."""
        x = self.weights["token_embd.weight"][ids]
        for layer in range(self.layers):
            prefix = f"blk.{layer}."
            x = x + self.attend(self.norm(x, prefix + "attn_norm"), prefix, cache, at)
            h = self.norm(x, prefix + "ffn_norm")
            gate = self.times(h, prefix + "ffn_gate")
            h = gate / (1 + np.exp(-gate)) * self.times(h, prefix + "ffn_up")
            x = x + self.times(h, prefix + "ffn_down")
        head = "output" if "output.weight" in self.weights else "token_embd"
        return self.times(self.norm(x[:, -1:], "output_norm"), head)[:, 0].argmax(axis=-1)

    def continue_rows(self, rows, limit):
        """Greedy continuations of rows of the same length, each up to its end token."""
        ids, cache, at = np.array(rows), {}, 0
        made, ended = [], np.zeros(len(rows), dtype=bool)
        while len(made) < limit and not ended.all():
            step = self.next_ids(ids, cache, at)
            at += ids.shape[1]
            ids = step[:, None]
            ended |= step == self.tokenizer.end
            made.append(np.where(ended, -1, step))
        return [[int(i) for i in row if i >= 0] for row in np.array(made).T]

    def answers(self, dialogues, limit=80, batch=64):
        """The answer to each list of (role, text) turns. Those of equal length run together,
        so that no row needs padding, which the model was never shown."""
        by_length = collections.defaultdict(list)
        for i, turns in enumerate(dialogues):
            ids = self.tokenizer.prompt(turns)
            by_length[len(ids)].append((i, ids))
        texts = [""] * len(dialogues)
        for group in by_length.values():
            for first in range(0, len(group), batch):
                part = group[first:first + batch]
                made = self.continue_rows([ids for _, ids in part], limit)
                for (i, _), row in zip(part, made):
                    texts[i] = self.tokenizer.decode(row)
        return texts
