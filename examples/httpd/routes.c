/* What there is to ask for. */
#include "examples/httpd/httpd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum method_set { GETS = 1, POSTS = 2 };

struct path {
    const char *text;
    size_t length;
};

struct route {
    const char *prefix;
    enum method_set methods;
    int (*answer)(struct connection *c, const char *rest, size_t length);
};

static const char *const allow[] = {
    [GETS] = "Allow: GET, HEAD, OPTIONS\r\n",
    [POSTS] = "Allow: POST, PUT, OPTIONS\r\n",
};

/* ---- answers ---------------------------------------------------------------------------------------------------- */

/* A number and nothing else, up to `most`. */
static bool number_of(const char *text, size_t length, uint64_t most, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9' || i > 11)
            return false;
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    }
    return length > 0 && *number <= most;
}

static int answer_computed(struct connection *c, skua_fiber_fn *fn, uint64_t n)
{
    char text[24];
    struct computation computation = { .n = n };
    int rc = connection_run(c, fn, &computation);
    if (rc < 0)
        return rc == -ENOMEM ? connection_refuse(c, 503, NULL) : rc;
    int length = snprintf(text, sizeof text, "%" PRIu64 "\n", computation.result);
    return connection_answer(c, 200, NULL, text, (size_t)length);
}

static int answer_queens(struct connection *c, const char *rest, size_t length)
{
    uint64_t n;
    if (!number_of(rest, length, QUEENS_MAX, &n) || n == 0)
        return connection_refuse(c, 404, NULL);
    return answer_computed(c, compute_queens, n);
}

static int answer_primes(struct connection *c, const char *rest, size_t length)
{
    uint64_t n;
    if (!number_of(rest, length, PRIMES_MAX, &n))
        return connection_refuse(c, 404, NULL);
    return answer_computed(c, compute_primes, n);
}

static int answer_sleep(struct connection *c, const char *rest, size_t length)
{
    static const char text[] = "slept\n";
    skua_sleep_op sleep;
    uint64_t ms;
    if (!number_of(rest, length, UINT64_C(3600000), &ms))
        return connection_refuse(c, 404, NULL);
    int rc = connection_wait(c, skua_sleep_prepare(&sleep, ms * SKUA_MS));
    return rc < 0 ? rc : connection_answer(c, 200, NULL, text, sizeof text - 1);
}

static int answer_stats(struct connection *c, const char *rest, size_t length)
{
    char text[512];
    skua_stats stats;
    (void)rest;
    if (length > 0)
        return connection_refuse(c, 404, NULL);
    skua_runtime_stats(skua_runtime_self(), &stats);
    int n = snprintf(text, sizeof text,
                     "workers %" PRIu32 "\nlive %" PRIu64 "\nspawned %" PRIu64 "\npolls %" PRIu64 "\nstolen %" PRIu64
                     "\nparks %" PRIu64 "\nwakes %" PRIu64 "\ntimers %" PRIu64 "\n",
                     stats.workers, stats.live, stats.spawned, stats.polls, stats.stolen, stats.parks, stats.wakes,
                     stats.timers);
    return connection_answer(c, 200, NULL, text, (size_t)n);
}

/* For Prometheus. */
static int answer_metrics(struct connection *c, const char *rest, size_t length)
{
    char text[8192];
    skua_stats stats;
    (void)rest;
    if (length > 0)
        return connection_refuse(c, 404, NULL);
    skua_runtime_stats(skua_runtime_self(), &stats);
    int size = skua_stats_prometheus(&stats, NULL, text, sizeof text);
    return connection_answer(c, 200, "text/plain; version=0.0.4", text, (size_t)size);
}

static int answer_echo(struct connection *c, const char *rest, size_t length)
{
    char *bytes = NULL;
    (void)rest;
    int64_t size = length == 0 ? connection_body(c, &bytes) : 0;
    int rc;
    if (length > 0)
        rc = connection_refuse_and_close(c, 404); /* its body has not been read */
    else if (size == BODY_LOST)
        rc = -ECONNRESET;
    else if (size < 0)
        rc = connection_refuse_and_close(c, (int)-size);
    else
        rc = connection_answer(c, 200, "application/octet-stream", bytes != NULL ? bytes : "", (size_t)size);
    free(bytes);
    return rc;
}

static const struct route routes[] = {
    { "/nqueens/", GETS, answer_queens }, { "/primes/", GETS, answer_primes }, { "/sleep/", GETS, answer_sleep },
    { "/files/", GETS, files_answer },    { "/stats", GETS, answer_stats },    { "/echo", POSTS, answer_echo },
    { "/metrics", GETS, answer_metrics },
};

/* ---- finding the way --------------------------------------------------------------------------------------------- */

/* The path of a target: without a query, and without what stands before it in the form that proxies are given. */
static bool path_of(const struct connection *c, struct path *path)
{
    const char *text = c->request.base + c->request.target.at;
    size_t length = c->request.target.length;
    if (length > 0 && text[0] != '/') {
        const char *authority = length > 7 && memcmp(text, "http://", 7) == 0 ? text + 7 : NULL;
        const char *slash = authority != NULL ? memchr(authority, '/', length - 7) : NULL;
        if (slash == NULL)
            return false;
        length -= (size_t)(slash - text);
        text = slash;
    }
    const char *query = memchr(text, '?', length);
    *path = (struct path){ text, query != NULL ? (size_t)(query - text) : length };
    return length > 0;
}

static const struct route *find(const struct path *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        size_t length = strlen(routes[i].prefix);
        if (path->length >= length && memcmp(path->text, routes[i].prefix, length) == 0)
            return &routes[i];
    }
    return NULL;
}

/* A body that nobody wants. Returns 0; 1: the request has been refused; or an error. */
static int drop_body(struct connection *c)
{
    if (!body_is_due(&c->body))
        return 0;
    if (request_has(&c->request, HEADER_EXPECT) && c->next == c->in.end) {
        c->close = c->linger = true; /* the answer says that it need not be sent; but it may be under way */
        return 0;
    }
    int64_t size = connection_body(c, NULL);
    if (size == BODY_LOST)
        return -ECONNRESET;
    if (size >= 0)
        return 0;
    int rc = connection_refuse_and_close(c, (int)-size);
    return rc < 0 ? rc : 1;
}

static int answer_options(struct connection *c, const char *headers)
{
    struct answer answer = { .status = 204, .headers = headers };
    return connection_head(c, &answer);
}

int route(struct connection *c)
{
    static const struct made hello = MADE("Hello, world!\n", 14);
    unsigned method = c->request.parser.method;
    bool gets = method == HTTP_GET || method == HTTP_HEAD;
    struct path path = { NULL, 0 };
    if (request_has(&c->request, HEADER_EXPECT) && !request_value_is(&c->request, HEADER_EXPECT, "100-continue"))
        return connection_refuse_and_close(c, 417);
    bool is_root = c->request.target.length == 1 && c->request.base[c->request.target.at] == '/';
    bool has_path = is_root || path_of(c, &path);
    is_root = is_root || (has_path && path.length == 1);
    const struct route *to = has_path && !is_root ? find(&path) : NULL;
    enum method_set methods = to != NULL ? to->methods : GETS;
    if (methods == GETS || (method != HTTP_POST && method != HTTP_PUT)) {
        int rc = drop_body(c);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    if (method == HTTP_OPTIONS)
        return answer_options(c, allow[methods]);
    if (method == HTTP_CONNECT)
        return connection_refuse_and_close(c, 501);
    if (!is_root && to == NULL)
        return connection_refuse(c, has_path ? 404 : 400, NULL);
    if (methods == GETS ? !gets : method != HTTP_POST && method != HTTP_PUT)
        return connection_refuse(c, 405, allow[methods]);
    if (is_root)
        return connection_made(c, &hello);
    size_t prefix = strlen(to->prefix);
    return to->answer(c, path.text + prefix, path.length - prefix);
}
