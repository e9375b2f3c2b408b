-- SPDX-License-Identifier: MIT
-- How long the answers are that keys keep: their sum is asked for with each new key.

ALTER TABLE idempotency ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
UPDATE idempotency SET bytes = length(CAST(body AS BLOB)) WHERE body IS NOT NULL;
CREATE INDEX idempotency_room ON idempotency (org_id, bytes);
