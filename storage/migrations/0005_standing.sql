-- SPDX-License-Identifier: Apache-2.0
-- How far a pool believes its donors outlives its process. schema.sql explains the table; this file
-- never changes again.

PRAGMA user_version = 5;

CREATE TABLE standing (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32),
	state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
	right_units INTEGER NOT NULL CHECK (right_units >= 0),
	verified_units INTEGER NOT NULL CHECK (verified_units >= right_units),
	lies INTEGER NOT NULL CHECK (lies >= 0),
	seen_ms INTEGER NOT NULL CHECK (seen_ms >= 0),
	reason TEXT NOT NULL
) STRICT, WITHOUT ROWID;
