-- Extensions, their devices and routes. The rules between the tables are said here as keys and checks, so that a row
-- written by hand can break nothing that the program believes. Times are seconds since 1970-01-01 00:00 UTC.

-- One row. Every transaction that writes begins by counting it up, which makes the writers wait for each other: the order
-- of the numbers is the order of the commits.
CREATE TABLE revision (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO revision (id, revision) VALUES (1, 0);

CREATE TABLE extension (
    domain   TEXT NOT NULL,
    number   TEXT NOT NULL,
    revision INTEGER NOT NULL, -- of the last change of the extension, its devices or its route
    added_at INTEGER NOT NULL,
    added_by TEXT NOT NULL,
    PRIMARY KEY (domain, number)
) STRICT;
CREATE INDEX extension_revision ON extension (revision);

-- What is left of a removed extension, so that a controller that asks for changes hears of it.
CREATE TABLE removed_extension (
    domain     TEXT NOT NULL,
    number     TEXT NOT NULL,
    revision   INTEGER NOT NULL,
    removed_at INTEGER NOT NULL,
    removed_by TEXT NOT NULL,
    PRIMARY KEY (domain, number)
) STRICT;
CREATE INDEX removed_extension_revision ON removed_extension (revision);

CREATE TABLE device (
    domain    TEXT NOT NULL,
    number    TEXT NOT NULL CHECK (number NOT LIKE '% %'), -- they are read with spaces between them
    extension TEXT NOT NULL,
    place     INTEGER NOT NULL, -- the admin's order, from 0
    PRIMARY KEY (domain, number),
    UNIQUE (domain, extension, number), -- the target of the route's key
    FOREIGN KEY (domain, extension) REFERENCES extension (domain, number)
) STRICT;

CREATE TABLE route (
    domain    TEXT NOT NULL,
    extension TEXT NOT NULL,
    device    TEXT,
    colleague TEXT,
    ends      TEXT NOT NULL CHECK (ends IN ('never', 'at', 'next_call')),
    ends_at   INTEGER,
    PRIMARY KEY (domain, extension),
    CHECK ((device IS NULL) <> (colleague IS NULL)),
    CHECK ((ends = 'at') = (ends_at IS NOT NULL)),
    CHECK (colleague <> extension),
    FOREIGN KEY (domain, extension) REFERENCES extension (domain, number),
    FOREIGN KEY (domain, extension, device) REFERENCES device (domain, extension, number),
    FOREIGN KEY (domain, colleague) REFERENCES extension (domain, number)
) STRICT;
CREATE INDEX route_colleague ON route (domain, colleague);

-- The audit trail. It outlives its extension. Routes are text: <kind> SP <number@domain> [SP <end>].
CREATE TABLE route_change (
    domain       TEXT NOT NULL,
    number       TEXT NOT NULL,
    revision     INTEGER NOT NULL,
    changed_at   INTEGER NOT NULL,
    actor        TEXT NOT NULL,
    route_before TEXT,
    route_after  TEXT,
    PRIMARY KEY (domain, number, revision)
) STRICT;
