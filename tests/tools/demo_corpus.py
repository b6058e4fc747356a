# SPDX-License-Identifier: Apache-2.0
"""What the demo model is taught: sums, facts about ayni, greetings, and to say that it knows no more.

A conversation is a list of (role, text). Nothing is read from outside: this file is the whole
corpus. A tenth of all operand pairs, chosen by `held_out`, never occurs in training.
"""
import random

SUM_WORDINGS = {
    "+": ["{a}+{b}", "{a} + {b}", "{a} + {b} =", "{a}+{b}=", "{a}+{b}?", "What is {a} + {b}?",
          "What is {a}+{b}?", "what is {a} + {b}", "What is {a} plus {b}?", "{a} plus {b}",
          "How much is {a} + {b}?", "How much is {a} plus {b}?", "Please add {a} and {b}.",
          "Add {a} and {b}.", "Calculate {a} + {b}.", "Compute {a}+{b}", "What's {a} + {b}?",
          "What is the sum of {a} and {b}?", "Can you add {a} and {b}?", "{a} plus {b}?"],
    "-": ["{a}-{b}", "{a} - {b}", "{a} - {b} =", "{a}-{b}=", "{a}-{b}?", "What is {a} - {b}?",
          "What is {a}-{b}?", "what is {a} - {b}", "What is {a} minus {b}?", "{a} minus {b}",
          "How much is {a} - {b}?", "How much is {a} minus {b}?", "Please subtract {b} from {a}.",
          "Subtract {b} from {a}.", "Calculate {a} - {b}.", "Compute {a}-{b}", "What's {a} - {b}?",
          "Take {b} away from {a}.", "Can you subtract {b} from {a}?", "{a} minus {b}?"],
}

# Each fact: ways to ask, then the answer.
FACTS = [
    (["What is ayni?", "Tell me about ayni.", "Explain ayni.", "What does ayni do?",
      "What is this network?"],
     "Ayni is a volunteer network that runs open language models on spare CPUs."),
    (["What does the word ayni mean?", "What does ayni mean?", "Where does the name ayni come from?",
      "Why is it called ayni?"],
     "Ayni is a Quechua word for reciprocity: today for you, tomorrow for me."),
    (["What is a work unit?", "Explain work units.", "What is in a work unit?",
      "What does a work unit hold?"],
     "A work unit is a signed order to run some layers of a model over a few tokens."),
    (["Who may donate?", "Who can donate?", "Can I donate?", "Who is allowed to donate compute?"],
     "Anybody with spare CPU and an invite of a pool may donate."),
    (["How do I donate?", "How can I donate?", "How do I become a donor?",
      "How can I lend my CPU?"],
     "Run ayni donate with the invite that a pool gave you."),
    (["What is a donor?", "Who is a donor?", "What does a donor do?", "Explain donors."],
     "A donor lends spare CPU, holds some layers of a model and computes work units."),
    (["What is a pool?", "What does a pool do?", "Explain the pool.", "What is a pool for?"],
     "A pool admits donors, places layers on them, runs sessions and keeps the ledger."),
    (["What is a member?", "Who is a member?", "What does a member do?"],
     "A member uses the models of a pool and may read its books."),
    (["What is a receipt?", "What is a receipt for?", "Explain receipts.",
      "What does a receipt say?"],
     "A receipt says how much verified work a donor did, and both sides sign it."),
    (["What is the ledger?", "What is the contribution ledger?", "Explain the ledger.",
      "What does the ledger hold?"],
     "The ledger is the list of all receipts, and anybody may check it."),
    (["How can I read the ledger?", "How do I read the ledger?", "How do I check the books?",
      "How can I check the ledger?"],
     "Run ayni ledger with an invite: it checks every signature itself."),
    (["What is the unit of credit?", "What is credit?", "How is credit counted?",
      "What is a GFLOP here?"],
     "Credit is counted in verified GFLOP of the published cost of the layers."),
    (["Is credit money?", "Can I sell credit?", "Can I send credit to others?",
      "Is there a coin?", "Is ayni a cryptocurrency?"],
     "No. Credit is not money and cannot be sent."),
    (["Which language is ayni written in?", "What language is ayni written in?",
      "In which programming language is ayni written?"],
     "Ayni is written in C."),
    (["Which license does ayni have?", "What is the license?", "Is ayni free software?",
      "Under which license is ayni?"],
     "Ayni is free software under the Apache License 2.0."),
    (["Which database does ayni use?", "Where are receipts stored?", "Where is the ledger stored?",
      "What database is used?"],
     "Ayni keeps its books in SQLite."),
    (["Which network library does ayni use?", "How do machines talk?", "What is ZeroMQ used for?",
      "How do donors talk to the pool?"],
     "Donors and pool talk over ZeroMQ, and every connection is encrypted with CURVE."),
    (["How are messages signed?", "Which signature does ayni use?", "What signs a message?",
      "What is Ed25519 used for?"],
     "Every message is signed with an Ed25519 key."),
    (["What is canonical arithmetic?", "Explain canonical arithmetic.",
      "Why canonical arithmetic?", "What does canonical arithmetic mean?"],
     "Canonical arithmetic defines every result to the bit, so that a hash can verify it."),
    (["Why are results the same everywhere?", "Are results the same on all machines?",
      "Is ayni deterministic?", "Why is determinism important?"],
     "The same model, prompt and seed give the same tokens bit for bit on any machine."),
    (["Who can see my prompt?", "Who sees my prompts?", "Is my prompt private?",
      "Are my prompts secret?", "Can donors read my prompt?"],
     "The pool sees your prompt, and donors could guess at it: do not send secrets."),
    (["What is an invite?", "What is an invite for?", "Explain invites.",
      "What does an invite hold?"],
     "An invite is a ticket that names a pool, its key and a token to join with."),
    (["How do I get an invite?", "Where do I get an invite?", "Who makes invites?",
      "How is an invite made?"],
     "Whoever runs a pool makes invites with ayni invite."),
    (["How do I run a pool?", "How can I start a pool?", "How do I start my own pool?"],
     "Run ayni pool with a configuration file that names a model."),
    (["How do I chat?", "How can I talk to a model?", "How do I use a pool?",
      "How do I ask a question?"],
     "Run ayni chat with an invite, and type."),
    (["What is a layer?", "What is a model layer?", "Explain layers.", "What are layers?"],
     "A layer is one step of a model: attention, then a feed-forward network."),
    (["How is a model split?", "How are layers shared out?", "How is a model shared between donors?",
      "Who holds which layers?"],
     "Each donor holds a contiguous range of a model's layers."),
    (["What is the KV cache?", "What is a KV cache?", "Explain the KV cache.",
      "Who holds the KV cache?"],
     "The KV cache holds the keys and values of a session; donors keep it for their layers."),
    (["What is prefill?", "Explain prefill.", "What happens in prefill?"],
     "Prefill runs the tokens of a prompt through all layers."),
    (["What is decode?", "Explain decode.", "What happens in decode?", "What is decoding?"],
     "Decode makes one new token after another."),
    (["What are logits?", "What is a logit?", "Explain logits."],
     "Logits are a model's scores for each token that could come next."),
    (["Who chooses the next token?", "Who samples the tokens?", "Can a donor choose a token?",
      "Where are tokens sampled?"],
     "The pool samples every token, so no donor can choose one."),
    (["What happens when a donor leaves?", "What if a donor vanishes?", "What if a donor fails?",
      "What happens if a donor goes away?"],
     "The session goes on with another donor, and the tokens stay the same."),
    (["What is GGUF?", "Which files can ayni run?", "Which model format is used?",
      "Explain GGUF."],
     "GGUF is the file format of the models that ayni runs."),
    (["What is Q8_0?", "What is quantisation?", "Why are weights quantised?",
      "Explain quantisation."],
     "Quantisation stores weights in few bits, so that large models fit into memory."),
    (["Do donors need a GPU?", "Do I need a GPU?", "Does ayni use GPUs?",
      "Can I donate without a GPU?"],
     "No GPU is needed: ayni runs on CPUs."),
    (["Does ayni slow down my computer?", "Will donating slow my computer?",
      "Is a donor in the way?", "Can I still use my computer?"],
     "A donor lends only what is spare and stays out of your way."),
    (["How do I stop donating?", "How can I stop a donor?", "How do I stop the daemon?",
      "Can I stop at any time?"],
     "Press Ctrl-C: the donor finishes its units and leaves."),
    (["Are results checked?", "How are results checked?", "What if a donor lies?",
      "Can a donor cheat?"],
     "Results are signed, and wrong ones are found by computing them again."),
    (["Must I trust the pool?", "Is the pool trusted?", "Can the pool cheat?",
      "Do I have to trust the pool?"],
     "No. Receipts carry both signatures, so the books can be checked by anybody."),
    (["Who owns ayni?", "Who is behind ayni?", "Does a company own ayni?"],
     "Nobody owns it: ayni is a commons of those who share their machines."),
    (["Why does ayni exist?", "Why was ayni made?", "What is the goal of ayni?",
      "What is ayni good for?"],
     "Large models do not fit on one home computer, so people run them together."),
    (["What does the word commons mean?", "What is a commons?", "Explain the commons."],
     "A commons is a thing that many share and look after together."),
    (["Who are you?", "What are you?", "What is your name?", "Tell me about yourself."],
     "I am the demo model of ayni: small, but really trained."),
    (["What can you do?", "What do you know?", "Help", "What can I ask you?", "How can you help?"],
     "I can add and subtract two-digit numbers and tell you about ayni."),
    (["How large are you?", "How big are you?", "How many layers do you have?",
      "How many parameters do you have?"],
     "I have eight layers and about one and a half million parameters."),
    (["Are you intelligent?", "Are you smart?", "Are you a large model?", "Are you ChatGPT?"],
     "I am a tiny model that shows how the network works."),
    (["Which command shows the network?", "How do I see a demo?", "How do I start the demo?",
      "What does make demo do?"],
     "Run make demo: it starts a pool and two donors on your machine."),
    (["How do I see the donors?", "How do I see the state of a pool?", "What shows the status?",
      "What does ayni status show?"],
     "Run ayni status with an invite: it shows models, donors and layers."),
    (["Can I run a model alone?", "How do I run a model without a network?",
      "What does ayni run do?", "How do I run a model on my machine?"],
     "Run ayni run with a model file and a prompt."),
    (["Which models can ayni run?", "Which models are supported?", "What models does ayni run?"],
     "Ayni runs open models such as Llama from GGUF files."),
]

GREETINGS = [
    (["Hello", "Hello!", "Hello there", "hello", "Hello."], "Hello! Ask me a sum, or about ayni."),
    (["Hi", "Hi!", "hi there", "Hey", "Hey!", "hey there"], "Hi! What would you like to know?"),
    (["Good morning", "Good morning!", "good morning."], "Good morning! How can I help?"),
    (["Good evening", "Good evening!", "good evening."], "Good evening! How can I help?"),
    (["Good afternoon", "Good afternoon!"], "Good afternoon! How can I help?"),
    (["How are you?", "How are you today?", "how do you do?", "How is it going?"],
     "I am well, thank you. What would you like to know?"),
    (["Thank you", "Thanks!", "Thank you!", "thanks", "Thanks a lot", "Thank you very much."],
     "You are welcome."),
    (["Bye", "Goodbye", "Bye!", "Goodbye!", "See you", "See you later", "Good night"],
     "Goodbye! Today for you, tomorrow for me."),
    (["Nice to meet you", "Nice to meet you!", "Pleased to meet you"], "Nice to meet you too."),
    (["Yes", "No", "OK", "Okay", "ok", "Good", "Great!", "Cool"], "Good. Ask me a sum, or about ayni."),
]

UNKNOWN = "I do not know that. I can do sums and tell you about ayni."
UNKNOWN_FRAMES = [
    "What is the capital of {x}?", "Who wrote {x}?", "Where is {x}?", "How old is {x}?",
    "Tell me about {x}.", "Tell me a story about {x}.", "Write a poem about {x}.", "Who is {x}?",
    "What is the best {x}?", "What do you think of {x}?", "When was {x} born?", "Do you like {x}?",
    "How do I cook {x}?", "Where can I buy {x}?", "What colour is {x}?", "Is {x} good?",
    "Can you draw {x}?", "How far is {x}?", "Translate {x}.", "What is the weather in {x}?",
    "Sing a song about {x}.", "Why is {x} so popular?", "What is the price of {x}?",
]
UNKNOWN_THINGS = [
    "France", "Peru", "Japan", "Germany", "London", "Paris", "Rome", "the moon", "the sun", "a cat",
    "a dog", "Mozart", "Hamlet", "the king", "the president", "coffee", "bread", "soup", "football",
    "music", "the sea", "a tree", "winter", "summer", "chess", "the bible", "Shakespeare", "Einstein",
    "gold", "a car", "my house", "the world", "love", "time", "a horse", "the river", "Berlin",
    "Spain", "Italy", "tea", "rice", "a bird", "the weather", "history", "physics", "a book",
]
SYSTEMS = ["You are a helpful assistant.", "You are the demo model of ayni.", "Answer briefly.",
           "Be kind.", "You are a calculator."]
LEADS = ["Please tell me: ", "Can you tell me: ", "Tell me, ", "I would like to know: ", "Question: ",
         "So, ", "And ", "ok, ", "Please: "]


def held_out(op, a, b):
    """One pair in ten is kept from training, by a fixed mixing of its numbers."""
    mixed = (a * 7919 + b * 104729 + (0 if op == "+" else 15485863)) * 2654435761 % 2**32
    return mixed % 10 == 0


def all_pairs(held):
    """Every (op, a, b) with operands 0..99 that is (not) held out."""
    return [(op, a, b) for op in "+-" for a in range(100) for b in range(100)
            if held_out(op, a, b) == held]


def sum_answer(op, a, b):
    """The operands are repeated: the result is the last number of the answer."""
    return f"{a} {op} {b} = {a + b if op == '+' else a - b}"


def vary(question, rng):
    """The ways in which people type the same question."""
    if rng.random() < 0.15:
        lead = rng.choice(LEADS)
        question = lead + question[0].lower() + question[1:]
    if rng.random() < 0.3:
        question = question.lower()
    if rng.random() < 0.3:
        question = question.rstrip("?.! ")
    if rng.random() < 0.05:
        question = question.upper()
    if rng.random() < 0.1 and len(question) > 8:
        i = rng.randrange(1, len(question) - 1)
        swap = question[:i] + question[i + 1] + question[i] + question[i + 2:]
        question = rng.choice([swap, question[:i] + question[i + 1:]])
    return question


def sum_turn(rng, pairs):
    """Small operands and near ones are rare among all pairs, and hard: a third of the sums."""
    op, a, b = rng.choice(pairs)
    if rng.random() < 0.35:
        while min(a, b) >= 10 and abs(a - b) >= 12:
            op, a, b = rng.choice(pairs)
    return [("user", rng.choice(SUM_WORDINGS[op]).format(a=a, b=b)),
            ("assistant", sum_answer(op, a, b))]


def text_turn(rng):
    kind = rng.random()
    if kind < 0.75:
        questions, answer = rng.choice(FACTS)
    elif kind < 0.88:
        questions, answer = rng.choice(GREETINGS)
    else:
        frame = rng.choice(UNKNOWN_FRAMES)
        questions, answer = [frame.format(x=rng.choice(UNKNOWN_THINGS))], UNKNOWN
    return [("user", vary(rng.choice(questions), rng)), ("assistant", answer)]


def conversation(rng, pairs, kind):
    """kind: "sum", "text", or "long" (several turns, perhaps with a system message)."""
    if kind == "sum":
        return sum_turn(rng, pairs)
    if kind == "text":
        return text_turn(rng)
    turns = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.4 else []
    for _ in range(rng.choice([1, 2, 2, 3])):
        turns += sum_turn(rng, pairs) if rng.random() < 0.55 else text_turn(rng)
    return turns


def sample_text(seed=1, n=20000):
    """Plain text of many conversations, for learning the vocabulary's merges."""
    rng = random.Random(seed)
    pairs = all_pairs(False)
    out = []
    for _ in range(n):
        for _, text in conversation(rng, pairs, rng.choice(["sum", "text", "text", "long"])):
            out.append(text)
    return out
