/* skua_dump(): who may look, and where it goes. What there is to see is sched/dump.c's. */
#define _GNU_SOURCE
#include "sched/dump.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "runtime/runtime.h"
#include "sched/sim.h"

/* A simulation is one thread's, and what its tasks do must not depend on others. */
static int may_look(const struct skuai_scheduler *sched)
{
    const struct skuai_worker *self = skuai_worker_self();
    if (skuai_fork_is_child(sched))
        return -ENOTSUP;
    if (sched->env.sim != NULL && !skuai_sim_is_owner(sched->env.sim))
        return -EPERM;
    return self != NULL && self->sched != sched && self->sched->env.sim != NULL ? -EPERM : 0;
}

int skua_dump_lines(skua_runtime *rt, skua_dump_fn *line, void *context)
{
    if (rt == NULL)
        rt = skua_runtime_self();
    if (rt == NULL || line == NULL)
        return -EINVAL;
    int rc = may_look(&rt->sched);
    return rc == 0 ? skuai_dump(&rt->sched, line, context) : rc;
}

struct sink {
    int fd;
    int error; /* 0 or a negative errno value: then nothing more is written */
    size_t used;
    char bytes[1024];
};

static void flush(struct sink *sink)
{
    const char *at = sink->bytes;
    while (sink->error == 0 && sink->used > 0) {
        ssize_t n = write(sink->fd, at, sink->used);
        int error = n < 0 ? skua_errno() : 0;
        if (error == EAGAIN)
            error = poll(&(struct pollfd){ .fd = sink->fd, .events = POLLOUT }, 1, -1) < 0 ? skua_errno() : 0;
        if (error != 0 && error != EINTR)
            sink->error = -error;
        if (n > 0) {
            at += n;
            sink->used -= (size_t)n;
        }
    }
    sink->used = 0;
}

static void put(struct sink *sink, const char *text, size_t length)
{
    while (length > 0) {
        size_t room = sizeof sink->bytes - sink->used, part = length < room ? length : room;
        memcpy(sink->bytes + sink->used, text, part);
        sink->used += part;
        text += part;
        length -= part;
        if (sink->used == sizeof sink->bytes)
            flush(sink);
    }
}

static void put_line(void *context, const char *line, size_t length)
{
    put(context, line, length);
    put(context, "\n", 1);
}

int skua_dump(skua_runtime *rt, int fd)
{
    struct sink sink = { .fd = fd };
    int rc = skua_dump_lines(rt, put_line, &sink);
    flush(&sink);
    return rc < 0 ? rc : sink.error;
}
