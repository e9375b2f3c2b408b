-- SPDX-License-Identifier: MIT
-- What a build is to come to. It was in a file beside the build's log before, of which the server
-- takes over what is left when it starts.

ALTER TABLE releases ADD COLUMN aim TEXT NOT NULL DEFAULT 'live'
	CHECK (aim IN ('live', 'unpin', 'ready'));
ALTER TABLE releases ADD COLUMN expected_commit TEXT;
