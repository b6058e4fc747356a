-- SPDX-License-Identifier: Apache-2.0
-- What a pool learnt of its donors outlives its process. schema.sql explains the table; this file
-- never changes again.

PRAGMA user_version = 3;

CREATE TABLE habits (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32),
	stay_s INTEGER NOT NULL CHECK (stay_s >= 0),
	pace_permille INTEGER NOT NULL CHECK (pace_permille >= 0),
	flop_per_s INTEGER NOT NULL CHECK (flop_per_s >= 0),
	read_bytes_per_s INTEGER NOT NULL CHECK (read_bytes_per_s >= 0),
	down_us INTEGER NOT NULL CHECK (down_us >= 0),
	up_us INTEGER NOT NULL CHECK (up_us >= 0),
	saved_ms INTEGER NOT NULL CHECK (saved_ms >= 0)
) STRICT, WITHOUT ROWID;
