-- The tokens of the HTTP interface. The token itself is nowhere: only its SHA-256, which is enough to know it again. No change of
-- the directory: it does not count the revision up. Times are seconds since 1970-01-01 00:00 UTC.

CREATE TABLE token (
    name         TEXT COLLATE "C" PRIMARY KEY,
    hash         TEXT COLLATE "C" NOT NULL UNIQUE CHECK (length(hash) = 64), -- in hexadecimal
    scopes       TEXT    NOT NULL, -- their words with spaces between them
    created_at   BIGINT  NOT NULL,
    created_by   TEXT    NOT NULL,
    last_used_at BIGINT            -- to the minute; none if never
);
