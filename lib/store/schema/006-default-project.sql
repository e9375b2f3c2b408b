-- SPDX-License-Identifier: MIT
-- The project that sessions are of which name none.

ALTER TABLE orgs ADD COLUMN default_project_id TEXT REFERENCES projects (id) ON DELETE SET NULL;
CREATE INDEX orgs_default ON orgs (default_project_id);
