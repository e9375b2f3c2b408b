-- SPDX-License-Identifier: MIT
-- Who pinned a project and when. Of the pins that are there the audit log knows.

ALTER TABLE projects ADD COLUMN pin_by TEXT;
ALTER TABLE projects ADD COLUMN pinned_us INTEGER NOT NULL DEFAULT 0;
-- The version that came next when it was pinned: what is older is held, whatever it is.
ALTER TABLE projects ADD COLUMN pin_next INTEGER NOT NULL DEFAULT 0;

UPDATE projects SET (pin_by, pinned_us) = (
	SELECT actor_name, at_us FROM audit
	WHERE audit.org_id = projects.org_id AND action = 'release.rollback'
		AND object = 'project/' || projects.slug
	ORDER BY seq DESC LIMIT 1)
WHERE pin_reason IS NOT NULL AND EXISTS (
	SELECT 1 FROM audit
	WHERE audit.org_id = projects.org_id AND action = 'release.rollback'
		AND object = 'project/' || projects.slug);
