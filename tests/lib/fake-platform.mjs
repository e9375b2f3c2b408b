// SPDX-License-Identifier: MIT
// A stand-in for `karta serve` in tests of the client: the routes of a publish, with the misfortunes
// that a real server has only by chance. The name of the project says which one:
//
//	needs    lacks every file at first         slow     a build that does not end
//	fails    the build fails                   pinned   stored, not active
//	cut      the log breaks off twice          evil     a log full of control characters
//	moved    the ref is elsewhere by now       denied   403          busy   503 once, then it works
//	hang     never answers a publish           lost     closes the connection of the first publish
//	many     lists 40,000 branches of long names
//
// `node fake-platform.mjs` prints its URL; requests go to $FAKE_LOG, a line of JSON each.
import { appendFileSync } from 'node:fs'
import { createServer } from 'node:http'

const projects = new Map()
const logFile = process.env.FAKE_LOG
let counter = 0

function project(name) {
	if (!projects.has(name))
		projects.set(name, { name, refs: {}, live: null, version: 0, times: 0, releases: new Map() })
	return projects.get(name)
}

function json(res, status, body) {
	const text = JSON.stringify(body)
	res.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
	res.end(text)
}

const problem = (res, status, code, detail, more) => json(res, status, { status, code, detail, ...more })

function frame(release, seq, type, data) {
	const body = { type, seq, release_id: release.id, data }
	return `id: ${seq}\nevent: ${type}\ndata: ${JSON.stringify(body)}\n\n`
}

// All frames of a release's log.
function frames(p, release) {
	const lines = ['-----> Unpacked 3 files (1 new)', '-----> Checking the application', 'karta.toml:3:1: a remark']
	if (p.name === 'evil')
		lines.push('\u001b]0;title\u0007\u001b[2Jgone \u202etxet', 'two\nlines', 'x'.repeat(5000))
	const out = lines.map((text, i) => frame(release, i + 1, 'log', { level: i === 2 ? 'warn' : 'info', text }))
	const error = p.name === 'fails' ? { code: 'invalid_application', message: 'karta.toml:1:1: no \u001b[31mname' } : null
	if (error)
		out.push(frame(release, out.length + 1, 'log', { level: 'error', text: error.message }))
	out.push(frame(release, out.length + 1, 'release', {
		release, error, activated: release.active, pinned: p.name === 'pinned', took_ms: 5,
	}))
	return out
}

function make(p, doc) {
	const v = ++p.version
	const preview = doc.ref && doc.ref !== 'refs/heads/main'
	const ok = p.name !== 'fails'
	const active = ok && !preview && p.name !== 'pinned' && doc.activate !== false
	const release = {
		id: `rel_${++counter}`, project: p.name, version: `v${v}`, active, commit_sha: doc.commit_sha ?? null,
		state: !ok ? 'failed' : preview ? 'preview' : active ? 'active' : 'ready',
		preview: preview ? `${p.name}-x` : null, url: `http://${p.name}.localhost/`,
	}
	p.releases.set(release.id, release)
	if (ok && doc.ref && doc.commit_sha)
		p.refs[doc.ref] = doc.commit_sha
	if (active)
		p.live = { release: release.id, version: release.version, digest: doc.digest, commit_sha: release.commit_sha }
	return release
}

function stream(req, res, p, release, after) {
	const list = frames(p, release)
	res.writeHead(200, { 'content-type': 'text/event-stream' })
	if (p.name === 'slow') {
		res.write(list[0])
		return
	}
	if (p.name === 'cut' && p.times++ < 2) {
		// Mid-frame, and with a frame that was there already.
		const from = Math.max(0, after - 1)
		res.write(list.slice(from, after + 1).join('') + list[after + 1].slice(0, 20), () => req.socket.destroy())
		return
	}
	res.end(list.slice(after).join(''))
}

function publish(req, res, p, body) {
	const isJson = req.headers['content-type'] === 'application/json'
	const doc = isJson ? JSON.parse(body) : p.doc
	if (isJson)
		p.doc = doc
	if (p.name === 'hang')
		return
	if (p.name === 'denied')
		return problem(res, 403, 'forbidden', 'this key may not write')
	if (p.name === 'moved')
		return problem(res, 409, 'ref_moved', 'the ref moved', { commit_sha: 'f'.repeat(40) })
	if (p.name === 'busy' && p.times++ < 1)
		return problem(res, 503, 'draining', 'the server restarts')
	if (p.name === 'lost' && p.times++ < 1)
		return req.socket.destroy()
	if (p.name === 'needs' && isJson && !p.times++) {
		const missing = [...new Set(doc.manifest.trim().split('\n').map((l) => l.split(' ')[2]))]
		return problem(res, 409, 'files_missing', 'files', { missing, missing_total: missing.length })
	}
	const release = make(p, doc)
	if (req.headers.prefer === 'respond-async')
		return json(res, 202, { accepted: true, release: { ...release, state: 'queued' } })
	stream(req, res, p, release, 0)
}

function route(req, res, body) {
	const url = new URL(req.url, 'http://x')
	const [, top, name, what, id, more] = url.pathname.split('/').map(decodeURIComponent)
	if (top !== 'agent_projects' || !name)
		return problem(res, 404, 'not_found', 'no such thing')
	if (what === 'refs' && req.method === 'GET') {
		if (!projects.has(name) && name !== 'many')
			return problem(res, 404, 'project_not_found', 'no such project')
		const p = project(name)
		if (p.name === 'many')
			for (let i = 0; i < 40000; i++)
				p.refs[`refs/heads/${'b'.repeat(480)}${i}`] = 'a'.repeat(40)
		return json(res, 200, { refs: p.refs, live: p.live, production_ref: 'refs/heads/main', pinned: false, limits: {} })
	}
	const p = project(name)
	if (what === 'refs' && req.method === 'DELETE') {
		delete p.refs[url.searchParams.get('name')]
		res.writeHead(204)
		return res.end()
	}
	if (what === 'releases' && req.method === 'POST' && !id)
		return publish(req, res, p, body)
	const release = p.releases.get(id)
	if (what === 'releases' && release && more === 'log')
		return stream(req, res, p, release, Number(url.searchParams.get('after') ?? 0))
	if (what === 'releases' && release)
		return json(res, 200, release)
	problem(res, 404, 'not_found', 'no such thing')
}

const server = createServer((req, res) => {
	const pieces = []
	req.on('data', (d) => pieces.push(d))
	req.on('end', () => {
		const body = Buffer.concat(pieces)
		if (logFile) {
			const type = req.headers['content-type'] ?? ''
			appendFileSync(logFile, JSON.stringify({
				method: req.method, url: req.url, headers: req.headers, bytes: body.length,
				body: type === 'application/json' ? JSON.parse(body) : null,
			}) + '\n')
		}
		route(req, res, body)
	})
})
server.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`))
