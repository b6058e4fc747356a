-- SPDX-License-Identifier: Apache-2.0
-- The tables of an ayni file as they are now; migrations/ bring older files here.
-- Times are milliseconds since 1970 UTC. Keys are Ed25519 public keys, hashes are BLAKE2b-256.

PRAGMA application_id = 0x61796e69; -- "ayni"
PRAGMA user_version = 7;            -- the number of the last migration

-- Facts about this file.
CREATE TABLE meta (
	key TEXT NOT NULL PRIMARY KEY, -- created_ms: when this file was made
	value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Display names, apart from the keys, so that a name can be erased and the books still hold.
CREATE TABLE names (
	role INTEGER NOT NULL CHECK (role IN (1, 2)), -- 1 donor, 2 member
	key BLOB NOT NULL CHECK (length(key) = 32),   -- the party's public key
	name TEXT NOT NULL CHECK (name <> ''),        -- as the party gave it
	PRIMARY KEY (role, key)
) STRICT, WITHOUT ROWID;

-- Teams that donors say they are of, likewise apart and erasable.
CREATE TABLE teams (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32), -- public key
	team TEXT NOT NULL CHECK (team <> '')                       -- as the donor gave it
) STRICT, WITHOUT ROWID;

-- Who may join. The token itself is never stored.
CREATE TABLE invites (
	token_hash BLOB NOT NULL PRIMARY KEY CHECK (length(token_hash) = 32), -- hash of the token
	created_ms INTEGER NOT NULL CHECK (created_ms >= 0),                  -- when it was made
	expires_ms INTEGER NOT NULL CHECK (expires_ms >= 0),                  -- from then on refused; 0: never
	uses_left INTEGER NOT NULL CHECK (uses_left >= 0),                    -- admissions it still gives
	note TEXT NOT NULL                                                    -- for people
) STRICT, WITHOUT ROWID;

-- Admitted donors.
CREATE TABLE donors (
	key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),  -- public key
	admitted_ms INTEGER NOT NULL CHECK (admitted_ms >= 0),   -- first admission
	seen_ms INTEGER NOT NULL CHECK (seen_ms >= 0),           -- last sign of life
	invite BLOB NOT NULL REFERENCES invites (token_hash)     -- the invite it used
) STRICT, WITHOUT ROWID;

-- Admitted members.
CREATE TABLE members (
	key BLOB NOT NULL PRIMARY KEY CHECK (length(key) = 32),  -- public key
	admitted_ms INTEGER NOT NULL CHECK (admitted_ms >= 0),   -- first admission
	seen_ms INTEGER NOT NULL CHECK (seen_ms >= 0),           -- last sign of life
	invite BLOB NOT NULL REFERENCES invites (token_hash)     -- the invite it used
) STRICT, WITHOUT ROWID;

-- Parties shut out, with each transport key they were seen under.
CREATE TABLE bans (
	key BLOB NOT NULL CHECK (length(key) = 32),                   -- public key
	curve_key BLOB NOT NULL CHECK (length(curve_key) IN (0, 32)), -- Curve25519 key; empty: not known
	why TEXT NOT NULL,                                            -- for people
	banned_ms INTEGER NOT NULL CHECK (banned_ms >= 0),            -- when
	PRIMARY KEY (key, curve_key)
) STRICT, WITHOUT ROWID;

-- Asked at each connection.
CREATE INDEX bans_curve_key ON bans (curve_key);

-- Models this pool serves or served.
CREATE TABLE models (
	model BLOB NOT NULL PRIMARY KEY CHECK (length(model) = 32), -- its manifest's hash
	name TEXT NOT NULL,                                         -- as members ask for it
	file_bytes INTEGER NOT NULL CHECK (file_bytes > 0),         -- size of the whole file
	n_layers INTEGER NOT NULL CHECK (n_layers > 0),             -- layers
	added_ms INTEGER NOT NULL CHECK (added_ms >= 0)             -- first put here
) STRICT, WITHOUT ROWID;

-- Which donor held which layers, and when.
CREATE TABLE assignments (
	number INTEGER PRIMARY KEY AUTOINCREMENT,               -- never given twice
	donor BLOB NOT NULL REFERENCES donors (key),            -- who
	model BLOB NOT NULL REFERENCES models (model),          -- of which model
	layer_first INTEGER NOT NULL CHECK (layer_first >= 0),  -- as in the Assignment message
	layer_last INTEGER NOT NULL CHECK (layer_last >= layer_first),
	begun_ms INTEGER NOT NULL CHECK (begun_ms >= 0),        -- when it was given
	ended_ms INTEGER CHECK (ended_ms >= 0)                  -- when it ended; NULL: open
) STRICT;

CREATE INDEX assignments_open ON assignments (number) WHERE ended_ms IS NULL;

-- Accounts of sessions. No text, no tokens: only counts.
CREATE TABLE sessions (
	number INTEGER PRIMARY KEY AUTOINCREMENT,         -- never given twice
	member BLOB NOT NULL CHECK (length(member) = 32), -- for whom (zero: the pool's own machine)
	model BLOB NOT NULL REFERENCES models (model),    -- with which model
	begun_ms INTEGER NOT NULL CHECK (begun_ms >= 0),  -- when it was asked for
	ended_ms INTEGER CHECK (ended_ms >= 0),           -- NULL: running, or cut off by a crash
	prompt_tokens INTEGER CHECK (prompt_tokens >= 0), -- tokens read
	answer_tokens INTEGER CHECK (answer_tokens >= 0), -- tokens written
	finish_reason INTEGER                             -- as in the wire schema
) STRICT;

-- What a pool has booked and put into no receipt yet: windows of one session at one donor.
CREATE TABLE windows (
	number INTEGER PRIMARY KEY CHECK (number > 0),                -- its name here
	donor BLOB NOT NULL CHECK (length(donor) = 32),               -- who did the work
	session BLOB NOT NULL CHECK (length(session) = 16),           -- pseudonym; zeros: of several, from before
	model BLOB NOT NULL CHECK (length(model) = 32),               -- on which model
	layer_first INTEGER NOT NULL CHECK (layer_first >= 0),        -- of which layers
	layer_last INTEGER NOT NULL CHECK (layer_last >= layer_first),
	units INTEGER NOT NULL CHECK (units > 0),                     -- work units so far
	tokens INTEGER NOT NULL CHECK (tokens >= 0),                  -- tokens through the layers
	cost INTEGER NOT NULL CHECK (cost >= 0),                      -- FLOP by published cost
	units_hash BLOB NOT NULL CHECK (length(units_hash) = 32),     -- the chain over units and results
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),              -- the window begins
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0)                 -- its last unit
) STRICT;

-- What a pool has learnt of its donors, so that it places layers well when they come again.
CREATE TABLE habits (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32),      -- whose
	stay_s INTEGER NOT NULL CHECK (stay_s >= 0),                     -- it usually stays; 0: not known
	pace_permille INTEGER NOT NULL CHECK (pace_permille >= 0),       -- how slow it computes, 1000 as others do
	                                                                 -- for such an offer; 0: not known
	flop_per_s INTEGER NOT NULL CHECK (flop_per_s >= 0),             -- the offer that this is about
	read_bytes_per_s INTEGER NOT NULL CHECK (read_bytes_per_s >= 0), -- likewise
	down_us INTEGER NOT NULL CHECK (down_us >= 0),                   -- a MiB to it; 0: not known
	up_us INTEGER NOT NULL CHECK (up_us >= 0),                       -- a MiB from it; 0: not known
	saved_ms INTEGER NOT NULL CHECK (saved_ms >= 0)                  -- when this was so
) STRICT, WITHOUT ROWID;

-- How far a pool believes its donors: what it computed of theirs once more, and what came of it.
CREATE TABLE standing (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32),           -- whose
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),                 -- new, probation, trusted, quarantined,
	                                                                      -- banned
	right_units INTEGER NOT NULL CHECK (right_units >= 0),                -- recomputed and right since the last
	                                                                      -- break
	verified_units INTEGER NOT NULL CHECK (verified_units >= right_units),-- the same, ever
	lies INTEGER NOT NULL CHECK (lies >= 0),                              -- proven
	seen_ms INTEGER NOT NULL CHECK (seen_ms >= 0),                        -- when it last joined or was recomputed
	reason TEXT NOT NULL                                                  -- of its last change of state
) STRICT, WITHOUT ROWID;

-- Keys and hashes of 32 bytes that receipts name again and again.
CREATE TABLE keys (
	id INTEGER PRIMARY KEY,                              -- stands for it in receipts
	key BLOB NOT NULL UNIQUE CHECK (length(key) = 32)    -- public key of a pool or donor, model's hash
) STRICT;

-- The ledger. A pool has its own receipts; a donor those that it got from any pool. Those of no units are
-- changes of a donor's standing, which nobody countersigns.
CREATE TABLE receipts (
	number INTEGER NOT NULL CHECK (number > 0),                          -- in the pool's books, from 1
	pool INTEGER NOT NULL REFERENCES keys (id),                          -- whose books
	donor INTEGER NOT NULL REFERENCES keys (id),                         -- who did the work
	model INTEGER NOT NULL REFERENCES keys (id),                         -- on which model
	layer_first INTEGER NOT NULL CHECK (layer_first >= 0),               -- as in the receipt
	layer_last INTEGER NOT NULL CHECK (layer_last >= layer_first),
	units INTEGER NOT NULL CHECK (units >= 0),                           -- work units in the window
	tokens INTEGER NOT NULL CHECK (tokens >= 0),                         -- tokens through the layers
	cost INTEGER NOT NULL CHECK (cost >= 0),                             -- FLOP by published cost
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),                     -- the window begins
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0),                       -- the window ends
	receipt BLOB NOT NULL CHECK (length(receipt) > 0),                   -- the bytes that were signed,
	keys_at INTEGER NOT NULL CHECK (keys_at >= 0),                       -- without the three keys, which
	                                                                     -- stood here; 0: with them
	pool_signature BLOB NOT NULL CHECK (length(pool_signature) = 64),    -- over these bytes
	donor_signature BLOB NOT NULL CHECK (length(donor_signature) = 64),  -- zeros: not yet countersigned
	session INTEGER NOT NULL DEFAULT 0 CHECK (session >= 0),             -- the first 63 bits of its pseudonym;
	                                                                     -- 0: none
	-- Numbers are a pool's own. Number first: the books are read in that order.
	PRIMARY KEY (number, pool)
) STRICT, WITHOUT ROWID;

-- Receipts to be sent again.
CREATE INDEX receipts_waiting ON receipts (donor, number, last_ms)
	WHERE donor_signature = zeroblob(64) AND units > 0;
-- All of a session. Pseudonyms grow, nearly, so that this grows at its end.
CREATE INDEX receipts_session ON receipts (session) WHERE session > 0;
-- Changes of a donor's standing.
CREATE INDEX receipts_standing ON receipts (donor, number) WHERE units = 0;

CREATE TRIGGER receipts_never_deleted BEFORE DELETE ON receipts
BEGIN
	SELECT RAISE(ABORT, 'receipts are never deleted');
END;

CREATE TRIGGER receipts_never_changed BEFORE UPDATE OF number, pool, donor, model, layer_first,
	layer_last, units, tokens, cost, first_ms, last_ms, receipt, keys_at, pool_signature, session
	ON receipts
BEGIN
	SELECT RAISE(ABORT, 'what was signed never changes');
END;

CREATE TRIGGER receipts_countersigned_once BEFORE UPDATE OF donor_signature ON receipts
WHEN OLD.donor_signature <> zeroblob(64) OR NEW.donor_signature = zeroblob(64)
BEGIN
	SELECT RAISE(ABORT, 'a receipt is countersigned once');
END;

CREATE TRIGGER keys_never_deleted BEFORE DELETE ON keys
BEGIN
	SELECT RAISE(ABORT, 'receipts are never deleted');
END;

CREATE TRIGGER keys_never_changed BEFORE UPDATE ON keys
BEGIN
	SELECT RAISE(ABORT, 'what was signed never changes');
END;

-- The log over the receipts: leaf i is the receipt of number i + 1. Of its Merkle tree only this is
-- kept, hashes of full subtrees of 256, 65536 ... leaves; all others are a few receipts away.
CREATE TABLE tree (
	level INTEGER NOT NULL CHECK (level > 0),     -- 1: of 256 leaves, 2: of 65536 ...
	number INTEGER NOT NULL CHECK (number >= 0),  -- the how manieth of its level, from 0
	hash BLOB NOT NULL CHECK (length(hash) = 32), -- SHA-256, as in RFC 9162
	PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;

-- What full subtrees of the log come to, by donor, by model and by day, so that views of many receipts
-- are a few sums. Receipts of work only.
CREATE TABLE sums (
	level INTEGER NOT NULL CHECK (level >= 12),       -- of a subtree of 2^level receipts: 12, 14 ... 24
	block INTEGER NOT NULL CHECK (block >= 0),        -- the how manieth of its level, from 0
	kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),  -- 1 by donor, 2 by model, 3 by day
	id INTEGER NOT NULL CHECK (id >= 0),              -- which: an id of keys, or the days from 1970 to the
	                                                  -- window's end
	receipts INTEGER NOT NULL CHECK (receipts > 0),
	giga INTEGER NOT NULL CHECK (giga >= 0),          -- cost in whole GFLOP, summed, and the rest in FLOP
	rest INTEGER NOT NULL CHECK (rest >= 0),
	units_high INTEGER NOT NULL CHECK (units_high >= 0), -- sums of high and low 32 bits
	units_low INTEGER NOT NULL CHECK (units_low >= 0),
	tokens_high INTEGER NOT NULL CHECK (tokens_high >= 0),
	tokens_low INTEGER NOT NULL CHECK (tokens_low >= 0),
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0),
	PRIMARY KEY (level, block, kind, id)
) STRICT, WITHOUT ROWID;

-- All that this pool ever signed of its log. Ed25519 gives the same signature again.
CREATE TABLE checkpoints (
	size INTEGER NOT NULL PRIMARY KEY CHECK (size >= 0), -- receipts
	root BLOB NOT NULL CHECK (length(root) = 32),        -- root hash of the tree over them
	signed_ms INTEGER NOT NULL CHECK (signed_ms >= 0)    -- when
) STRICT;

-- Bundles of 256 receipts of which a countersignature came that is not in the log's folder yet.
CREATE TABLE unpublished (
	bundle INTEGER NOT NULL PRIMARY KEY CHECK (bundle >= 0)
) STRICT;

CREATE TRIGGER tree_never_deleted BEFORE DELETE ON tree
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

CREATE TRIGGER tree_never_changed BEFORE UPDATE ON tree
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

CREATE TRIGGER sums_never_deleted BEFORE DELETE ON sums
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

CREATE TRIGGER sums_never_changed BEFORE UPDATE ON sums
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

CREATE TRIGGER checkpoints_never_deleted BEFORE DELETE ON checkpoints
BEGIN
	SELECT RAISE(ABORT, 'what was signed never changes');
END;

CREATE TRIGGER checkpoints_never_changed BEFORE UPDATE ON checkpoints
BEGIN
	SELECT RAISE(ABORT, 'what was signed never changes');
END;

CREATE TRIGGER receipts_unpublished AFTER UPDATE OF donor_signature ON receipts
BEGIN
	INSERT OR IGNORE INTO unpublished VALUES ((NEW.number - 1) / 256);
END;
