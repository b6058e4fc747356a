#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trains configs/models/ayni-demo.gguf from nothing: vocabulary, weights, file.

Usage: demo_train.py --out FILE [--minutes M] [--seed S] [--type Q8_0|F16]
                     [--resume FILE] [--peak RATE] [--sums SHARE]

Needs Debian's python3-torch. Every few minutes, and at the end, the model as it stands is written
to --out. The learning rate follows the time that is left, so any --minutes gives a finished model.
With --resume training goes on from a model written before, with the same corpus.
"""
import argparse
import collections
import math
import os
import random
import re
import sys
import time

import numpy as np
import torch
import torch.nn.functional as F

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import demo_corpus as corpus
import gguf_write as gguf
import reference

LAYERS, WIDTH, HEADS, KV_HEADS, HEAD, FF = 8, 128, 4, 2, 32, 352
CONTEXT, EPSILON, ROPE_BASE = 512, 1e-5, 10000.0
MERGES = 200
SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
            "message['content'] + '<|im_end|>\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
# GPT-2's pattern; the corpus is ASCII, so Python's classes stand for Unicode's
PIECES = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+(?!\S)|\s+")


def byte_alphabet():
    """GPT-2's printable character for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    table = {b: chr(b) for b in plain}
    for b in range(256):
        if b not in table:
            table[b] = chr(256 + len(table) - len(plain))
    return [table[b] for b in range(256)]


class Vocabulary:
    """Byte-level BPE, learnt from the corpus; digits stay single tokens."""

    def __init__(self, merges=None):
        self.alphabet = byte_alphabet()
        self.merges = merges or self.learn()
        self.tokens = self.alphabet + [a + b for a, b in self.merges] + SPECIALS
        self.ids = {t: i for i, t in enumerate(self.tokens)}
        self.ranks = {pair: i for i, pair in enumerate(self.merges)}
        self.cache = {}

    def spell(self, piece):
        return tuple(self.alphabet[b] for b in piece.encode())

    def learn(self):
        words = collections.Counter()
        for text in corpus.sample_text():
            words.update(p for p in PIECES.findall(text) if not re.search(r"[0-9]", p))
        words = {self.spell(w): n for w, n in words.items()}
        merges = []
        while len(merges) < MERGES:
            pairs = collections.Counter()
            for word, n in words.items():
                for pair in zip(word, word[1:]):
                    pairs[pair] += n
            best = max(pairs, key=lambda p: (pairs[p], p))
            merges.append(best)
            words = {self.merge(word, best): n for word, n in words.items()}
        return merges

    @staticmethod
    def merge(word, pair):
        out = []
        for symbol in word:
            if out and (out[-1], symbol) == pair:
                out[-1] += symbol
            else:
                out.append(symbol)
        return tuple(out)

    def encode(self, text):
        ids = []
        for piece in PIECES.findall(text):
            if piece not in self.cache:
                word = self.spell(piece)
                while len(word) > 1:
                    pair = min(zip(word, word[1:]), key=lambda p: self.ranks.get(p, math.inf))
                    if pair not in self.ranks:
                        break
                    word = self.merge(word, pair)
                self.cache[piece] = [self.ids[s] for s in word]
            ids += self.cache[piece]
        return ids

    def conversation(self, turns):
        """Ids, and for each whether it is the assistant's to learn."""
        start, end = self.ids["<|im_start|>"], self.ids["<|im_end|>"]
        ids, learn = [], []
        for role, text in turns:
            head = [start] + self.encode(role + "\n")
            body = self.encode(text) + [end]
            ids += head + body + self.encode("\n")
            learn += [0] * len(head) + [int(role == "assistant")] * len(body) + [0]
        return ids, learn


class Norm(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(WIDTH))

    def forward(self, x):
        return x * torch.rsqrt((x * x).mean(-1, keepdim=True) + EPSILON) * self.weight


def rotate(x, cos, sin):
    """Pairs (2i, 2i + 1) of each head turn by position * base^(-2i/head)."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


class Layer(torch.nn.Module):
    def __init__(self):
        super().__init__()

        def matrix(rows, columns):
            return torch.nn.Linear(columns, rows, bias=False)

        self.attn_norm, self.ffn_norm = Norm(), Norm()
        self.attn_q, self.attn_k = matrix(HEADS * HEAD, WIDTH), matrix(KV_HEADS * HEAD, WIDTH)
        self.attn_v, self.attn_output = matrix(KV_HEADS * HEAD, WIDTH), matrix(WIDTH, HEADS * HEAD)
        self.ffn_gate, self.ffn_up = matrix(FF, WIDTH), matrix(FF, WIDTH)
        self.ffn_down = matrix(WIDTH, FF)

    def forward(self, x, cos, sin, mask):
        batch, length, _ = x.shape
        h = self.attn_norm(x)
        q = self.attn_q(h).view(batch, length, HEADS, HEAD).transpose(1, 2)
        k = self.attn_k(h).view(batch, length, KV_HEADS, HEAD).transpose(1, 2)
        v = self.attn_v(h).view(batch, length, KV_HEADS, HEAD).transpose(1, 2)
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        k = k.repeat_interleave(HEADS // KV_HEADS, dim=1)
        v = v.repeat_interleave(HEADS // KV_HEADS, dim=1)
        scores = q @ k.transpose(2, 3) / math.sqrt(HEAD) + mask
        out = (scores.softmax(-1) @ v).transpose(1, 2).reshape(batch, length, HEADS * HEAD)
        x = x + self.attn_output(out)
        h = self.ffn_norm(x)
        return x + self.ffn_down(F.silu(self.ffn_gate(h)) * self.ffn_up(h))


class Model(torch.nn.Module):
    def __init__(self, n_tokens):
        super().__init__()
        self.token_embd = torch.nn.Embedding(n_tokens, WIDTH)
        self.blk = torch.nn.ModuleList(Layer() for _ in range(LAYERS))
        self.output_norm = Norm()
        for name, p in self.named_parameters():
            if p.dim() == 2:
                deep = name.endswith(("attn_output.weight", "ffn_down.weight"))
                torch.nn.init.normal_(p, std=0.06 / (math.sqrt(2 * LAYERS) if deep else 1))

    def forward(self, ids):
        length = ids.shape[1]
        angle = torch.outer(torch.arange(length).float(),
                            ROPE_BASE ** (-torch.arange(0, HEAD, 2).float() / HEAD))
        mask = torch.full((length, length), -math.inf).triu(1)
        x = self.token_embd(ids)
        for layer in self.blk:
            x = layer(x, angle.cos(), angle.sin(), mask)
        return self.output_norm(x) @ self.token_embd.weight.T


def make_batch(vocabulary, rng, pairs, kind, tokens=2048):
    rows = []
    while not rows or sum(len(r[0]) for r in rows) < tokens:
        rows.append(vocabulary.conversation(corpus.conversation(rng, pairs, kind)))
    length = max(len(ids) for ids, _ in rows)
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    learn = torch.zeros(len(rows), length)
    for i, (row, mask) in enumerate(rows):
        ids[i, :len(row)] = torch.tensor(row)
        learn[i, :len(row)] = torch.tensor(mask, dtype=torch.float)
    return ids, learn


def loss_of(model, ids, learn):
    logits = model(ids[:, :-1])
    want = learn[:, 1:].flatten()
    each = F.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten(), reduction="none")
    return (each * want).sum() / want.sum()


def learning_rate(done, peak):
    """Warm up over the first 2 %, then a cosine down to a fiftieth."""
    if done < 0.02:
        return peak * (done / 0.02 + 0.01)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (done - 0.02) / 0.98)))


def save(model, vocabulary, path, kind):
    out = gguf.GGUFWriter()
    out.string("general.architecture", "llama")
    out.string("general.name", "ayni demo")
    out.string("general.license", "Apache-2.0")
    out.u32("general.file_type", {"F16": 1, "Q8_0": 7}[kind])
    for key, value in (("block_count", LAYERS), ("context_length", CONTEXT),
                       ("embedding_length", WIDTH), ("feed_forward_length", FF),
                       ("attention.head_count", HEADS), ("attention.head_count_kv", KV_HEADS),
                       ("rope.dimension_count", HEAD), ("vocab_size", len(vocabulary.tokens))):
        out.u32("llama." + key, value)
    out.f32("llama.attention.layer_norm_rms_epsilon", EPSILON)
    out.f32("llama.rope.freq_base", ROPE_BASE)
    out.string("tokenizer.ggml.model", "gpt2")
    out.string("tokenizer.ggml.pre", "gpt-2")
    out.array("tokenizer.ggml.tokens", gguf.STRING, vocabulary.tokens)
    control = len(vocabulary.tokens) - len(SPECIALS)
    out.array("tokenizer.ggml.token_type", gguf.I32,
              [3 if i >= control else 1 for i in range(len(vocabulary.tokens))])
    out.array("tokenizer.ggml.merges", gguf.STRING, [a + " " + b for a, b in vocabulary.merges])
    out.u32("tokenizer.ggml.bos_token_id", vocabulary.ids["<|endoftext|>"])
    out.u32("tokenizer.ggml.eos_token_id", vocabulary.ids["<|im_end|>"])
    out.bool("tokenizer.ggml.add_bos_token", False)
    out.string("tokenizer.chat_template", TEMPLATE)
    for name, p in model.named_parameters():
        array = p.detach().numpy()
        out.tensor(name, array, kind if array.ndim == 2 else "F32")
    out.write(path + ".part")
    os.replace(path + ".part", path)


def saved_merges(path):
    """A model goes on with the vocabulary it began with, whatever the corpus has become."""
    merges = reference.Gguf(path).keys["tokenizer.ggml.merges"]
    return [tuple(merge.split(" ")) for merge in merges]


def resume(model, path):
    weights = reference.Gguf(path)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(torch.from_numpy(weights.tensor(name)).view_as(p))


def train(options):
    torch.manual_seed(options.seed)
    rng = random.Random(options.seed)
    vocabulary = Vocabulary(saved_merges(options.resume) if options.resume else None)
    model = Model(len(vocabulary.tokens))
    if options.resume:
        resume(model, options.resume)
    shares = [options.sums, 0.6 * (1 - options.sums), 0.4 * (1 - options.sums)]
    pairs = corpus.all_pairs(False)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    adam = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.05},
                              {"params": vectors, "weight_decay": 0.0}], betas=(0.9, 0.98))
    print(f"{sum(p.numel() for p in model.parameters())} parameters, "
          f"{len(vocabulary.tokens)} tokens, {len(pairs)} sums to learn", flush=True)
    began = saved = time.monotonic()
    losses = collections.defaultdict(lambda: 3.0)
    step = 0
    while time.monotonic() - began < options.minutes * 60:
        done = (time.monotonic() - began) / (options.minutes * 60)
        kind = rng.choices(["sum", "text", "long"], shares)[0]
        loss = loss_of(model, *make_batch(vocabulary, rng, pairs, kind))
        for group in adam.param_groups:
            group["lr"] = learning_rate(done, options.peak)
        adam.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        adam.step()
        losses[kind] = 0.95 * losses[kind] + 0.05 * loss.item()
        step += 1
        if step % 50 == 0:
            figures = " ".join(f"{k} {v:.4f}" for k, v in sorted(losses.items()))
            print(f"step {step} {100 * done:.1f} % loss {figures}", flush=True)
        if time.monotonic() - saved > 120:
            save(model, vocabulary, options.out, options.type)
            saved = time.monotonic()
    save(model, vocabulary, options.out, options.type)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--minutes", type=float, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--resume", help="go on from this file")
    parser.add_argument("--peak", type=float, default=3e-3, help="highest learning rate")
    parser.add_argument("--sums", type=float, default=0.5, help="share of sums in training")
    parser.add_argument("--type", choices=["Q8_0", "F16"], default="Q8_0")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    train(options)


if __name__ == "__main__":
    main()
