/* The example server, skua-httpd. What its files are for:
 *
 *     main.c        the command, and the order in which things start and stop
 *     options.c     its arguments
 *     connection.c  a connection: reads requests, has them answered, writes the answers of a batch at once
 *     request.c     parsing; framing of bodies
 *     output.c      heads of answers, dates
 *     routes.c      what there is to ask for; compute.c and files.c answer some of it
 *     keeper.c      time-outs of all connections, and their end when the server stops
 *     log.c         the access log
 *
 * A connection is a fiber. While it waits for a request it has nothing but one page of its stack, in which there is
 * room for the requests and answers of a usual batch; a larger one has memory from the heap until it is answered.
 */
#ifndef HTTPD_H
#define HTTPD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <skua.h>

#include "examples/httpd/output.h"
#include "examples/httpd/request.h"

/* ---- options.c -------------------------------------------------------------------------------------------------- */

struct options {
    const char *listen;
    const char *root;         /* of /files/; NULL: there are none */
    const char *log;          /* a path, or "-"; NULL: none */
    uint32_t workers, hogs;
    uint32_t max_connections;
    uint32_t max_head, max_body; /* bytes */
    uint64_t idle_ns, head_ns, body_ns, write_ns, linger_ns, drain_ns;
    bool stats;
};

/* What they are without arguments. */
extern const struct options options_default;
/* Returns 0, or what main() is to return, having said why. *options are the defaults before. */
enum { OPTIONS_GO_ON = -1 };
int options_parse(struct options *options, int argc, char **argv);

/* ---- keeper.c --------------------------------------------------------------------------------------------------- */

/* What a connection is at, each with a time-out of its own. */
enum stage {
    STAGE_IDLE,   /* between requests */
    STAGE_HEAD,   /* some of a head has come */
    STAGE_BODY,
    STAGE_BUSY,   /* it is being answered, however long that takes */
    STAGE_WRITE,
    STAGE_LINGER, /* it has been answered for the last time, and what still comes is dropped */
    STAGES
};

/* A connection, as the keeper sees it. It says what it is at with one store, and nobody sets a timer: the keeper counts
 * ticks, and looks after all of them at each. */
struct kept {
    struct kept *next, **at; /* under the keeper's lock */
    skua_waker waker;
    int fd;
    _Atomic uint32_t mark;      /* a tick and a stage; by the connection */
    _Atomic bool has_timed_out; /* by the keeper */
};

struct keeper {
    _Atomic uint32_t tick;
    _Atomic bool is_stopping; /* connections take no further requests */
    uint64_t tick_ns;
    uint32_t limits[STAGES]; /* in ticks; 0: none */
    skua_mutex lock;
    struct kept *first;      /* these under the lock */
    uint32_t count;
    uint64_t connections, requests, timeouts; /* so far; requests of those that have ended */
    skua_notify came, left;
};

void keeper_init(struct keeper *keeper, const struct options *options);
/* A task: counts ticks, while there are connections. Until it is cancelled. */
int keeper_run(void *keeper);
/* False: there are too many. */
bool keeper_enter(struct keeper *keeper, struct kept *kept, int fd, uint32_t most);
/* Before its descriptor is closed. */
void keeper_leave(struct keeper *keeper, struct kept *kept, uint64_t requests);
/* Idle connections end at once, others with their answer, those left at the instant are cancelled. Waits for all. */
void keeper_stop(struct keeper *keeper, uint64_t instant_ns);

enum { MARK_STAGE_BITS = 3 };
static inline void keeper_mark(struct keeper *keeper, struct kept *kept, enum stage stage)
{
    /* Relaxed: a clock and a note; whoever sees the note late counts a tick more. */
    uint32_t tick = atomic_load_explicit(&keeper->tick, memory_order_relaxed);
    atomic_store_explicit(&kept->mark, tick << MARK_STAGE_BITS | (uint32_t)stage, memory_order_relaxed);
}
static inline bool keeper_is_stopping(const struct keeper *keeper)
{
    return atomic_load_explicit(&keeper->is_stopping, memory_order_relaxed);
}

/* ---- log.c ------------------------------------------------------------------------------------------------------ */

struct log;

/* `path`: "-" for the standard output. Returns 0 or an error. */
int log_open(struct log **log, const char *path);
/* Writes what is left, and closes it; says on the standard error how many lines were dropped. */
void log_close(struct log *log);
/* Adds a line, if there is room for it; never waits. A file that has been moved away is left and made anew after
 * log_reopen(). */
void log_line(struct log *log, const char *peer, const char *request, size_t length, int status, uint64_t bytes);
void log_reopen(struct log *log);

/* ---- connection.c ----------------------------------------------------------------------------------------------- */

struct server {
    const struct options *options;
    int root; /* the descriptor of options->root, or -1 */
    struct log *log;
    struct keeper keeper;
};

/* Batches within these take no memory from the heap. With these sizes an idle connection takes 4.6 KB, with twice as
 * much 7.6 KB: the rest of the fiber does not fit into the page then. */
enum { SMALL_IN = 704, SMALL_OUT = 448 };
/* So many bytes of answers gather before they are written. */
enum { BATCH_BYTES = 1 << 16 };

struct input {
    char *bytes;
    uint32_t begin, end, size; /* what has come and was not used lies between the first two */
};

struct connection {
    struct server *server;
    skua_stream *stream;
    struct kept kept;
    struct request request;
    struct body body;
    struct input in;
    uint32_t next; /* behind the request, as far as it has been read */
    bool is_repeated; /* the request's head is that of the one before */
    uint32_t before; /* the length of the head in front of it, if that had no body and is still there; or 0 */
    struct output out;
    uint64_t requests;
    const char *peer; /* for the log */
    bool close;       /* after what is in `out` */
    bool linger;      /* and read what still comes, so that the answer is not lost */
    bool head_only;
    char small_in[SMALL_IN], small_out[SMALL_OUT];
};

/* Serves a connection until it ends, and closes the stream. In a fiber. `peer` is text for the log. */
void connection_serve(struct server *server, skua_stream *stream, const char *peer);

/* For those who answer: 0, or an error, with which the connection ends at once.
 * Answers with a text and an end of line that it has; `type` NULL: plain text. */
int connection_answer(struct connection *c, int status, const char *type, const void *content, size_t length);
/* The same of a text that is always this one: all that comes behind the date has been made. The length is given, since
 * it must be text, and checked. */
struct made {
    const char *text;
    size_t size, length; /* of all, and of the content at its end */
};
#define MADE_TEXT(content, content_length) \
    "\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: " #content_length "\r\n\r\n" content
#define MADE(content, content_length)                                                                              \
    {                                                                                                              \
        .text = MADE_TEXT(content, content_length), .size = sizeof MADE_TEXT(content, content_length) - 1,         \
        .length = content_length + 0 * sizeof(char[sizeof content - 1 == (content_length) ? 1 : -1]) /* checked */ \
    }
int connection_made(struct connection *c, const struct made *made);
/* The same of an error, with its reason as text, and further lines of the head (or NULL). */
int connection_refuse(struct connection *c, int status, const char *headers);
/* The same, and whatever comes behind it on this connection means nothing any more. */
int connection_refuse_and_close(struct connection *c, int status);
/* The head only; who calls adds the content, unless c->head_only. */
int connection_head(struct connection *c, struct answer *answer);
/* Writes what has gathered. */
int connection_flush(struct connection *c);
/* Reads the body: up to options->max_body bytes, to be freed, or dropped (`bytes` NULL). Returns its length; a status
 * to refuse it with, negated: -413, -400; or an error below -1000, with which the connection ends. */
enum { BODY_LOST = -1000 };
int64_t connection_body(struct connection *c, char **bytes);
/* Runs a function in a task of its own and waits for it; cancels it when the client has gone. Returns what it returns,
 * or -ECANCELED. What was answered before is written first. */
int connection_run(struct connection *c, skua_fiber_fn *fn, void *arg);
/* Waits for an op, a prepared one, or until the client has gone. Returns 0 or -ECANCELED. */
int connection_wait(struct connection *c, skua_op *op);

/* ---- routes.c, compute.c, files.c -------------------------------------------------------------------------------- */

/* Answers the request. Returns as those do that it calls. */
int route(struct connection *c);

/* How many ways there are to place n queens on a board of n x n; how many primes there are up to n. As tasks, of the
 * argument's address. -ECANCELED if they were cancelled. */
struct computation {
    uint64_t n, result;
};
int compute_queens(void *computation);
int compute_primes(void *computation);

enum { QUEENS_MAX = 16 };
#define PRIMES_MAX UINT64_C(2000000000)

/* Answers with the file of this name, percent-encoded, below the root. */
int files_answer(struct connection *c, const char *name, size_t length);

#endif
