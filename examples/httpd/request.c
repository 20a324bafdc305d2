/* See request.h. */
#include "examples/httpd/request.h"

#include <string.h>

/* ---- the head --------------------------------------------------------------------------------------------------- */

static struct request *request_of(http_parser *parser) { return (struct request *)(void *)parser; }

static int refuse(struct request *request, uint16_t status)
{
    request->error = status;
    return -1;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    for (size_t i = 0; i < length; i++) {
        char c = text[i];
        if ((c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c) != word[i])
            return false;
    }
    return word[length] == '\0';
}

static enum header identify(const char *name, size_t length)
{
    switch (length) {
    case 4:
        return is_word(name, length, "host") ? HEADER_HOST : HEADER_OTHER;
    case 5:
        return is_word(name, length, "range") ? HEADER_RANGE : HEADER_OTHER;
    case 6:
        return is_word(name, length, "expect") ? HEADER_EXPECT : HEADER_OTHER;
    case 8:
        return is_word(name, length, "if-range") ? HEADER_IF_RANGE : HEADER_OTHER;
    case 17:
        if (is_word(name, length, "transfer-encoding"))
            return HEADER_TRANSFER_ENCODING;
        return is_word(name, length, "if-modified-since") ? HEADER_IF_MODIFIED_SINCE : HEADER_OTHER;
    default:
        return HEADER_OTHER;
    }
}

/* Each of these may be called several times for one text, with the pieces that the input came in. */
static int on_url(http_parser *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);
    if (request->target.length == 0)
        request->target.at = (uint32_t)(at - request->base);
    request->target.length += (uint32_t)length;
    return 0;
}

static int on_name(http_parser *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);
    if (request->in_value || request->name.length == 0) {
        request->in_value = false;
        request->name = (struct slice){ (uint32_t)(at - request->base), 0 };
    }
    request->name.length += (uint32_t)length;
    return 0;
}

static int begin_value(struct request *request, uint32_t where)
{
    const char *name = request->base + request->name.at;
    if (memchr(name, ' ', request->name.length) != NULL) /* `Content-Length : 1` is another header to others */
        return refuse(request, 400);
    enum header header = identify(name, request->name.length);
    request->in_value = true;
    request->header = (uint8_t)header;
    request->value_end = where;
    if (header == HEADER_OTHER)
        return 0;
    if (request_has(request, header) && (header == HEADER_HOST || header == HEADER_TRANSFER_ENCODING))
        return refuse(request, 400);
    request->seen |= (uint8_t)(1u << header);
    request->values[header] = (struct slice){ where, 0 };
    return 0;
}

static int on_value(http_parser *parser, const char *at, size_t length)
{
    struct request *request = request_of(parser);
    uint32_t where = (uint32_t)(at - request->base);
    if (!request->in_value && begin_value(request, where) != 0)
        return -1;
    if (where != request->value_end || memchr(at, '\0', length) != NULL) /* a folded line (RFC 9112, 5.2) */
        return refuse(request, 400);
    request->value_end += (uint32_t)length;
    if (request->header != HEADER_OTHER)
        request->values[request->header].length += (uint32_t)length;
    return 0;
}

/* 1: there is no body, as far as the parser is concerned. */
static int on_head(http_parser *parser)
{
    parser->upgrade = 0; /* offers to speak something else are not taken */
    return 1;
}

static int on_end(http_parser *parser)
{
    http_parser_pause(parser, 1);
    return 0;
}

static const http_parser_settings settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head,
    .on_message_complete = on_end,
};

void request_begin(struct request *request)
{
    http_parser_init(&request->parser, HTTP_REQUEST);
    request->parsed = 0;
    request->error = 0;
    request->seen = 0;
    request->in_value = false;
    request->target.length = 0;
    request->name.length = 0;
}

bool request_value_is(const struct request *request, enum header header, const char *word)
{
    const struct slice *value = &request->values[header];
    const char *text = request->base + value->at;
    size_t length = value->length;
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return is_word(text, length, word);
}

/* A method that nobody here knows, or something that is not HTTP at all: by the first letter, for the parser gives up
 * where a name begins to differ, and what stands behind may not have come. */
static int status_of_method(const char *bytes, size_t size)
{
    size_t i = 0;
    while (i < size && (bytes[i] == '\r' || bytes[i] == '\n'))
        i++;
    return i < size && bytes[i] >= 'A' && bytes[i] <= 'Z' ? 501 : 400;
}

static int status_of_error(const struct request *request, enum http_errno error, const char *bytes, size_t size)
{
    if (request->error != 0)
        return request->error;
    switch (error) {
    case HPE_INVALID_METHOD:
        return status_of_method(bytes, size);
    case HPE_HEADER_OVERFLOW:
        return 431;
    case HPE_INVALID_TRANSFER_ENCODING:
        return 501;
    default:
        return 400;
    }
}

/* What the parser does not look at. */
static int check(const struct request *request)
{
    const http_parser *parser = &request->parser;
    if (parser->http_major != 1)
        return parser->http_major == 0 ? 400 : 505;
    if (parser->http_minor >= 1 && !request_has(request, HEADER_HOST))
        return 400;
    if (request_has(request, HEADER_TRANSFER_ENCODING)) {
        if (parser->http_minor == 0) /* whoever is in between may not know it (RFC 9112, 6.1) */
            return 400;
        if (!request_value_is(request, HEADER_TRANSFER_ENCODING, "chunked"))
            return 501;
    }
    return 0;
}

int request_parse(struct request *request, const char *bytes, size_t size)
{
    request->base = bytes;
    size_t n = http_parser_execute(&request->parser, &settings, bytes + request->parsed, size - request->parsed);
    enum http_errno error = HTTP_PARSER_ERRNO(&request->parser);
    if (error == HPE_OK) {
        request->parsed = (uint32_t)size;
        return REQUEST_MORE;
    }
    if (error != HPE_PAUSED)
        return -status_of_error(request, error, bytes, size);
    request->parsed += (uint32_t)n;
    int refused = check(request);
    request->keeps = http_should_keep_alive(&request->parser) != 0;
    return refused != 0 ? -refused : REQUEST_COMPLETE;
}

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

enum {
    NOTHING,
    LENGTH,       /* so many bytes */
    SIZE,         /* of a chunk */
    EXTENSION,    /* to the end of its line */
    SIZE_LF,
    CHUNK,
    CHUNK_CR,
    CHUNK_LF,
    TRAILER,      /* at a line's begin */
    TRAILER_REST, /* to its end */
    TRAILER_LF,
    LAST_LF
};

/* So many hexadecimal digits fit into a size, with room to add. */
enum { DIGITS_MAX = 15 };

static void expect_size(struct body *body)
{
    body->state = SIZE;
    body->digits = 0;
    body->left = 0;
}

void body_begin(struct body *body, const struct request *request)
{
    *body = (struct body){ .state = NOTHING };
    if (request_has(request, HEADER_TRANSFER_ENCODING)) {
        expect_size(body);
    } else if (request->parser.content_length != UINT64_MAX && request->parser.content_length != 0) {
        body->state = LENGTH;
        body->left = request->parser.content_length;
    }
}

bool body_is_due(const struct body *body) { return body->state != NOTHING; }

static int digit_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What is skipped: no line's end is in it but the true one. */
static bool skip(struct body *body, char c)
{
    return ++body->overhead <= BODY_OVERHEAD_MAX && (c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f));
}

static bool next_of_size(struct body *body, char c)
{
    int digit = digit_of(c);
    if (digit >= 0) {
        body->left = body->left << 4 | (uint64_t)digit;
        return ++body->digits <= DIGITS_MAX;
    }
    body->state = c == '\r' ? SIZE_LF : EXTENSION;
    return body->digits > 0 && (c == '\r' || c == ';' || c == ' ' || c == '\t');
}

/* One byte that is not data. False: it must not be there. */
static bool next_byte(struct body *body, char c)
{
    switch (body->state) {
    case SIZE:
        return next_of_size(body, c);
    case EXTENSION:
        if (c != '\r')
            return skip(body, c);
        body->state = SIZE_LF;
        return true;
    case SIZE_LF:
        body->state = body->left > 0 ? CHUNK : TRAILER;
        return c == '\n';
    case CHUNK_CR:
        body->state = CHUNK_LF;
        return c == '\r';
    case CHUNK_LF:
        expect_size(body);
        return c == '\n';
    case TRAILER:
    case TRAILER_REST:
        if (c == '\r') {
            body->state = body->state == TRAILER ? LAST_LF : TRAILER_LF;
            return true;
        }
        body->state = TRAILER_REST;
        return skip(body, c);
    case TRAILER_LF:
        body->state = TRAILER;
        return c == '\n';
    default: /* LAST_LF */
        body->state = NOTHING;
        return c == '\n';
    }
}

enum body_step body_next(struct body *body, const char **at, const char *end, const char **data, size_t *length)
{
    while (body->state != NOTHING) {
        if (*at == end)
            return BODY_MORE;
        if (body->state == LENGTH || body->state == CHUNK) {
            size_t there = (size_t)(end - *at);
            *data = *at;
            *length = body->left < there ? (size_t)body->left : there;
            *at += *length;
            body->left -= *length;
            if (body->left == 0)
                body->state = body->state == LENGTH ? NOTHING : CHUNK_CR;
            return BODY_DATA;
        }
        if (!next_byte(body, *(*at)++))
            return BODY_BAD;
    }
    return BODY_END;
}
