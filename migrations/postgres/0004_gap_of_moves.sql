-- How long the far end of a move was in no bridge, where the switch let it be measured.

ALTER TABLE move ADD COLUMN gap_ms BIGINT;
