-- SPDX-License-Identifier: Apache-2.0
-- Windows are of one session at one donor, receipts are found by their session, and changes of a donor's
-- standing are entries of the log that count no work. schema.sql explains the tables; this file never
-- changes again.

PRAGMA user_version = 6;

ALTER TABLE windows RENAME TO windows_before;

CREATE TABLE windows (
	number INTEGER PRIMARY KEY CHECK (number > 0),
	donor BLOB NOT NULL CHECK (length(donor) = 32),
	session BLOB NOT NULL CHECK (length(session) = 16),
	model BLOB NOT NULL CHECK (length(model) = 32),
	layer_first INTEGER NOT NULL CHECK (layer_first >= 0),
	layer_last INTEGER NOT NULL CHECK (layer_last >= layer_first),
	units INTEGER NOT NULL CHECK (units > 0),
	tokens INTEGER NOT NULL CHECK (tokens >= 0),
	cost INTEGER NOT NULL CHECK (cost >= 0),
	units_hash BLOB NOT NULL CHECK (length(units_hash) = 32),
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0)
) STRICT;

INSERT INTO windows SELECT row_number() OVER (ORDER BY donor), donor, zeroblob(16), model, layer_first,
	layer_last, units, tokens, cost, units_hash, first_ms, last_ms FROM windows_before;

DROP TABLE windows_before;

ALTER TABLE receipts ADD COLUMN session INTEGER NOT NULL DEFAULT 0 CHECK (session >= 0);

DROP INDEX receipts_waiting;
CREATE INDEX receipts_waiting ON receipts (donor, number, last_ms)
	WHERE donor_signature = zeroblob(64) AND units > 0;
CREATE INDEX receipts_session ON receipts (session) WHERE session > 0;
CREATE INDEX receipts_standing ON receipts (donor, number) WHERE units = 0;

DROP TRIGGER receipts_never_changed;
CREATE TRIGGER receipts_never_changed BEFORE UPDATE OF number, pool, donor, model, layer_first,
	layer_last, units, tokens, cost, first_ms, last_ms, receipt, keys_at, pool_signature, session
	ON receipts
BEGIN
	SELECT RAISE(ABORT, 'what was signed never changes');
END;
