/* SPDX-License-Identifier: MIT */
/* The commands of a chat, as they are typed. */
#ifndef KT_CMD_CHAT_CHATWORDS_H
#define KT_CMD_CHAT_CHATWORDS_H

/* What karta calls the command that other chats call so; the word itself when it is none of them.
 */
const char *kt_chat_word(const char *typed);
/* The command that was meant by a word that is none, as far as one can tell; NULL otherwise. */
const char *kt_chat_near(const char *typed);

#endif
