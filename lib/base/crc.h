/* SPDX-License-Identifier: MIT */
/*
 * CRC-32C (Castagnoli; RFC 3720, B.4): tells bytes that a disk changed from those that were
 * written. It finds every change within 32 bits. No defence against who means to deceive.
 * Thread-safe.
 */
#ifndef KT_BASE_CRC_H
#define KT_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

/* The sum of what gave `crc` (0 = nothing yet) and len more bytes. */
uint32_t kt_crc32c(uint32_t crc, const void *data, size_t len);

#endif
