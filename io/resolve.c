/* Asking the system's resolver. See skua/resolve.h.
 *
 *   R1 ask      a request is made for a name, held by who asks and by the call, which is queued for a thread of the
 *               pool (blocking.c, B6) and nobody's op
 *   R2 wait     who asks waits in the request, under its lock, unless it is over
 *   R3 answer   the thread sets what was found, then, under the lock, OVER, and claims who waits
 *   R4 give up  who is interrupted withdraws his op (op.h, O5) and lets go of the request; the last holder frees it
 * So a cancelled question costs no waiting, though the resolver cannot be interrupted.
 */
#define _GNU_SOURCE
#include "skua/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "io/blocking.h"
#include "io/socket.h"
#include "sched/wait.h"
#include "sched/waiters.h"

struct skuai_request {
    /* until it is queued: who asks; from then on, until it is over: the thread */
    struct skuai_host host;
    skua_blocking_op call;
    struct skuai_answer answer;
    skua_word32 holders;  /* any thread */
    struct skuai_lock lock;
    skua_waiters waiters; /* guarded by lock: one at most */
    bool is_over;         /* likewise */
};

/* ---- the resolver ---------------------------------------------------------------------------------------------- */

static int error_of(int resolver_error)
{
    switch (resolver_error) {
    case EAI_NONAME:
#if defined(EAI_NODATA) && EAI_NODATA != EAI_NONAME
    case EAI_NODATA:
#endif
#if defined(EAI_ADDRFAMILY) && EAI_ADDRFAMILY != EAI_NONAME
    case EAI_ADDRFAMILY:
#endif
        return -ENOENT;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_FAIL:
        return -EIO;
    case EAI_FAMILY:
        return -EAFNOSUPPORT;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_OVERFLOW:
        return -ENAMETOOLONG;
    case EAI_SYSTEM:
        return -skua_errno();
    default:
        return -EINVAL;
    }
}

static bool is_usable(const struct addrinfo *info)
{
    return (info->ai_family == AF_INET || info->ai_family == AF_INET6) &&
           info->ai_addrlen <= sizeof(struct sockaddr_storage);
}

static void take_addresses(struct skuai_answer *answer, const struct addrinfo *list, uint16_t port)
{
    size_t count = 0;
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next)
        count += is_usable(info);
    answer->rc = count > 0 ? 0 : -ENOENT;
    if (count == 0)
        return;
    answer->addresses = calloc(count, sizeof *answer->addresses);
    if (answer->addresses == NULL) {
        answer->rc = -ENOMEM;
        return;
    }
    for (const struct addrinfo *info = list; info != NULL; info = info->ai_next) {
        if (!is_usable(info))
            continue;
        skua_address *address = &answer->addresses[answer->count++];
        memcpy(&address->storage, info->ai_addr, info->ai_addrlen);
        address->length = info->ai_addrlen;
        skuai_address_set_port(address, port);
    }
}

/* On a thread that may block. */
static void ask(const struct skuai_host *host, struct skuai_answer *answer)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC,
                                    .ai_socktype = host->is_datagram ? SOCK_DGRAM : SOCK_STREAM,
                                    .ai_flags = host->is_number ? AI_NUMERICHOST : 0 };
    struct addrinfo *list = NULL;
    do {
        int error = getaddrinfo(host->name, NULL, &hints, &list);
        answer->rc = error != 0 ? error_of(error) : 0;
    } while (answer->rc == -EINTR);
    if (answer->rc < 0)
        return;
    take_addresses(answer, list, host->port);
    freeaddrinfo(list);
}

/* ---- requests -------------------------------------------------------------------------------------------------- */

static struct skuai_request *make_request(const struct skuai_host *host)
{
    struct skuai_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->host = *host;
    skuai_store_32(&request->holders, 2, SKUAI_RELAXED); /* queueing publishes it */
    return request;
}

static void let_go(struct skuai_request *request)
{
    /* Release: what was done with it comes before its end. Acquire: for who ends it. */
    if (skuai_sub_32(&request->holders, 1, SKUAI_ACQ_REL) != 1)
        return;
    free(request->answer.addresses);
    free(request);
}

/* R3. */
static int64_t answer_request(void *arg)
{
    struct skuai_request *request = arg;
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    ask(&request->host, &request->answer);
    skuai_lock_acquire(&request->lock);
    request->is_over = true;
    skua_op *op = skuai_waiters_claim(&request->waiters);
    if (op != NULL)
        skuai_fires_add(&fires, op, 0);
    skuai_lock_release(&request->lock);
    skuai_fires_finish(&fires);
    let_go(request);
    return 0;
}

/* R2. */
static void start_wait(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    struct skuai_request *request = op->owner;
    skuai_lock_acquire(&request->lock);
    bool waits = !request->is_over && may_wait;
    bool is_done = request->is_over && skuai_op_claim_own(op);
    if (waits) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&request->waiters, op);
    }
    skuai_lock_release(&request->lock);
    if (is_done)
        skuai_op_set_done(op, 0);
}

/* R4. */
static bool withdraw_wait(skua_op *op)
{
    struct skuai_request *request = op->owner;
    return skuai_waiters_withdraw(&request->lock, &request->waiters, op);
}

static const struct skuai_op_kind wait_kind = {
    .name = "skua_resolve", .start = start_wait, .withdraw = withdraw_wait
};

/* R1. */
static int begin_request(struct skuai_scheduler *sched, const struct skuai_host *host, struct skuai_request **out)
{
    if (sched->env.sim != NULL)
        return -ENOTSUP;
    struct skuai_request *request = make_request(host);
    if (request == NULL)
        return -ENOMEM;
    int rc = skuai_blocking_detach(sched, &request->call, answer_request, request);
    if (rc < 0) {
        free(request);
        return rc;
    }
    *out = request;
    return 0;
}

/* The wait is over, with this result. */
static int end_request(struct skuai_request *request, int waited, struct skuai_answer *answer)
{
    if (waited == 0) {
        *answer = request->answer;
        request->answer.addresses = NULL; /* the thread has done with it: that was the wait's end */
    }
    let_go(request);
    return waited < 0 ? waited : answer->rc;
}

/* ---- in steps, for connecting by name --------------------------------------------------------------------------- */

int skuai_resolve_begin(skua_runtime *rt, const char *text, struct skuai_request **request)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_scheduler *sched = worker != NULL ? worker->sched : (struct skuai_scheduler *)(void *)rt;
    struct skuai_host host;
    int rc = skuai_address_parse_host(&host, text);
    if (rc == 0)
        rc = sched != NULL ? begin_request(sched, &host, request) : -EINVAL;
    return rc;
}

skua_op *skuai_resolve_wait_prepare(skua_op *op, struct skuai_request *request)
{
    return skuai_op_prepare(op, &wait_kind, request);
}

int skuai_resolve_end(struct skuai_request *request, int waited, struct skuai_answer *answer)
{
    *answer = (struct skuai_answer){ .rc = 0 };
    return end_request(request, waited, answer);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

/* 0: it is a number, and the answer is there. 1: it is a host to be asked for. */
static int understand(const char *text, struct skuai_host *host, struct skuai_answer *answer)
{
    skua_address address;
    int rc = skua_address_parse(&address, text);
    if (rc == -EINVAL) {
        rc = skuai_address_parse_host(host, text);
        return rc < 0 ? rc : 1;
    }
    if (rc < 0)
        return rc;
    answer->addresses = malloc(sizeof address);
    if (answer->addresses == NULL)
        return -ENOMEM;
    *answer->addresses = address;
    answer->count = 1;
    return 0;
}

static int resolve(const char *text, struct skuai_answer *answer)
{
    struct skuai_worker *worker = skuai_worker_self();
    struct skuai_host host;
    struct skuai_request *request;
    skua_op op;
    int is_name = understand(text, &host, answer);
    if (is_name < 0) /* said wherever it is asked */
        return is_name;
    int rc = skuai_call_begin(worker, "skua_resolve");
    if (rc < 0)
        return rc;
    if (!is_name)
        return (int)skuai_call_end(worker, 0);
    if (worker == NULL) {
        ask(&host, answer);
        return answer->rc;
    }
    rc = begin_request(worker->sched, &host, &request);
    if (rc < 0)
        return rc;
    return end_request(request, (int)skuai_call(skuai_op_prepare(&op, &wait_kind, request)), answer);
}

int skua_resolve(skua_address **addresses, size_t *count, const char *text)
{
    struct skuai_answer answer = { .rc = 0 };
    int rc = resolve(text, &answer);
    if (rc == 0) {
        *addresses = answer.addresses;
        *count = answer.count;
    } else {
        free(answer.addresses);
    }
    return rc;
}

void skua_addresses_free(skua_address *addresses) { free(addresses); }

/* ---- futures ---------------------------------------------------------------------------------------------------- */

enum { BEGIN, WAIT };

/* 0 or an error: over. 1: it waits for a request. */
static int begin_resolving(skua_resolving *resolving, struct skuai_answer *answer)
{
    struct skuai_host host;
    struct skuai_request *request;
    int rc = skua_interrupted();
    if (rc == 0)
        rc = understand(resolving->text, &host, answer);
    if (rc != 1)
        return rc;
    rc = begin_request(skuai_worker_self()->sched, &host, &request);
    if (rc < 0)
        return rc;
    resolving->request = request;
    return 1;
}

static enum skua_poll poll_resolving(skua_frame *frame)
{
    skua_resolving *resolving = (skua_resolving *)(void *)frame;
    struct skuai_answer answer = { .rc = 0 };
    int rc = 1;
    if (frame->resume == BEGIN) {
        if (!skuai_frame_may_go_on(frame))
            return SKUA_PENDING;
        rc = begin_resolving(resolving, &answer);
        if (rc == 1) {
            frame->resume = WAIT;
            skuai_await_set_op(frame, skuai_op_start(skuai_op_prepare(&resolving->wait, &wait_kind,
                                                                      resolving->request)));
        }
    }
    if (rc == 1) {
        if (skuai_await_op(frame, &resolving->wait) == SKUA_PENDING)
            return SKUA_PENDING;
        rc = end_request(resolving->request, (int)resolving->wait.result, &answer);
    }
    if (rc == 0) {
        resolving->addresses = answer.addresses;
        resolving->count = answer.count;
    }
    frame->result = rc;
    frame->flags |= SKUAI_FRAME_ENDED;
    return SKUA_DONE;
}

skua_frame *skua_resolve_start(skua_resolving *resolving, const char *text)
{
    resolving->addresses = NULL;
    resolving->count = 0;
    resolving->text = text;
    return skua_frame_init(&resolving->frame, poll_resolving);
}
