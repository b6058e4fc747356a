-- SPDX-License-Identifier: Apache-2.0
-- What is booked and in no receipt yet outlives the pool's process. schema.sql explains the table;
-- this file never changes again.

PRAGMA user_version = 2;

CREATE TABLE windows (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32),
	model BLOB NOT NULL CHECK (length(model) = 32),
	layer_first INTEGER NOT NULL CHECK (layer_first >= 0),
	layer_last INTEGER NOT NULL CHECK (layer_last >= layer_first),
	units INTEGER NOT NULL CHECK (units > 0),
	tokens INTEGER NOT NULL CHECK (tokens >= 0),
	cost INTEGER NOT NULL CHECK (cost >= 0),
	units_hash BLOB NOT NULL CHECK (length(units_hash) = 32),
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0)
) STRICT, WITHOUT ROWID;
