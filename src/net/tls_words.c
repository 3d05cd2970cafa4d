/* net/tls_words.c - the cases that operators meet; the rest is in OpenSSL's words. */
#include "net/tls_words.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

/* A name out of a certificate: bytes of the peer's choice, so only what can stand in a log. */
static void append_name(char *out, size_t size, const unsigned char *p, int n)
{
    size_t len = strlen(out);

    for (int i = 0; i < n && i < 80 && len + 2 < size; i++) {
        out[len++] = (p[i] > 0x20 && p[i] < 0x7f) || p[i] == ' ' ? (char)p[i] : '?';
    }
    out[len] = '\0';
}

static void append_alt_name(char *out, size_t size, const GENERAL_NAME *name)
{
    char ip[INET6_ADDRSTRLEN];
    size_t len = strlen(out);

    if (name->type == GEN_DNS) {
        append_name(out, size, ASN1_STRING_get0_data(name->d.dNSName),
                    ASN1_STRING_length(name->d.dNSName));
    } else if (name->type == GEN_IPADD) {
        int n = ASN1_STRING_length(name->d.iPAddress);

        if ((n == 4 || n == 16) &&
            inet_ntop(n == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(name->d.iPAddress), ip,
                      sizeof(ip)) != NULL) {
            snprintf(out + len, size - len, "%s", ip);
        }
    }
}

/* Whom a certificate is for: "a.example, b.example". */
static void names_of(const X509 *cert, char *out, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);

    out[0] = '\0';
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && strlen(out) < size / 2; i++) {
        size_t len = strlen(out);

        if (len > 0) {
            snprintf(out + len, size - len, ", ");
        }
        append_alt_name(out, size, sk_GENERAL_NAME_value(names, i));
    }
    GENERAL_NAMES_free(names);
    if (out[0] == '\0') {
        snprintf(out, size, "no name at all");
    }
}

static void common_name(const X509_NAME *name, char *out, size_t size)
{
    int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
    const ASN1_STRING *text;

    out[0] = '\0';
    if (at < 0) {
        at = X509_NAME_get_index_by_NID(name, NID_organizationName, -1);
    }
    if (at >= 0) {
        text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
        append_name(out, size, ASN1_STRING_get0_data(text), ASN1_STRING_length(text));
    }
    if (out[0] == '\0') {
        snprintf(out, size, "unnamed");
    }
}

static void date_text(const ASN1_TIME *t, char *out, size_t size)
{
    struct tm tm;

    if (ASN1_TIME_to_tm(t, &tm) != 1 || strftime(out, size, "%Y-%m-%d %H:%M:%S UTC", &tm) == 0) {
        snprintf(out, size, "an unreadable date");
    }
}

void tls_words_of_server(const X509 *cert, int error, const char *host, char *out, size_t size)
{
    char text[120];

    switch (error) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        names_of(cert, text, sizeof(text));
        snprintf(out, size, "its certificate is for %s, not for %.60s", text, host);
        break;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        date_text(X509_get0_notAfter(cert), text, sizeof(text));
        snprintf(out, size, "its certificate expired at %s", text);
        break;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        date_text(X509_get0_notBefore(cert), text, sizeof(text));
        snprintf(out, size, "its certificate is not valid before %s", text);
        break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        common_name(X509_get_issuer_name(cert), text, sizeof(text));
        snprintf(out, size,
                 "its certificate is signed by an unknown CA, %.60s; name its file as ca_file",
                 text);
        break;
    default:
        snprintf(out, size, "its certificate: %s", X509_verify_cert_error_string(error));
    }
}

/* What an alert of the client's says, which OpenSSL gives as a reason of its own. */
static void alert_words(int alert, char *out, size_t size)
{
    const char *name = SSL_alert_desc_string_long(alert);

    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
        snprintf(out, size, "the client refuses our certificate (%s)", name);
        break;
    default:
        snprintf(out, size, "the client broke off (%s)", name);
    }
}

void tls_words_of_client(const SSL *ssl, unsigned long code, char *out, size_t size)
{
    int reason = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
    const char *theirs = ERR_reason_error_string(code);

    switch (reason) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        snprintf(out, size, "the client speaks plain HTTP");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
        snprintf(out, size, "the client does not speak TLS");
        break;
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        snprintf(out, size, "the client has no certificate (client_ca)");
        break;
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
        snprintf(out, size, "the client's certificate is refused (client_ca): %s",
                 X509_verify_cert_error_string(SSL_get_verify_result(ssl)));
        break;
    default:
        if (reason > SSL_AD_REASON_OFFSET) {
            alert_words(reason - SSL_AD_REASON_OFFSET, out, size);
        } else {
            snprintf(out, size, "%s", theirs != NULL ? theirs : "unknown reason");
        }
    }
}
