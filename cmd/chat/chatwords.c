/* SPDX-License-Identifier: MIT */
/* Words of other chats, and slips; see chatwords.h. */
#include "cmd/chat/chatwords.h"

#include "base/str.h"

const char *kt_chat_word(const char *typed)
{
	static const char *const same[][2] = { { "/?", "/help" }, { "/clear", "/new" },
		{ "/reset", "/new" }, { "/agents", "/agent" }, { "/exit", "/quit" },
		{ "/q", "/quit" }, { "/bye", "/quit" }, { "/resume", "/session" },
		{ "/continue", "/session" } };

	for (size_t i = 0; i < KT_ARRAY_LEN(same); i++) {
		if (kt_str_eq(typed, same[i][0]))
			return same[i][1];
	}
	return typed;
}

const char *kt_chat_near(const char *typed)
{
	static const char *const words[] = { "/help", "/new", "/sessions", "/agent", "/thinking",
		"/quit", NULL };

	return kt_str_nearest(typed, words);
}
