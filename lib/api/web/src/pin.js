/* SPDX-License-Identifier: MIT */
/* What a page says of a pinned project; "" of one that is not. */

export function pinText(project) {
	if (!project?.pinned)
		return "";
	const since = project.pinned_at ? ` since ${new Date(project.pinned_at).toLocaleString()}` : "";
	const by = project.pinned_by ? ` by ${project.pinned_by}` : "";
	return `pinned${since}${by}: ${project.pin_reason ?? ""}`;
}
