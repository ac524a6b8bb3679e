-- The tokens of the HTTP interface. The token itself is nowhere: only its SHA-256, which is enough to know it again. No change of
-- the directory: it does not count the revision up. Times are seconds since 1970-01-01 00:00 UTC.

CREATE TABLE token (
    name         TEXT PRIMARY KEY,
    hash         TEXT NOT NULL UNIQUE CHECK (length(hash) = 64), -- in hexadecimal
    scopes       TEXT    NOT NULL, -- their words with spaces between them
    created_at   INTEGER NOT NULL,
    created_by   TEXT    NOT NULL,
    last_used_at INTEGER           -- to the minute; none if never
) STRICT;
