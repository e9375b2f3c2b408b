-- SPDX-License-Identifier: MIT
-- Organizations, keys, projects, releases, configuration, audit, idempotency.
-- Times are microseconds since 1970 (UTC); 0 stands for "never" and "not yet".

CREATE TABLE orgs (
	id TEXT PRIMARY KEY,
	slug TEXT NOT NULL UNIQUE,
	name TEXT NOT NULL,
	created_us INTEGER NOT NULL
) STRICT;

CREATE TABLE api_keys (
	id TEXT PRIMARY KEY,
	org_id TEXT NOT NULL REFERENCES orgs (id),
	name TEXT NOT NULL,
	prefix TEXT NOT NULL,
	last4 TEXT NOT NULL,
	hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
	scopes INTEGER NOT NULL,
	created_us INTEGER NOT NULL,
	created_by TEXT NOT NULL,
	last_used_us INTEGER NOT NULL DEFAULT 0,
	expires_us INTEGER NOT NULL DEFAULT 0,
	revoked_us INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX api_keys_org ON api_keys (org_id);

CREATE TABLE projects (
	id TEXT PRIMARY KEY,
	org_id TEXT NOT NULL REFERENCES orgs (id),
	slug TEXT NOT NULL,
	label TEXT NOT NULL UNIQUE,
	harness TEXT,
	dir TEXT,
	production_ref TEXT NOT NULL,
	current_release_id TEXT REFERENCES releases (id),
	pin_reason TEXT,
	next_version INTEGER NOT NULL CHECK (next_version >= 1),
	config_version INTEGER NOT NULL CHECK (config_version >= 0),
	repo_url TEXT,
	repo_token BLOB,
	webhook_secret BLOB,
	created_us INTEGER NOT NULL,
	UNIQUE (org_id, slug)
) STRICT;
-- Foreign keys look for their children: without these each deletion would read whole tables.
CREATE INDEX projects_current ON projects (current_release_id);

CREATE TABLE releases (
	id TEXT PRIMARY KEY,
	org_id TEXT NOT NULL REFERENCES orgs (id),
	project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	version INTEGER NOT NULL CHECK (version >= 1),
	state TEXT NOT NULL CHECK (state IN ('queued', 'building', 'ready', 'active', 'superseded',
		'failed', 'preview', 'expired')),
	digest TEXT NOT NULL,
	kind TEXT NOT NULL,
	image_ref TEXT,
	harness TEXT,
	commit_sha TEXT,
	ref TEXT,
	message TEXT,
	source TEXT NOT NULL,
	env TEXT,
	preview TEXT,
	pr INTEGER NOT NULL DEFAULT 0,
	fork INTEGER NOT NULL DEFAULT 0 CHECK (fork IN (0, 1)),
	expires_us INTEGER NOT NULL DEFAULT 0,
	config_version INTEGER NOT NULL DEFAULT 0,
	n_files INTEGER NOT NULL DEFAULT 0,
	n_bytes INTEGER NOT NULL DEFAULT 0,
	error_code TEXT,
	error TEXT,
	created_by TEXT NOT NULL,
	created_us INTEGER NOT NULL,
	built_us INTEGER NOT NULL DEFAULT 0,
	activated_us INTEGER NOT NULL DEFAULT 0,
	UNIQUE (project_id, version)
) STRICT;
CREATE INDEX releases_org ON releases (org_id);
CREATE INDEX releases_state ON releases (state, created_us);
CREATE INDEX releases_commit ON releases (project_id, commit_sha) WHERE commit_sha IS NOT NULL;

-- What was pushed. release_id is what the push made; it may be NULL or forgotten.
CREATE TABLE refs (
	org_id TEXT NOT NULL REFERENCES orgs (id),
	project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	name TEXT NOT NULL,
	commit_sha TEXT NOT NULL,
	release_id TEXT,
	PRIMARY KEY (project_id, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX refs_org ON refs (org_id);

-- Each version is the whole set, so that a release can name the set it runs with.
CREATE TABLE config_vars (
	org_id TEXT NOT NULL REFERENCES orgs (id),
	project_id TEXT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
	version INTEGER NOT NULL CHECK (version >= 1),
	name TEXT NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (project_id, version, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX config_vars_org ON config_vars (org_id);

CREATE TABLE idempotency (
	org_id TEXT NOT NULL,
	scope TEXT NOT NULL,
	key TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	status INTEGER NOT NULL DEFAULT 0,
	release_id TEXT,
	body TEXT,
	created_us INTEGER NOT NULL,
	PRIMARY KEY (org_id, scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (created_us);

-- No reference to orgs: entries outlive what they speak of.
CREATE TABLE audit (
	seq INTEGER PRIMARY KEY,
	at_us INTEGER NOT NULL,
	org_id TEXT NOT NULL,
	actor TEXT NOT NULL,
	actor_name TEXT NOT NULL,
	action TEXT NOT NULL,
	object TEXT NOT NULL,
	detail TEXT,
	request_id TEXT,
	remote_ip TEXT,
	prev_hash TEXT NOT NULL,
	hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_org ON audit (org_id, seq);
-- The end of the chain, kept apart so that cutting off the newest entries shows.
CREATE TABLE audit_head (
	id INTEGER PRIMARY KEY CHECK (id = 1),
	seq INTEGER NOT NULL,
	hash TEXT NOT NULL
) STRICT;
INSERT INTO audit_head (id, seq, hash) VALUES (1, 0, '');

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit
BEGIN
	SELECT RAISE (ABORT, 'the audit log only grows');
END;
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
BEGIN
	SELECT RAISE (ABORT, 'the audit log only grows');
END;
-- INSERT OR REPLACE deletes without firing the trigger above.
CREATE TRIGGER audit_no_replace BEFORE INSERT ON audit
WHEN NEW.seq <= (SELECT seq FROM audit_head)
BEGIN
	SELECT RAISE (ABORT, 'the audit log only grows');
END;
CREATE TRIGGER audit_head_forward BEFORE UPDATE ON audit_head
WHEN NEW.seq <> OLD.seq + 1
BEGIN
	SELECT RAISE (ABORT, 'the audit log only grows');
END;
CREATE TRIGGER audit_head_stays BEFORE DELETE ON audit_head
BEGIN
	SELECT RAISE (ABORT, 'the audit log only grows');
END;
