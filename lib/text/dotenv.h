/* SPDX-License-Identifier: MIT */
/*
 * .env files, as dotenv libraries read them: NAME=value lines with an optional "export", comments,
 * single quotes and backquotes (as they are), double quotes (\n \r \t \\ \" \$). Quoted values may
 * span lines, as keys in PEM form do; a blank and # begin a comment behind one without quotes.
 * Nothing is expanded. Values never appear in a message.
 */
#ifndef KT_TEXT_DOTENV_H
#define KT_TEXT_DOTENV_H

#include "base/buf.h"

/* One variable; name and value are valid for the call. */
typedef void (*kt_dotenv_fn)(void *arg, int line, const char *name, const char *value);
/* A line that is none: what is wrong with it. */
typedef void (*kt_dotenv_bad_fn)(void *arg, int line, const char *what);
/* Read a file of len bytes, in order; lines that are wrong are told and left out. */
void kt_dotenv_parse(const char *s, size_t len, kt_dotenv_fn fn, kt_dotenv_bad_fn bad, void *arg);
/* Append "NAME=value\n" in a form that kt_dotenv_parse() reads back; quoted where needed. */
void kt_dotenv_add(struct kt_buf *b, const char *name, const char *value);

#endif
