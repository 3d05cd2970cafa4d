/* http/status.h - reason phrases (RFC 9110 15, RFC 6585). Pure. */
#ifndef HTTP_STATUS_H
#define HTTP_STATUS_H

/* "Not Found" of 404; "Unknown" of a status that the program never sends. Static storage. */
const char *http_status_reason(int status);

#endif
