/* SPDX-License-Identifier: MIT */
/* What a project's page says of its place on a server: whether it is pinned, where the others are. */

/* "" of a project that is not pinned. */
export function pinText(project) {
	if (!project?.pinned)
		return "";
	const since = project.pinned_at ? ` since ${new Date(project.pinned_at).toLocaleString()}` : "";
	const by = project.pinned_by ? ` by ${project.pinned_by}` : "";
	return `pinned${since}${by}: ${project.pin_reason ?? ""}`;
}

/* The mark leads to the server's own pages, where there are such. */
export function homeLink(address) {
	const link = document.getElementById("home");
	if (!link || !/^https?:\/\//.test(address ?? ""))
		return;
	link.href = `${address}/`;
	link.title = "All projects";
	link.setAttribute("aria-label", "All projects");
}
