-- The journal of moves: what is under way, so that it can be finished, undone or closed after a crash, and what became of
-- it. No change of the directory: it does not count the revision up. Times are seconds since 1970-01-01 00:00 UTC.

CREATE TABLE move (
    id         TEXT    PRIMARY KEY, -- the run of the controller and its count, written as a UUID
    kind       TEXT    NOT NULL,    -- these words are those of the journal in crates/calls
    switch     TEXT    NOT NULL,
    domain     TEXT    NOT NULL,    -- whose extension moves
    extension  TEXT    NOT NULL,
    device     TEXT    NOT NULL,    -- that had the call
    target     TEXT,                -- where it shall go
    old_leg    TEXT    NOT NULL,
    far_leg    TEXT    NOT NULL,
    new_leg    TEXT,
    stage      TEXT    NOT NULL,
    started_at INTEGER NOT NULL,
    ended_at   INTEGER,
    outcome    TEXT,
    cause      TEXT,
    took_ms    INTEGER,
    CHECK ((ended_at IS NULL) = (outcome IS NULL))
) STRICT;
CREATE INDEX move_open ON move (switch) WHERE ended_at IS NULL;
CREATE INDEX move_started ON move (started_at, id);
CREATE INDEX move_of_extension ON move (domain, extension, started_at, id);
