/* Requests as they come: the head by http_parser, which is given each byte once, and the framing of bodies.
 *
 * The head's bytes stay together in the caller's memory until the request has been answered: the parser's findings are
 * kept as places in it, counted from its first byte, so that the memory may be moved between two calls.
 *
 * Bodies are not left to the parser: Debian's is built without its strict checks, and would take any two bytes for the
 * end of a chunk. What frames a body is where requests are smuggled, so this is strict: both Content-Length and
 * Transfer-Encoding, more than one of either, a transfer coding that is not `chunked` alone, folded lines and names
 * with blanks are errors. After an error nothing on the connection can be trusted, and it is closed.
 */
#ifndef HTTPD_REQUEST_H
#define HTTPD_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <http_parser.h>

struct slice {
    uint32_t at, length;
};

/* The headers that matter here. */
enum header {
    HEADER_HOST,
    HEADER_EXPECT,
    HEADER_RANGE,
    HEADER_IF_RANGE,
    HEADER_IF_MODIFIED_SINCE,
    HEADER_TRANSFER_ENCODING,
    HEADERS,
    HEADER_OTHER = HEADERS
};

struct request {
    http_parser parser; /* the first: what callbacks are given */
    const char *base;   /* of the head, during a call */
    uint32_t parsed;    /* bytes of the head that the parser has had; at the end, its length */
    uint16_t error;     /* a status, set by a callback */
    uint8_t seen;       /* a bit for each header */
    uint8_t header;     /* whose value is being read */
    bool in_value;
    bool keeps;         /* the connection, at the end: as the head says */
    uint32_t value_end;
    struct slice target;
    struct slice name;
    struct slice values[HEADERS]; /* of those seen */
};

void request_begin(struct request *request);

enum { REQUEST_MORE = 0, REQUEST_COMPLETE = 1 };

/* Goes on with what has come of a head: its first `size` bytes, of which it has seen request->parsed.
 * Returns: REQUEST_MORE; REQUEST_COMPLETE, and the head is the first request->parsed bytes; or a status to be refused
 * with, negated. */
int request_parse(struct request *request, const char *bytes, size_t size);

static inline bool request_has(const struct request *request, enum header header)
{
    return (request->seen & (1u << header)) != 0;
}

/* Compares without regard to case; `word` is in small letters. */
bool request_value_is(const struct request *request, enum header header, const char *word);

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

/* Bytes of chunk extensions and trailers, which are skipped, in one body. */
enum { BODY_OVERHEAD_MAX = 8192 };

struct body {
    uint64_t left;     /* of the body, or of the chunk */
    uint32_t overhead; /* bytes of extensions and trailers so far */
    uint8_t state;
    uint8_t digits;
};

enum body_step {
    BODY_MORE, /* all bytes are used up */
    BODY_DATA, /* *data: some of the body */
    BODY_END,
    BODY_BAD
};

/* Of a request that is complete. */
void body_begin(struct body *body, const struct request *request);
/* Whether any bytes of it are still to come. */
bool body_is_due(const struct body *body);
/* Goes on behind *at. */
enum body_step body_next(struct body *body, const char **at, const char *end, const char **data, size_t *length);

#endif
