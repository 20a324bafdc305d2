/* A program of somebody's who has installed Skua: all three kinds of tasks, and a channel. */
#include <skua.h>
#include <stdio.h>
#include <string.h>

SKUA_PARALLEL(long, fib, int, n)
{
    if (n < 2)
        return n;
    SKUA_FORK(left, fib, n - 1);
    long right = SKUA_CALL(fib, n - 2);
    return SKUA_JOIN(fib, left) + right;
}

struct nap {
    SKUA_FRAME;
    struct {
        uint64_t ns;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(nap)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.ns));
    SKUA_END(7);
}

static int send_it(void *arg)
{
    long f = SKUA_RUN(fib, 20);
    int rc = skua_send(arg, &f);
    skua_channel_close(arg);
    return rc;
}

static int app(void *arg)
{
    skua_channel *channel;
    skua_task *sender, *napper;
    int64_t sent = -1, slept = -1;
    long f = 0;
    (void)arg;
    if (skua_channel_create(&channel, sizeof f, 1) < 0 || skua_spawn(&sender, send_it, channel) < 0 ||
        SKUA_SPAWN(&napper, nap, .ns = SKUA_MS) < 0)
        return 1;
    int received = skua_receive(channel, &f);
    if (skua_join(sender, &sent) < 0 || skua_join(napper, &slept) < 0)
        return 1;
    if (skua_channel_destroy(channel) < 0)
        return 1;
    printf("%s: fib(20) = %ld, slept: %d\n", skua_version(), f, (int)slept);
    return received == 1 && sent == 0 && slept == 7 && f == 6765 ? 0 : 1;
}

int main(void) { return skua_main(app, NULL); }
