/* SPDX-License-Identifier: MIT */
/*
 * What Debian's static libcurl and libgit2 refer to and karta never reaches. Debian has no static
 * Kerberos, and LDAP and RTMP are protocols that lib/net/curl.c does not allow. Kerberos says that
 * it is not available, which its callers know how to take; the rest ends the program.
 */
#include <stdlib.h>

#define GSS_UNAVAILABLE (16U << 16)

#define NO_KERBEROS(name)                                                                          \
	unsigned name(void);                                                                       \
	unsigned name(void)                                                                        \
	{                                                                                          \
		return GSS_UNAVAILABLE;                                                            \
	}
#define NEVER_CALLED(name)                                                                         \
	void name(void);                                                                           \
	void name(void)                                                                            \
	{                                                                                          \
		abort();                                                                           \
	}

extern const void *const GSS_C_NT_HOSTBASED_SERVICE;
const void *const GSS_C_NT_HOSTBASED_SERVICE = NULL;
NO_KERBEROS(gss_delete_sec_context)
NO_KERBEROS(gss_display_name)
NO_KERBEROS(gss_display_status)
NO_KERBEROS(gss_import_name)
NO_KERBEROS(gss_indicate_mechs)
NO_KERBEROS(gss_init_sec_context)
NO_KERBEROS(gss_inquire_context)
NO_KERBEROS(gss_release_buffer)
NO_KERBEROS(gss_release_name)
NO_KERBEROS(gss_release_oid_set)
NO_KERBEROS(gss_unwrap)
NO_KERBEROS(gss_wrap)
NEVER_CALLED(RTMP_Alloc)
NEVER_CALLED(RTMP_Close)
NEVER_CALLED(RTMP_Connect1)
NEVER_CALLED(RTMP_ConnectStream)
NEVER_CALLED(RTMP_Free)
NEVER_CALLED(RTMP_Init)
NEVER_CALLED(RTMP_Read)
NEVER_CALLED(RTMP_SetBufferMS)
NEVER_CALLED(RTMP_SetupURL)
NEVER_CALLED(RTMP_Write)
NEVER_CALLED(ber_bvfree)
NEVER_CALLED(ber_free)
NEVER_CALLED(ber_memfree)
NEVER_CALLED(ber_sockbuf_add_io)
NEVER_CALLED(ldap_abandon_ext)
NEVER_CALLED(ldap_err2string)
NEVER_CALLED(ldap_free_urldesc)
NEVER_CALLED(ldap_get_attribute_ber)
NEVER_CALLED(ldap_get_dn_ber)
NEVER_CALLED(ldap_get_option)
NEVER_CALLED(ldap_init_fd)
NEVER_CALLED(ldap_memfree)
NEVER_CALLED(ldap_msgfree)
NEVER_CALLED(ldap_msgtype)
NEVER_CALLED(ldap_parse_result)
NEVER_CALLED(ldap_parse_sasl_bind_result)
NEVER_CALLED(ldap_pvt_url_scheme2proto)
NEVER_CALLED(ldap_result)
NEVER_CALLED(ldap_sasl_bind)
NEVER_CALLED(ldap_search_ext)
NEVER_CALLED(ldap_set_option)
NEVER_CALLED(ldap_start_tls)
NEVER_CALLED(ldap_unbind_ext)
NEVER_CALLED(ldap_url_parse)
