-- SPDX-License-Identifier: Apache-2.0
-- The ledger becomes a transparency log, and receipts take less room: the three keys that each names
-- are kept once, apart. schema.sql explains the tables; this file never changes again.

PRAGMA user_version = 4;

DROP TRIGGER receipts_never_deleted;
DROP TRIGGER receipts_never_changed;
DROP TRIGGER receipts_countersigned_once;
DROP INDEX receipts_totals;
DROP INDEX receipts_waiting;
ALTER TABLE receipts RENAME TO receipts_before;

CREATE TABLE keys (
	id INTEGER PRIMARY KEY,
	key BLOB NOT NULL UNIQUE CHECK (length(key) = 32)
) STRICT;

INSERT INTO keys (key) SELECT pool FROM receipts_before UNION SELECT donor FROM receipts_before
UNION SELECT model FROM receipts_before;

CREATE TABLE receipts (
	number INTEGER NOT NULL CHECK (number > 0),
	pool INTEGER NOT NULL REFERENCES keys (id),
	donor INTEGER NOT NULL REFERENCES keys (id),
	model INTEGER NOT NULL REFERENCES keys (id),
	layer_first INTEGER NOT NULL CHECK (layer_first >= 0),
	layer_last INTEGER NOT NULL CHECK (layer_last >= layer_first),
	units INTEGER NOT NULL CHECK (units >= 0),
	tokens INTEGER NOT NULL CHECK (tokens >= 0),
	cost INTEGER NOT NULL CHECK (cost >= 0),
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0),
	receipt BLOB NOT NULL CHECK (length(receipt) > 0),
	keys_at INTEGER NOT NULL CHECK (keys_at >= 0),
	pool_signature BLOB NOT NULL CHECK (length(pool_signature) = 64),
	donor_signature BLOB NOT NULL CHECK (length(donor_signature) = 64),
	PRIMARY KEY (number, pool)
) STRICT, WITHOUT ROWID;

-- The keys stand in the receipt as its fields 2, 3 and 4, one behind the other: 102 bytes.
INSERT INTO receipts SELECT number, (SELECT id FROM keys WHERE key = pool),
	(SELECT id FROM keys WHERE key = donor), (SELECT id FROM keys WHERE key = model),
	layer_first, layer_last, units, tokens, cost, first_ms, last_ms,
	CASE WHEN at > 1 AND at + 102 <= length(receipt)
		THEN CAST(substr(receipt, 1, at - 1) || substr(receipt, at + 102) AS BLOB)
		ELSE receipt END,
	CASE WHEN at > 1 AND at + 102 <= length(receipt) THEN at - 1 ELSE 0 END,
	pool_signature, coalesce(donor_signature, zeroblob(64))
FROM (SELECT *, instr(receipt, CAST(x'1220' || pool || x'1a20' || donor || x'2220' || model AS BLOB))
	AS at FROM receipts_before);

DROP TABLE receipts_before;

CREATE INDEX receipts_totals ON receipts (donor, last_ms, first_ms, cost, units, tokens);
CREATE INDEX receipts_waiting ON receipts (donor, number, last_ms) WHERE donor_signature = zeroblob(64);

CREATE TRIGGER receipts_never_deleted BEFORE DELETE ON receipts
BEGIN
	SELECT RAISE(ABORT, 'receipts are never deleted');
END;

CREATE TRIGGER receipts_never_changed BEFORE UPDATE OF number, pool, donor, model, layer_first,
	layer_last, units, tokens, cost, first_ms, last_ms, receipt, keys_at, pool_signature ON receipts
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

CREATE TABLE tree (
	level INTEGER NOT NULL CHECK (level > 0),
	number INTEGER NOT NULL CHECK (number >= 0),
	hash BLOB NOT NULL CHECK (length(hash) = 32),
	PRIMARY KEY (level, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE sums (
	level INTEGER NOT NULL CHECK (level >= 12),
	block INTEGER NOT NULL CHECK (block >= 0),
	donor INTEGER NOT NULL REFERENCES keys (id),
	receipts INTEGER NOT NULL CHECK (receipts > 0),
	giga INTEGER NOT NULL CHECK (giga >= 0),
	rest INTEGER NOT NULL CHECK (rest >= 0),
	units_high INTEGER NOT NULL CHECK (units_high >= 0),
	units_low INTEGER NOT NULL CHECK (units_low >= 0),
	tokens_high INTEGER NOT NULL CHECK (tokens_high >= 0),
	tokens_low INTEGER NOT NULL CHECK (tokens_low >= 0),
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0),
	PRIMARY KEY (level, block, donor)
) STRICT, WITHOUT ROWID;

CREATE TABLE checkpoints (
	size INTEGER NOT NULL PRIMARY KEY CHECK (size >= 0),
	root BLOB NOT NULL CHECK (length(root) = 32),
	signed_ms INTEGER NOT NULL CHECK (signed_ms >= 0)
) STRICT;

CREATE TABLE unpublished (
	bundle INTEGER NOT NULL PRIMARY KEY CHECK (bundle >= 0)
) STRICT;

INSERT INTO unpublished SELECT DISTINCT (number - 1) / 256 FROM receipts
WHERE donor_signature <> zeroblob(64);

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
