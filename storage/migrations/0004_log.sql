-- SPDX-License-Identifier: Apache-2.0
-- The ledger becomes a transparency log. schema.sql explains the tables; this file never changes
-- again.

PRAGMA user_version = 4;

CREATE TABLE tree (
	level INTEGER NOT NULL CHECK (level > 0),
	number INTEGER NOT NULL CHECK (number >= 0),
	hash BLOB NOT NULL CHECK (length(hash) = 32),
	PRIMARY KEY (level, number)
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
WHERE donor_signature IS NOT NULL;

CREATE TRIGGER tree_never_deleted BEFORE DELETE ON tree
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

CREATE TRIGGER tree_never_changed BEFORE UPDATE ON tree
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
