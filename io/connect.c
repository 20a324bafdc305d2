/* Connecting: to one address, or to the first of several that answers.
 *
 * Several are tried as RFC 8305 ("Happy Eyeballs") says, by the one calling task:
 *   order    the addresses' families take turns, beginning with that of the first
 *   begin    the next address is tried when none is under way, when one has failed, or when the last one was begun
 *            attempt_delay_ms ago
 *   wait     for all sockets that are under way, and for the delay
 *   end      the first that is connected is returned; the others are closed, as are all when the caller is interrupted
 * This is an arm in steps (sched/steps.h), of a select of one's own, or of one with that arm alone: futures and the
 * straight-line call. A name is asked for as the step before.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "io/driver.h"
#include "io/socket.h"
#include "io/stream.h"
#include "sched/steps.h"
#include "skua/resolve.h"

enum { ATTEMPT_DELAY_MS = 250 }; /* RFC 8305, section 5 */

/* ---- one address ----------------------------------------------------------------------------------------------- */

/* 0: connected. 1: under way. Else there is no stream. */
static int begin_connecting(skua_stream **out, const skua_address *address, const skua_socket_options *options)
{
    skua_stream *stream;
    int fd = skuai_socket_make(address);
    if (fd < 0)
        return fd;
    bool tcp = skuai_address_is_tcp(address);
    skuai_socket_set_connected(fd, tcp, options);
    int rc = skuai_stream_of_fd(&stream, options->runtime, fd, tcp ? SKUAI_STREAM_TCP : SKUAI_STREAM_SOCKET);
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    if (connect(fd, skuai_address_sockaddr(address), address->length) != 0) {
        int error = skua_errno();
        rc = error == EINPROGRESS || error == EINTR ? 1 : -error;
    }
    if (rc < 0) {
        skua_stream_close(stream);
        return rc;
    }
    *out = stream;
    if (rc == 1) { /* not writable before it is connected */
        struct skuai_source *source = skuai_stream_source(stream);
        skuai_source_drained(source, skuai_source_readiness(source), SKUAI_WRITING);
    }
    return rc;
}

static skua_op *connected_prepare(skua_op *op, skua_stream *stream)
{
    return skuai_source_wait_prepare(op, skuai_stream_source(stream), SKUAI_WRITING);
}

/* Of one that was under way and is not any more: what has become of it. */
static int error_of(skua_stream *stream)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (getsockopt(skua_stream_fd(stream), SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = skua_errno();
    return -error;
}

int skua_connect_to(skua_stream **out, const skua_address *address, const skua_socket_options *options)
{
    skua_stream *stream;
    skua_op op;
    int rc = skuai_call_begin(skuai_worker_self(), "skua_connect");
    if (rc < 0)
        return rc;
    rc = begin_connecting(&stream, address, options != NULL ? options : &skuai_socket_usual);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        rc = (int)skuai_call(connected_prepare(&op, stream));
        rc = rc < 0 ? rc : error_of(stream);
    }
    if (rc < 0)
        skua_stream_close(stream);
    else
        *out = stream;
    return rc;
}

/* ---- several addresses ----------------------------------------------------------------------------------------- */

void skuai_connect_order(const skua_address *addresses, size_t count, uint32_t *order)
{
    size_t next[2] = { 0, 0 }; /* of the first's family, and of others */
    const sa_family_t first = count > 0 ? addresses[0].storage.ss_family : 0;
    for (size_t placed = 0, turn = 0; placed < count; turn ^= 1) {
        size_t *at = &next[turn];
        while (*at < count && (addresses[*at].storage.ss_family == first) != (turn == 0))
            ++*at;
        if (*at < count)
            order[placed++] = (uint32_t)(*at)++;
    }
}

/* Where an op stands. */
enum { FRESH, RESOLVING, CONNECTING };

/* What a step has brought, beside 0 (it is connected) and errors. */
enum { GOES_ON = 1 };

static skua_connect_op *connect_op_of(const skua_op *op) { return (skua_connect_op *)(uintptr_t)op; }

static const skua_socket_options *options_of(const skua_connect_op *connect)
{
    return connect->options != NULL ? connect->options : &skuai_socket_usual;
}

/* Attempts that are under way come first in their array, in the order of their beginning; `order` lies behind it. One
 * address takes no memory. */
static int begin_attempts(skua_connect_op *connect, const skua_address *from, size_t count)
{
    if (count == 0 || count > UINT32_MAX)
        return -EINVAL;
    connect->attempts = count == 1 ? &connect->one
                                   : calloc(count, sizeof *connect->attempts + sizeof *connect->order);
    if (connect->attempts == NULL)
        return -ENOMEM;
    connect->order = count == 1 ? NULL : (uint32_t *)(void *)(connect->attempts + count);
    if (count > 1)
        skuai_connect_order(from, count, connect->order);
    connect->from = from;
    connect->count = (uint32_t)count;
    connect->begun = connect->under_way = 0;
    connect->next_ns = 0;
    connect->error = 0;
    connect->stage = CONNECTING;
    return GOES_ON;
}

/* A4. */
static void end_connecting(skua_connect_op *connect)
{
    struct skuai_answer none;
    if (connect->stage == RESOLVING)
        (void)skuai_resolve_end(connect->request, -ECANCELED, &none);
    for (uint32_t i = 0; connect->stage == CONNECTING && i < connect->under_way; i++)
        skua_stream_close(connect->attempts[i].stream);
    if (connect->connected != NULL)
        skua_stream_close(connect->connected);
    if (connect->stage == CONNECTING && connect->attempts != &connect->one)
        free(connect->attempts);
    skua_addresses_free(connect->resolved);
    connect->resolved = NULL;
    connect->connected = NULL;
    connect->stage = FRESH;
}

/* That there is no way to a whole family says less than what another address says. */
static bool says_little(int error)
{
    return error == 0 || error == -ENETUNREACH || error == -EHOSTUNREACH || error == -EAFNOSUPPORT ||
           error == -EADDRNOTAVAIL;
}

static void note_failure(skua_connect_op *connect, int error)
{
    if (connect->error == 0 || (says_little(connect->error) && !says_little(error)))
        connect->error = error;
    connect->next_ns = 0;
}

static skua_stream *take_out(skua_connect_op *connect, uint32_t index)
{
    skua_stream *stream = connect->attempts[index].stream;
    connect->under_way--;
    for (uint32_t i = index; i < connect->under_way; i++)
        connect->attempts[i].stream = connect->attempts[i + 1].stream; /* the ops are nobody's between waits */
    return stream;
}

static bool is_next_due(const skua_connect_op *connect)
{
    return connect->begun < connect->count && (connect->under_way == 0 || connect->next_ns == 0);
}

static int begin_next(skua_connect_op *connect)
{
    uint32_t delay_ms = options_of(connect)->attempt_delay_ms, index = connect->begun++;
    skua_stream *stream;
    int rc = begin_connecting(&stream, &connect->from[connect->order != NULL ? connect->order[index] : index],
                              options_of(connect));
    if (rc == 0) {
        connect->connected = stream;
        return 0;
    }
    if (rc < 0) {
        note_failure(connect, rc);
    } else {
        connect->attempts[connect->under_way++].stream = stream;
        connect->next_ns = skua_after((delay_ms != 0 ? delay_ms : ATTEMPT_DELAY_MS) * SKUA_MS);
    }
    return GOES_ON;
}

static int begin_steps(skua_connect_op *connect)
{
    skua_address address;
    if (connect->text == NULL)
        return begin_attempts(connect, connect->addresses, connect->naddresses);
    if (skua_address_parse(&address, connect->text) == 0) {
        (void)begin_attempts(connect, &address, 1);
        int rc = begin_next(connect);
        connect->from = NULL; /* it is needed no longer */
        return rc;
    }
    int rc = skuai_resolve_begin(options_of(connect)->runtime, connect->text, &connect->request);
    if (rc < 0)
        return rc;
    connect->stage = RESOLVING;
    return GOES_ON;
}

static int go_on(skua_connect_op *connect)
{
    int rc = connect->stage == FRESH ? begin_steps(connect) : connect->connected != NULL ? 0 : GOES_ON;
    if (connect->stage != CONNECTING)
        return rc;
    while (rc == GOES_ON && is_next_due(connect))
        rc = begin_next(connect);
    return rc == GOES_ON && connect->under_way == 0 ? connect->error : rc;
}

/* A1. */
static void start_connect(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    skua_connect_op *connect = connect_op_of(op);
    if (!may_wait) /* nothing is begun by asking */
        return;
    int rc = go_on(connect);
    if (rc != GOES_ON) {
        (void)skuai_step_end(op, rc); /* should another arm have been quicker it is here still */
        return;
    }
    skuai_op_prepare(&connect->delay.op, NULL, NULL); /* not DONE */
    if (connect->stage == RESOLVING) {
        skuai_step_start(worker, op, skuai_resolve_wait_prepare(&connect->one.wait, connect->request));
        return;
    }
    for (uint32_t i = 0; i < connect->under_way; i++) {
        struct skuai_attempt *attempt = &connect->attempts[i];
        skuai_step_start(worker, op, connected_prepare(&attempt->wait, attempt->stream));
    }
    if (connect->begun < connect->count)
        skuai_step_start(worker, op, skua_sleep_until_prepare(&connect->delay, connect->next_ns));
}

/* A2, A3. */
static bool withdraw_connect(skua_op *op)
{
    skua_connect_op *connect = connect_op_of(op);
    skuai_step_withdraw(&connect->delay.op);
    if (connect->stage == RESOLVING)
        skuai_step_withdraw(&connect->one.wait);
    for (uint32_t i = 0; connect->stage == CONNECTING && i < connect->under_way; i++)
        skuai_step_withdraw(&connect->attempts[i].wait);
    return true;
}

static int settle_name(skua_connect_op *connect)
{
    struct skuai_answer answer;
    int rc = skuai_resolve_end(connect->request, (int)connect->one.wait.result, &answer);
    connect->stage = FRESH;
    connect->resolved = answer.addresses;
    return rc < 0 ? rc : begin_attempts(connect, answer.addresses, answer.count);
}

static int settle_attempt(skua_connect_op *connect, uint32_t index)
{
    int rc = (int)connect->attempts[index].wait.result;
    skua_stream *stream = take_out(connect, index);
    rc = rc < 0 ? rc : error_of(stream);
    if (rc < 0) {
        skua_stream_close(stream);
        note_failure(connect, rc);
        return GOES_ON;
    }
    connect->connected = stream;
    return 0;
}

/* Which of the waits is over: an attempt's index; `under_way`: the delay; beyond: none yet. */
static uint32_t find_over(const skua_connect_op *connect)
{
    uint32_t i = 0;
    while (i < connect->under_way && !skuai_op_is_done(&connect->attempts[i].wait))
        i++;
    return i < connect->under_way || skuai_op_is_done(&connect->delay.op) ? i : UINT32_MAX;
}

static enum skuai_settled end_with(skua_op *op, int rc)
{
    skua_connect_op *connect = connect_op_of(op);
    if (rc == 0) {
        *connect->stream = connect->connected;
        connect->connected = NULL;
    }
    end_connecting(connect);
    skuai_op_set_done(op, rc);
    return SKUAI_SETTLED;
}

/* A2. */
static enum skuai_settled settle_connect(struct skuai_worker *worker, skua_op *op)
{
    skua_connect_op *connect = connect_op_of(op);
    int rc = GOES_ON;
    (void)worker;
    if (skuai_op_is_done(op))
        return end_with(op, (int)op->result);
    if (connect->stage == RESOLVING) {
        if (!skuai_op_is_done(&connect->one.wait))
            return SKUAI_SETTLING;
        rc = settle_name(connect);
    } else {
        uint32_t over = find_over(connect);
        if (over == UINT32_MAX)
            return SKUAI_SETTLING;
        (void)withdraw_connect(op);
        if (over == connect->under_way)
            connect->next_ns = 0;
        else
            rc = settle_attempt(connect, over);
    }
    return rc == GOES_ON ? SKUAI_UNSETTLED : end_with(op, rc);
}

/* A4. */
static void undo_connect(skua_op *op) { end_connecting(connect_op_of(op)); }

static uint64_t connect_due_ns(const skua_op *op)
{
    const skua_connect_op *connect = connect_op_of(op);
    return skuai_op_state(&connect->delay.op) == SKUAI_OP_ARMED ? connect->next_ns : SKUA_NEVER;
}
static void connect_expired(skua_op *op) { skuai_op_set_done(&connect_op_of(op)->delay.op, 0); }

static const struct skuai_op_kind connect_kind = { .name = "skua_connect",
                                                   .start = start_connect,
                                                   .withdraw = withdraw_connect,
                                                   .settle = settle_connect,
                                                   .undo = undo_connect,
                                                   .due_ns = connect_due_ns,
                                                   .expired = connect_expired };

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static skua_op *prepare(skua_connect_op *connect, skua_stream **stream, const char *text,
                        const skua_address *addresses, size_t count, const skua_socket_options *options)
{
    connect->stream = stream;
    connect->text = text;
    connect->addresses = addresses;
    connect->naddresses = count;
    connect->options = options;
    connect->connected = NULL;
    connect->resolved = NULL;
    connect->stage = FRESH;
    skuai_op_prepare(&connect->delay.op, NULL, NULL);
    return skuai_op_prepare(&connect->op, &connect_kind, NULL);
}

skua_op *skua_connect_prepare(skua_connect_op *op, skua_stream **stream, const char *address,
                              const skua_socket_options *options)
{
    return prepare(op, stream, address, NULL, 0, options);
}
skua_op *skua_connect_to_prepare(skua_connect_op *op, skua_stream **stream, const skua_address *address,
                                 const skua_socket_options *options)
{
    return prepare(op, stream, NULL, address, 1, options);
}
skua_op *skua_connect_any_prepare(skua_connect_op *op, skua_stream **stream, const skua_address *addresses,
                                  size_t count, const skua_socket_options *options)
{
    return prepare(op, stream, NULL, addresses, count, options);
}

SKUA_ASYNC(skua_connecting)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_select_start(&self->selection, &self->arm, 1));
    SKUA_END(SKUA_RESULT(&self->selection) < 0 ? SKUA_RESULT(&self->selection) : self->connect.result);
}

static skua_frame *start(skua_connecting *connecting, skua_op *arm)
{
    connecting->arm = arm;
    return skua_frame_init(&connecting->frame, skua_connecting_poll);
}
skua_frame *skua_connect_start(skua_connecting *connecting, skua_stream **stream, const char *address,
                               const skua_socket_options *options)
{
    return start(connecting, skua_connect_prepare(&connecting->connect, stream, address, options));
}
skua_frame *skua_connect_to_start(skua_connecting *connecting, skua_stream **stream, const skua_address *address,
                                  const skua_socket_options *options)
{
    return start(connecting, skua_connect_to_prepare(&connecting->connect, stream, address, options));
}
skua_frame *skua_connect_any_start(skua_connecting *connecting, skua_stream **stream, const skua_address *addresses,
                                   size_t count, const skua_socket_options *options)
{
    return start(connecting, skua_connect_any_prepare(&connecting->connect, stream, addresses, count, options));
}

int skua_connect_any(skua_stream **stream, const skua_address *addresses, size_t count,
                     const skua_socket_options *options)
{
    skua_connect_op op;
    skua_op *arm = skua_connect_any_prepare(&op, stream, addresses, count, options);
    if (count == 0)
        return -EINVAL;
    if (count == 1)
        return skua_connect_to(stream, addresses, options);
    int64_t rc = skuai_call_begin(skuai_worker_self(), "skua_connect_any");
    if (rc == 0)
        rc = skua_select(&arm, 1);
    return (int)(rc < 0 ? rc : op.result);
}

int skua_connect(skua_stream **stream, const char *text, const skua_socket_options *options)
{
    skua_address address, *addresses;
    size_t count;
    if (skua_address_parse(&address, text) == 0)
        return skua_connect_to(stream, &address, options);
    int rc = skua_resolve(&addresses, &count, text);
    if (rc < 0)
        return rc;
    rc = skua_connect_any(stream, addresses, count, options);
    skua_addresses_free(addresses);
    return rc;
}

int skua_stream_pair(skua_stream *streams[2], const skua_socket_options *options)
{
    int fds[2];
    skua_runtime *rt = options != NULL ? options->runtime : NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) != 0)
        return -skua_errno();
    int rc = skuai_stream_of_fd(&streams[0], rt, fds[0], SKUAI_STREAM_SOCKET);
    if (rc < 0) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return rc;
    }
    rc = skuai_stream_of_fd(&streams[1], rt, fds[1], SKUAI_STREAM_SOCKET);
    if (rc < 0) {
        skua_stream_close(streams[0]);
        (void)close(fds[1]);
    }
    return rc;
}
