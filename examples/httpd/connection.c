/* A connection, from its first request to its end.
 *
 * One read, one write: what a read has brought is answered as far as it holds whole requests, and the answers go out
 * together. They are written earlier only if there are 64 KiB of them, or if one has to wait for something.
 */
#define _GNU_SOURCE
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A body, or an answer that is slowly taken, has to move so many bytes within the time of its stage. */
enum { WINDOW_BYTES = 4096 };
/* Of a head that is kept while the connection is idle. */
enum { REPEATED_MAX = 128 };
/* What is sent behind an error is read for a time, and not without end: cut short, the client would lose the answer. */
enum { BIG_IN = 16384, LINGER_MAX = 1 << 26 };

static void mark(struct connection *c, enum stage stage) { keeper_mark(&c->server->keeper, &c->kept, stage); }

static bool has_timed_out(const struct connection *c)
{
    return atomic_load_explicit(&c->kept.has_timed_out, memory_order_relaxed);
}

/* ---- output ----------------------------------------------------------------------------------------------------- */

static int write_rest(struct connection *c, const char *bytes, size_t size)
{
    size_t window = 0;
    while (size > 0) {
        ssize_t n = skua_write(c->stream, bytes, size);
        if (n < 0)
            return (int)n;
        bytes += n;
        size -= (size_t)n;
        window += (size_t)n;
        if (window >= WINDOW_BYTES) {
            window = 0;
            mark(c, STAGE_WRITE);
        }
    }
    return 0;
}

int connection_flush(struct connection *c)
{
    if (c->out.used == 0)
        return 0;
    mark(c, STAGE_WRITE);
    int rc = write_rest(c, c->out.bytes, c->out.used);
    output_reset(&c->out);
    return rc;
}

static void log_answer(struct connection *c, int status, uint64_t bytes)
{
    const char *line = c->in.bytes + c->in.begin;
    size_t there = c->in.end - c->in.begin;
    const char *end = memchr(line, '\n', there);
    size_t length = end != NULL ? (size_t)(end - line) : there;
    if (length > 0 && line[length - 1] == '\r')
        length--;
    log_line(c->server->log, c->peer, line, length, status, bytes);
}

int connection_head(struct connection *c, struct answer *answer)
{
    if (keeper_is_stopping(&c->server->keeper))
        c->close = true;
    answer->close = c->close;
    answer->says_it_keeps = c->request.parser.http_minor == 0;
    if (c->server->log != NULL)
        log_answer(c, answer->status, c->head_only ? 0 : answer->length);
    return output_head(&c->out, answer) ? 0 : -ENOMEM;
}

int connection_answer(struct connection *c, int status, const char *type, const void *content, size_t length)
{
    struct answer answer = { .status = status,
                             .has_length = true,
                             .length = length,
                             .type = type != NULL ? type : "text/plain; charset=utf-8" };
    int rc = connection_head(c, &answer);
    if (rc == 0 && !c->head_only && !output_bytes(&c->out, content, length))
        rc = -ENOMEM;
    return rc;
}

int connection_made(struct connection *c, const struct made *made)
{
    if (c->close || c->head_only || c->request.parser.http_minor == 0 || keeper_is_stopping(&c->server->keeper))
        return connection_answer(c, 200, NULL, made->text + made->size - made->length, made->length);
    if (c->server->log != NULL)
        log_answer(c, 200, made->length);
    return output_made(&c->out, made->text, made->size) ? 0 : -ENOMEM;
}

int connection_refuse(struct connection *c, int status, const char *headers)
{
    char text[64];
    size_t length = strlen(status_reason(status));
    memcpy(text, status_reason(status), length);
    text[length++] = '\n';
    struct answer answer = {
        .status = status, .has_length = true, .length = length, .type = "text/plain; charset=utf-8", .headers = headers
    };
    int rc = connection_head(c, &answer);
    if (rc == 0 && !c->head_only && !output_bytes(&c->out, text, length))
        rc = -ENOMEM;
    return rc;
}

int connection_refuse_and_close(struct connection *c, int status)
{
    c->close = c->linger = true;
    return connection_refuse(c, status, NULL);
}

/* ---- input ------------------------------------------------------------------------------------------------------ */

static uint32_t big_size(const struct connection *c)
{
    return c->server->options->max_head > BIG_IN ? c->server->options->max_head : BIG_IN;
}

static void release_input(struct connection *c)
{
    if (c->in.bytes != c->small_in)
        free(c->in.bytes);
    c->in = (struct input){ .bytes = c->small_in, .size = SMALL_IN };
}

/* Makes room behind what is there, which moves to the begin of a buffer of the larger size. Returns 0 or -ENOMEM. */
static int make_room(struct connection *c)
{
    uint32_t used = c->in.end - c->in.begin, size = big_size(c), next = c->next - c->in.begin;
    if (c->in.bytes != c->small_in) {
        memmove(c->in.bytes, c->in.bytes + c->in.begin, used);
    } else {
        char *bytes = malloc(size);
        if (bytes == NULL)
            return -ENOMEM;
        memcpy(bytes, c->in.bytes + c->in.begin, used);
        c->in.bytes = bytes;
        c->in.size = size;
    }
    c->in.begin = 0;
    c->in.end = used;
    c->before = 0;
    c->next = next;
    c->request.base = c->in.bytes;
    return 0;
}

/* Reads behind what is there, for which there is room. Returns how many; 0: the end; or an error. */
static ssize_t read_more(struct connection *c)
{
    ssize_t n = skua_read(c->stream, c->in.bytes + c->in.end, c->in.size - c->in.end);
    if (n > 0)
        c->in.end += (uint32_t)n;
    return n;
}

/* Waits for a request without keeping more than the fiber has: who sends large batches has a large buffer again when
 * the next one has come, so that it takes one read, too. */
static ssize_t read_first(struct connection *c)
{
    bool is_large = c->in.end >= SMALL_IN;
    mark(c, STAGE_IDLE);
    if (keeper_is_stopping(&c->server->keeper))
        return 0;
    if (!is_large && c->before <= REPEATED_MAX && c->in.bytes == c->small_in) {
        if (!c->is_repeated || c->in.begin != 2 * c->before) /* else the same lies there already */
            memmove(c->small_in, c->small_in + c->in.begin - c->before, c->before);
        c->in.begin = c->in.end = c->before;
        return read_more(c);
    }
    c->before = 0;
    release_input(c);
    if (is_large) {
        skua_op readable;
        skua_op *const arm = skua_stream_readable_prepare(&readable, c->stream);
        int64_t rc = skua_select(&arm, 1);
        if (rc == 0 && make_room(c) < 0)
            return -ENOMEM;
        if (rc < 0)
            return (ssize_t)rc;
    }
    return read_more(c);
}

/* More of a head, of which some is there and the parser wants more. Returns as read_more(), or -EMSGSIZE. */
static ssize_t read_rest(struct connection *c)
{
    if (c->in.end - c->in.begin >= c->server->options->max_head)
        return -EMSGSIZE;
    if (c->in.end == c->in.size && make_room(c) < 0)
        return -ENOMEM;
    return read_more(c);
}

/* ---- bodies ----------------------------------------------------------------------------------------------------- */

/* Somewhere for a body's bytes, or NULL. */
struct gathering {
    char **bytes;
    size_t used, size;
};

static bool gather(struct gathering *g, const char *data, size_t length)
{
    if (g->bytes != NULL && g->used + length > g->size) {
        size_t size = g->size * 2 > g->used + length ? g->size * 2 : g->used + length;
        char *bytes = realloc(*g->bytes, size);
        if (bytes == NULL)
            return false;
        *g->bytes = bytes;
        g->size = size;
    }
    if (g->bytes != NULL)
        memcpy(*g->bytes + g->used, data, length);
    g->used += length;
    return true;
}

/* The client waits for a word before it sends the body (RFC 9110, 10.1.1). */
static bool expects_a_word(const struct connection *c)
{
    return request_has(&c->request, HEADER_EXPECT) && c->request.parser.http_minor > 0 && c->next == c->in.end;
}

/* More of the body, in place of what was used of it; the head stays. Returns as read_more(). */
static ssize_t read_body(struct connection *c, size_t *window)
{
    c->next = c->in.end = c->in.begin + c->request.parsed;
    int rc = connection_flush(c);
    if (rc == 0 && c->in.size - c->in.end < SMALL_IN / 2)
        rc = make_room(c);
    if (rc < 0)
        return rc;
    if (*window >= WINDOW_BYTES || *window == 0) {
        mark(c, STAGE_BODY);
        *window = 1;
    }
    ssize_t n = read_more(c);
    *window += n > 0 ? (size_t)n : 0;
    return n;
}

int64_t connection_body(struct connection *c, char **bytes)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uint64_t most = c->server->options->max_body;
    struct gathering g = { .bytes = bytes };
    size_t window = 0, length;
    if (!request_has(&c->request, HEADER_TRANSFER_ENCODING) && c->body.left > most)
        return -413;
    if (body_is_due(&c->body) && expects_a_word(c) && !output_bytes(&c->out, go_on, sizeof go_on - 1))
        return BODY_LOST;
    for (;;) {
        const char *at = c->in.bytes + c->next, *data;
        enum body_step step = body_next(&c->body, &at, c->in.bytes + c->in.end, &data, &length);
        c->next = (uint32_t)(at - c->in.bytes);
        if (step == BODY_END)
            return (int64_t)g.used;
        if (step == BODY_BAD)
            return -400;
        if (step == BODY_DATA) {
            if (g.used + length > most)
                return -413;
            if (!gather(&g, data, length))
                return BODY_LOST;
            continue;
        }
        ssize_t n = read_body(c, &window);
        if (n <= 0)
            return n == 0 && has_timed_out(c) ? -408 : BODY_LOST;
    }
}

/* ---- waiting for what takes long -------------------------------------------------------------------------------- */

/* Nobody will read an answer; or so it seems: whoever has only shut down his half is taken for gone as well, as most
 * servers do, since the two cannot be told apart before something is written. */
static bool client_is_gone(const struct connection *c)
{
    char byte;
    int fd = skua_stream_fd(c->stream);
    if (fd < 0)
        return false;
    ssize_t n = recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return n == 0 || (n < 0 && skua_errno() != EAGAIN && skua_errno() != EINTR);
}

/* Until this arm is over: 0. Or the client is gone, or the task cancelled. */
static int wait_watched(struct connection *c, skua_op *op)
{
    skua_op readable;
    skua_op *const arms[2] = { op, skua_stream_readable_prepare(&readable, c->stream) };
    size_t count = c->next == c->in.end ? 2 : 1; /* further requests are there: so is the client */
    for (;;) {
        int64_t arm = skua_select_biased(arms, count);
        if (arm < 0)
            return (int)arm;
        if (arm == 0)
            return 0;
        if (readable.result == 0 && client_is_gone(c))
            return -ECANCELED;
        count = 1;
    }
}

int connection_wait(struct connection *c, skua_op *op)
{
    int rc = connection_flush(c);
    mark(c, STAGE_BUSY);
    return rc < 0 ? rc : wait_watched(c, op);
}

int connection_run(struct connection *c, skua_fiber_fn *fn, void *arg)
{
    skua_task *task;
    skua_join_op join;
    int rc = connection_flush(c);
    mark(c, STAGE_BUSY);
    if (rc == 0)
        rc = skua_spawn(&task, fn, arg);
    if (rc < 0)
        return rc;
    rc = wait_watched(c, skua_join_prepare(&join, task));
    if (rc == 0)
        return join.result < 0 ? (int)join.result : (int)join.value;
    skua_cancel(task);
    SKUA_SHIELD(); /* it has the argument still */
    int64_t result;
    int joined = skua_join(task, &result);
    return joined < 0 ? joined : -ECANCELED;
}

/* ---- requests --------------------------------------------------------------------------------------------------- */

/* Why there is no whole head. */
static int end_without_head(struct connection *c, ssize_t why)
{
    if (why == -EMSGSIZE) {
        bool has_line = memchr(c->in.bytes + c->in.begin, '\n', c->server->options->max_head) != NULL;
        return connection_refuse_and_close(c, has_line ? 431 : 414);
    }
    if (why == 0 && has_timed_out(c))
        return connection_refuse_and_close(c, 408);
    return why < 0 ? (int)why : -ECONNRESET;
}

/* A client that asks for the same again, as those do that pipeline, poll or measure, sends the same bytes: then the
 * parser, which takes a third of the time, would find the same. The head before lies in front of this one. */
static bool is_repeated(struct connection *c)
{
    uint32_t size = c->before;
    const char *head = c->in.bytes + c->in.begin;
    if (size == 0 || c->in.end - c->in.begin < size || memcmp(head - size, head, size) != 0)
        return false;
    c->request.base = head;
    return true;
}

/* Until the head of a request is there. Returns 1; 0: there will be none, and what is to be said about it has been; or
 * an error. */
static int read_head(struct connection *c)
{
    if (c->in.begin == c->in.end) {
        int rc = connection_flush(c);
        ssize_t n = rc == 0 ? read_first(c) : rc;
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    c->is_repeated = is_repeated(c);
    if (c->is_repeated)
        return 1;
    request_begin(&c->request);
    c->head_only = false;
    uint32_t most = c->server->options->max_head;
    for (bool is_late = false;; is_late = true) {
        uint32_t there = c->in.end - c->in.begin;
        c->next = c->in.end;
        /* No more than it may be at most: what a client gets does not depend on how its bytes arrive. */
        int rc = request_parse(&c->request, c->in.bytes + c->in.begin, there < most ? there : most);
        if (rc < 0)
            return connection_refuse_and_close(c, -rc);
        if (rc == REQUEST_COMPLETE)
            return 1;
        rc = connection_flush(c);
        if (!is_late)
            mark(c, STAGE_HEAD);
        ssize_t n = rc == 0 ? read_rest(c) : rc;
        if (n <= 0)
            return end_without_head(c, n);
    }
}

/* One request and its answer, into `out`. Returns 0 or an error. */
static int serve_one(struct connection *c)
{
    int rc = read_head(c);
    if (rc <= 0)
        return rc;
    const struct request *request = &c->request;
    c->requests++;
    c->next = c->in.begin + request->parsed;
    c->head_only = request->parser.method == HTTP_HEAD;
    c->close = !request->keeps;
    body_begin(&c->body, request);
    bool has_body = body_is_due(&c->body);
    rc = route(c);
    c->before = has_body ? 0 : request->parsed;
    c->in.begin = c->next;
    if (rc == 0 && c->out.used >= BATCH_BYTES)
        rc = connection_flush(c);
    return rc;
}

/* Closing with bytes unread would have the kernel throw away what the client has not read yet. */
static void linger(struct connection *c)
{
    size_t dropped = 0;
    ssize_t n;
    mark(c, STAGE_LINGER);
    if (skua_stream_shutdown_write(c->stream) < 0)
        return;
    while (dropped < LINGER_MAX && (n = skua_read(c->stream, c->in.bytes, c->in.size)) > 0)
        dropped += (size_t)n;
}

void connection_serve(struct server *server, skua_stream *stream, const char *peer)
{
    struct connection c; /* not set to zero as a whole: its buffers are most of it */
    c.server = server;
    c.stream = stream;
    c.peer = peer;
    c.requests = 0;
    c.close = c.linger = c.is_repeated = false;
    c.before = 0;
    c.in = (struct input){ .bytes = c.small_in, .size = SMALL_IN };
    output_begin(&c.out, c.small_out, sizeof c.small_out);
    int rc = keeper_enter(&server->keeper, &c.kept, skua_stream_fd(stream), server->options->max_connections) ? 0
                                                                                                              : -EBUSY;
    if (rc == 0) {
        while (rc == 0 && !c.close)
            rc = serve_one(&c);
        if (rc == 0)
            rc = connection_flush(&c);
        if (rc == 0 && (c.linger || c.in.begin != c.in.end))
            linger(&c);
        keeper_leave(&server->keeper, &c.kept, c.requests);
    } else {
        static const char full[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        (void)send(skua_stream_fd(stream), full, sizeof full - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    output_reset(&c.out);
    release_input(&c);
    skua_stream_close(stream);
}
