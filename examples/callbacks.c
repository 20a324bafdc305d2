/* Callbacks, as in Node: what runs when?
 *
 *     console.log('script begins')
 *     setTimeout(() => console.log('timer'), 0)
 *     Promise.resolve().then(() => console.log('then'))
 *     process.nextTick(() => console.log('next tick'))
 *     console.log('script ends')
 *
 * An event loop is a fiber that takes callbacks out of channels and calls them, one after the other: that is why they
 * need no locks, however many workers there are. What runs when is then a matter of which channel it looks into first:
 *     next ticks     while there are any
 *     thens          one, then next ticks again
 *     timers, I/O    one, when there is neither, and the only thing that it waits for
 * What a callback stands for (a timer here) is a task of its own, anywhere, that sends it when it is through.
 *
 * At the end the same without callbacks: a fiber waits where it is, so what runs when is what stands where.
 */
#include <stdio.h>
#include <stdlib.h>

#include <skua.h>

/* ---- an event loop ----------------------------------------------------------------------------------------------- */

struct callback {
    void (*fn)(const char *text);
    const char *text;
};
SKUA_CHANNEL_DEFINE(callbacks, struct callback);

/* The channels need no bound: who sends is the loop itself, or a timer that it has started. */
static struct {
    callbacks ticks, thens, events;
    skua_group timers;
    int pending; /* events to come */
} loop;

static void check(int rc)
{
    if (rc < 0) {
        fprintf(stderr, "skua-callbacks: %s\n", skua_strerror(rc));
        exit(1);
    }
}

static void next_tick(void (*fn)(const char *text), const char *text)
{
    check(callbacks_send(loop.ticks, (struct callback){ fn, text }));
}

static void then(void (*fn)(const char *text), const char *text)
{
    check(callbacks_send(loop.thens, (struct callback){ fn, text }));
}

/* A timer is a future: some 200 bytes, no stack. */
struct timer {
    SKUA_FRAME;
    struct {
        uint64_t delay_ns;
        struct callback callback;
    } in;
    skua_sleep_op sleep;
    skua_channel_op send;
};
SKUA_ASYNC(timer)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.delay_ns));
    if (self->sleep.result == 0)
        SKUA_AWAIT(SKUA_SEND_START(&self->send, loop.events, &self->in.callback));
    SKUA_END(0);
}

static void set_timeout(void (*fn)(const char *text), const char *text, uint64_t delay_ns)
{
    check(SKUA_GROUP_GO(&loop.timers, timer, .delay_ns = delay_ns, .callback = { fn, text }));
    loop.pending++;
}

static void run_loop(void)
{
    struct callback next;
    for (;;) {
        if (SKUA_TRY_RECEIVE(loop.ticks, &next) != 1 && SKUA_TRY_RECEIVE(loop.thens, &next) != 1) {
            if (loop.pending == 0)
                return;
            check(SKUA_RECEIVE(loop.events, &next));
            loop.pending--;
        }
        next.fn(next.text);
    }
}

/* ---- the slide --------------------------------------------------------------------------------------------------- */

static void say(const char *text) { puts(text); }

static void after_then(const char *text)
{
    say(text);
    then(say, "5 a then of a then");
    next_tick(say, "4 its next tick goes first");
}

static void after_timer(const char *text)
{
    say(text);
    set_timeout(say, "9 its timer", SKUA_MS);
    then(say, "8 its then");
    next_tick(say, "7 its next tick");
}

static void script(void)
{
    say("0 the script begins");
    set_timeout(after_timer, "6 a timer", 0);
    then(after_then, "3 a then");
    next_tick(say, "2 a next tick");
    say("1 the script ends");
}

/* ---- without callbacks ------------------------------------------------------------------------------------------- */

static int say_later(void *text)
{
    int rc = skua_sleep(SKUA_MS);
    say(text);
    return rc;
}

static void straight(void)
{
    skua_task *task;
    say("0 a fiber begins");
    check(skua_spawn(&task, say_later, "1 another one waits for a timer"));
    check(skua_join(task, NULL));
    say("2 what comes after it stands after it");
}

static int run(void *arg)
{
    (void)arg;
    check(callbacks_create(&loop.ticks, SKUA_UNBOUNDED));
    check(callbacks_create(&loop.thens, SKUA_UNBOUNDED));
    check(callbacks_create(&loop.events, SKUA_UNBOUNDED));
    skua_group_init(&loop.timers);
    script();
    run_loop();
    check((int)skua_group_wait(&loop.timers));
    callbacks_destroy(loop.ticks);
    callbacks_destroy(loop.thens);
    callbacks_destroy(loop.events);
    straight();
    return 0;
}

int main(void) { return skua_main(run, NULL); }
