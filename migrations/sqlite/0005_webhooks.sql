-- What webhooks are to be told. A row is one message to one webhook; it goes when it was delivered or given up. No change of the
-- directory: it does not count the revision up. Times are seconds since 1970-01-01 00:00 UTC.

-- Whether webhooks have been told of the end of a move.
ALTER TABLE move ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
CREATE INDEX move_untold ON move (ended_at, id) WHERE told = 0 AND ended_at IS NOT NULL;

-- One row: up to which change of a route, and up to which moment at which routes ended, webhooks have been told.
CREATE INDEX route_change_revision ON route_change (revision);
CREATE TABLE webhook_progress (
    id              INTEGER PRIMARY KEY CHECK (id = 1),
    revision        INTEGER NOT NULL,
    routes_ended_at INTEGER NOT NULL
) STRICT;
INSERT INTO webhook_progress (id, revision, routes_ended_at) SELECT 1, revision, 0 FROM revision;

-- Since when a webhook is there: it is told of nothing before.
CREATE TABLE webhook (
    name  TEXT PRIMARY KEY,
    since INTEGER NOT NULL
) STRICT;

CREATE TABLE webhook_delivery (
    id            INTEGER PRIMARY KEY AUTOINCREMENT, -- the order in which they are sent
    webhook       TEXT    NOT NULL,
    domain        TEXT    NOT NULL, -- whose extension it is about; of one extension only the first is sent
    extension     TEXT    NOT NULL,
    message       TEXT    NOT NULL, -- its id for the receiver
    created_at    INTEGER NOT NULL,
    body          TEXT    NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    next_at       INTEGER NOT NULL,
    claimed_until INTEGER NOT NULL DEFAULT 0, -- some controller is sending it
    last_error    TEXT
) STRICT;
CREATE INDEX webhook_delivery_of ON webhook_delivery (webhook, domain, extension, id);
CREATE INDEX webhook_delivery_next ON webhook_delivery (webhook, id);
