-- SPDX-License-Identifier: MIT
-- Browsers that are signed in: what opens is known by its hash only, and ends with its key.

CREATE TABLE web_sessions (
	hash TEXT PRIMARY KEY CHECK (length(hash) = 64),
	org_id TEXT NOT NULL REFERENCES orgs (id),
	key_id TEXT NOT NULL REFERENCES api_keys (id),
	created_us INTEGER NOT NULL,
	expires_us INTEGER NOT NULL
) STRICT;
CREATE INDEX web_sessions_org ON web_sessions (org_id);
CREATE INDEX web_sessions_key ON web_sessions (key_id, created_us);
