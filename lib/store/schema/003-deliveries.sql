-- SPDX-License-Identifier: MIT
-- What webhooks delivered: bodies that were worked on, by their digest, and of each branch and pull
-- request the newest that was heard of. "delivered_us" orders the digests, so that the oldest go.

CREATE TABLE deliveries (
	org_id TEXT NOT NULL REFERENCES orgs (id),
	project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	digest TEXT NOT NULL,
	done INTEGER NOT NULL CHECK (done IN (0, 1)),
	delivered_us INTEGER NOT NULL,
	PRIMARY KEY (project_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_org ON deliveries (org_id);
CREATE INDEX deliveries_age ON deliveries (project_id, delivered_us);

-- at_us: as the sender says, 0 = not told.
CREATE TABLE heard (
	org_id TEXT NOT NULL REFERENCES orgs (id),
	project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	target TEXT NOT NULL,
	commit_sha TEXT NOT NULL,
	at_us INTEGER NOT NULL,
	closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1)),
	done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1)),
	PRIMARY KEY (project_id, target)
) STRICT, WITHOUT ROWID;
CREATE INDEX heard_org ON heard (org_id);
