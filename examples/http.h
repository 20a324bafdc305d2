/* As much of HTTP/1.0 as the examples need: asking for a page. What comes back is read from a reader. */
#ifndef SKUA_EXAMPLES_HTTP_H
#define SKUA_EXAMPLES_HTTP_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <skua.h>

struct http {
    skua_stream *stream; /* to be closed, if http_get() has not failed */
    skua_reader in;      /* the body, to the connection's end */
    int status;
    char buffer[4096];
};

/* "http://host:port/path" to an address and a request, whose length is returned. */
static inline int http_understand(const char *url, char *address, size_t address_size, char *request,
                                  size_t request_size)
{
    static const char scheme[] = "http://";
    if (strncmp(url, scheme, strlen(scheme)) != 0)
        return -EINVAL;
    const char *host = url + strlen(scheme);
    int host_length = (int)strcspn(host, "/");
    const char *path = host[host_length] != '\0' ? host + host_length : "/";
    int n = snprintf(address, address_size, "tcp://%.*s", host_length, host);
    if (n < 0 || (size_t)n >= address_size)
        return -ENAMETOOLONG;
    n = snprintf(request, request_size, "GET %s HTTP/1.0\r\nHost: %.*s\r\n\r\n", path, host_length, host);
    return n < 0 || (size_t)n >= request_size ? -ENAMETOOLONG : n;
}

/* The status line, and the headers to the empty line. */
static inline int http_read_head(struct http *http)
{
    char *line;
    ssize_t n = skua_read_line(&http->in, &line);
    if (n < 0)
        return (int)n;
    if (n < 13 || memcmp(line, "HTTP/1.", 7) != 0)
        return -EPROTO;
    http->status = (int)strtol(line + 9, NULL, 10); /* ends at the line's end at the latest */
    do
        n = skua_read_line(&http->in, &line);
    while (n > 0 && line[0] != '\r' && line[0] != '\n');
    return n > 0 ? 0 : n < 0 ? (int)n : -EPROTO;
}

/* Waits wherever it has to, so deadlines around it count. 0, or an error: then nothing is left over. */
static inline int http_get(struct http *http, const char *url)
{
    char address[SKUA_ADDRESS_TEXT_MAX], request[1024];
    int length = http_understand(url, address, sizeof address, request, sizeof request);
    if (length < 0)
        return length;
    int rc = skua_connect(&http->stream, address, NULL);
    if (rc < 0)
        return rc;
    skua_reader_init(&http->in, http->stream, http->buffer, sizeof http->buffer);
    ssize_t n = skua_write_all(http->stream, request, (size_t)length);
    rc = n < 0 ? (int)n : http_read_head(http);
    if (rc < 0)
        skua_stream_close(http->stream);
    return rc;
}

#endif
