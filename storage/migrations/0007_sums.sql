-- SPDX-License-Identifier: Apache-2.0
-- Sums by model and by day too, four subtrees in one, in place of an index over all receipts; and
-- donors' teams. schema.sql explains the tables; this file never changes again.

PRAGMA user_version = 7;

CREATE TABLE teams (
	donor BLOB NOT NULL PRIMARY KEY CHECK (length(donor) = 32),
	team TEXT NOT NULL CHECK (team <> '')
) STRICT, WITHOUT ROWID;

DROP INDEX receipts_totals;
DROP TABLE sums;

CREATE TABLE sums (
	level INTEGER NOT NULL CHECK (level >= 12),
	block INTEGER NOT NULL CHECK (block >= 0),
	kind INTEGER NOT NULL CHECK (kind IN (1, 2, 3)),
	id INTEGER NOT NULL CHECK (id >= 0),
	receipts INTEGER NOT NULL CHECK (receipts > 0),
	giga INTEGER NOT NULL CHECK (giga >= 0),
	rest INTEGER NOT NULL CHECK (rest >= 0),
	units_high INTEGER NOT NULL CHECK (units_high >= 0),
	units_low INTEGER NOT NULL CHECK (units_low >= 0),
	tokens_high INTEGER NOT NULL CHECK (tokens_high >= 0),
	tokens_low INTEGER NOT NULL CHECK (tokens_low >= 0),
	first_ms INTEGER NOT NULL CHECK (first_ms >= 0),
	last_ms INTEGER NOT NULL CHECK (last_ms >= 0),
	PRIMARY KEY (level, block, kind, id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER sums_never_deleted BEFORE DELETE ON sums
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

CREATE TRIGGER sums_never_changed BEFORE UPDATE ON sums
BEGIN
	SELECT RAISE(ABORT, 'the log only grows');
END;

-- Of the full subtrees of the tree, if there is one: 16 of its hashes are one of the first level.
INSERT INTO sums WITH kinds (kind) AS (VALUES (1), (2), (3))
SELECT 12, number - 1 >> 12, kind,
	CASE kind WHEN 1 THEN donor WHEN 2 THEN model ELSE last_ms / 86400000 END,
	count(*), sum(cost / 1000000000), sum(cost % 1000000000),
	sum(units >> 32), sum(units & 4294967295), sum(tokens >> 32), sum(tokens & 4294967295),
	min(first_ms), max(last_ms)
FROM receipts NOT INDEXED, kinds
WHERE units > 0 AND number <= (SELECT count(*) FROM tree WHERE level = 1) >> 4 << 12
GROUP BY 2, 3, 4;

INSERT INTO sums SELECT 14, block / 4, kind, id, sum(receipts), sum(giga), sum(rest), sum(units_high),
	sum(units_low), sum(tokens_high), sum(tokens_low), min(first_ms), max(last_ms)
FROM sums WHERE level = 12 AND block / 4 < (SELECT count(*) FROM tree WHERE level = 1) >> 6
GROUP BY block / 4, kind, id;

INSERT INTO sums SELECT 16, block / 4, kind, id, sum(receipts), sum(giga), sum(rest), sum(units_high),
	sum(units_low), sum(tokens_high), sum(tokens_low), min(first_ms), max(last_ms)
FROM sums WHERE level = 14 AND block / 4 < (SELECT count(*) FROM tree WHERE level = 1) >> 8
GROUP BY block / 4, kind, id;

INSERT INTO sums SELECT 18, block / 4, kind, id, sum(receipts), sum(giga), sum(rest), sum(units_high),
	sum(units_low), sum(tokens_high), sum(tokens_low), min(first_ms), max(last_ms)
FROM sums WHERE level = 16 AND block / 4 < (SELECT count(*) FROM tree WHERE level = 1) >> 10
GROUP BY block / 4, kind, id;

INSERT INTO sums SELECT 20, block / 4, kind, id, sum(receipts), sum(giga), sum(rest), sum(units_high),
	sum(units_low), sum(tokens_high), sum(tokens_low), min(first_ms), max(last_ms)
FROM sums WHERE level = 18 AND block / 4 < (SELECT count(*) FROM tree WHERE level = 1) >> 12
GROUP BY block / 4, kind, id;

INSERT INTO sums SELECT 22, block / 4, kind, id, sum(receipts), sum(giga), sum(rest), sum(units_high),
	sum(units_low), sum(tokens_high), sum(tokens_low), min(first_ms), max(last_ms)
FROM sums WHERE level = 20 AND block / 4 < (SELECT count(*) FROM tree WHERE level = 1) >> 14
GROUP BY block / 4, kind, id;

INSERT INTO sums SELECT 24, block / 4, kind, id, sum(receipts), sum(giga), sum(rest), sum(units_high),
	sum(units_low), sum(tokens_high), sum(tokens_low), min(first_ms), max(last_ms)
FROM sums WHERE level = 22 AND block / 4 < (SELECT count(*) FROM tree WHERE level = 1) >> 16
GROUP BY block / 4, kind, id;
