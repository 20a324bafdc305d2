/* The checker's threads, which are fibers, and its choices.
 *
 * Before each step of a thread any other thread that can run may be switched to. In the depth-first mode at most
 * `bound` such switches are preemptions; switching away from a thread that has blocked, ended or paused is free. A
 * thread that paused is not run until another thread has stored something, or until nobody else can run: then time
 * passes, and the stores so far become visible to it (without that, a loop could read an old value for ever).
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "model/mc_internal.h"

enum { STACK_BYTES = 128 * 1024, GUARD_BYTES = 64 * 1024 };

struct mc_checker mc;

static sigjmp_buf crash; /* the driver's side of an execution, for signals */

/* ---- switching ---- */

static char *stack_of(unsigned thread)
{
    static char *stacks[MC_THREADS];
    if (stacks[thread] == NULL) {
        char *memory =
            mmap(NULL, STACK_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || mprotect(memory, GUARD_BYTES, PROT_NONE) != 0) {
            perror("a stack of the model checker");
            exit(2);
        }
        stacks[thread] = memory + GUARD_BYTES;
    }
    return stacks[thread];
}

static void fiber_main(void);

#if defined(__x86_64__)
/* Callee-saved registers and the stack pointer are all: a fiber is only ever left by a call. */
void mc_switch(void **save, void *to);
__asm__(".text\n"
        ".globl mc_switch\n"
        ".type mc_switch, @function\n"
        "mc_switch:\n"
        "    pushq %rbp\n    pushq %rbx\n    pushq %r12\n    pushq %r13\n    pushq %r14\n    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n    popq %r14\n    popq %r13\n    popq %r12\n    popq %rbx\n    popq %rbp\n"
        "    ret\n"
        ".size mc_switch, .-mc_switch\n");

static void *context[MC_THREADS + 1]; /* the last: the driver */

static void fiber_reset(unsigned thread)
{
    void **top = (void **)(void *)(stack_of(thread) + STACK_BYTES);
    *--top = NULL; /* fiber_main never returns */
    *--top = (void *)(uintptr_t)fiber_main;
    for (int i = 0; i < 6; i++)
        *--top = NULL;
    context[thread] = top;
}

static void fiber_switch(unsigned from, unsigned to) { mc_switch(&context[from], context[to]); }

#else
#include <ucontext.h>

static ucontext_t context[MC_THREADS + 1];

static void fiber_reset(unsigned thread)
{
    getcontext(&context[thread]);
    context[thread].uc_stack.ss_sp = stack_of(thread);
    context[thread].uc_stack.ss_size = STACK_BYTES;
    context[thread].uc_link = NULL;
    makecontext(&context[thread], fiber_main, 0);
}

static void fiber_switch(unsigned from, unsigned to) { swapcontext(&context[from], &context[to]); }
#endif

enum { DRIVER = MC_THREADS };

static void run(unsigned thread)
{
    unsigned from = mc.current;
    if (thread == from)
        return;
    mc.current = thread;
    fiber_switch(from, thread);
}

void mc_abandon(void)
{
    fiber_switch(mc.current, DRIVER);
    abort(); /* nobody comes back */
}

/* ---- choices ---- */

uint32_t mc_random(uint32_t n)
{
    mc.random ^= mc.random << 13; /* xorshift64, Marsaglia */
    mc.random ^= mc.random >> 7;
    mc.random ^= mc.random << 17;
    return (uint32_t)((mc.random >> 32) % n);
}

unsigned mc_choose_as(unsigned n, unsigned choice)
{
    if (n <= 1)
        return 0;
    if (mc.at >= MC_TRAIL)
        mc_fail_at(mc.where, "livelock, or a test too long: more than %d choices", MC_TRAIL);
    struct mc_choice *slot = &mc.trail[mc.at];
    if (mc.at < mc.trail_length) {
        if (slot->choice >= n || (slot->width != 0 && slot->width != n))
            mc_fail_at(mc.where, "the test is not a function of its choices: here were %u, now there are %u",
                       slot->width, n);
    } else {
        slot->choice = (uint8_t)choice;
        mc.trail_length = mc.at + 1;
    }
    slot->width = (uint8_t)n;
    mc.at++;
    return slot->choice;
}

unsigned mc_choose(unsigned n)
{
    if (n > 255)
        mc_fail_at(mc.where, "mc_choose: at most 255");
    bool roll = n > 1 && mc.at >= mc.trail_length && (mc.mode == MC_RANDOM || mc.mode == MC_PRIORITIES);
    return mc_choose_as(n, roll ? mc_random(n) : 0);
}

/* ---- scheduling ---- */

static unsigned nth_of(unsigned set, unsigned n)
{
    for (; n > 0; n--)
        set &= set - 1;
    return (unsigned)__builtin_ctz(set);
}

/* Picks a thread of `set`; the current one, if it is in it, is choice 0. */
static unsigned pick(unsigned set)
{
    unsigned mine = set & (1u << mc.current), others = set & ~mine;
    unsigned n = (unsigned)__builtin_popcount(set);
    unsigned k;
    if (mc.mode == MC_PRIORITIES) {
        unsigned best = 0;
        int best_priority = -1000;
        for (unsigned i = 0; i < n; i++) {
            unsigned thread = mine == 0 ? nth_of(set, i) : i == 0 ? mc.current : nth_of(others, i - 1);
            if (mc.thread[thread].priority > best_priority) {
                best_priority = mc.thread[thread].priority;
                best = i;
            }
        }
        k = mc_choose_as(n, best);
    } else {
        k = mc_choose(n);
    }
    if (mine == 0)
        return nth_of(set, k);
    return k == 0 ? mc.current : nth_of(others, k - 1);
}

static void describe_deadlock(void)
{
    char text[160];
    size_t used = 0;
    text[0] = 0;
    for (unsigned i = 1; i < mc.threads; i++) {
        const struct mc_thread *thread = &mc.thread[i];
        if (thread->state != MC_WAITING || used >= sizeof text)
            continue;
        int n = snprintf(text + used, sizeof text - used, " %u:%s", i, thread->name);
        used += n > 0 ? (size_t)n : 0;
    }
    mc_fail_at("", "deadlock: a wake-up was lost, these wait for ever:%s", text);
}

static void sees_all(struct mc_thread *thread)
{
    for (unsigned i = 0; i < mc.locations; i++)
        thread->floor[i] = (uint8_t)(mc.location[i].count == 0 ? 0 : mc.location[i].count - 1);
}

/* Nobody is ready: what does time bring? Returns false if all is over. */
static bool let_time_pass(void)
{
    unsigned timed = 0, waiting = 0;
    for (unsigned i = 1; i < mc.threads; i++) {
        timed |= mc.thread[i].state == MC_WAITING_TIMED ? 1u << i : 0;
        waiting |= mc.thread[i].state == MC_WAITING && !mc.thread[i].allow_blocked ? 1u << i : 0;
    }
    bool paused = mc.paused != 0 && (mc.idle_rounds == 0 || (mc.deferred | timed) == 0);
    unsigned *come_back = paused ? &mc.paused : &mc.deferred;
    if (*come_back != 0) {
        mc.idle_rounds++;
        mc.ready = *come_back;
        *come_back = 0;
        for (unsigned set = mc.ready; set != 0; set &= set - 1)
            sees_all(&mc.thread[__builtin_ctz(set)]);
        return true;
    }
    if (timed != 0) {
        unsigned thread = pick(timed);
        mc.thread[thread].state = MC_READY;
        mc.thread[thread].timed_out = true;
        mc.ready |= 1u << thread;
        return true;
    }
    if (waiting != 0)
        describe_deadlock();
    return false;
}

/* The current thread cannot go on. */
static void leave(void)
{
    if (mc.ready == 0 && !let_time_pass()) {
        mc.finishing = true;
        run(MC_MAIN);
        return;
    }
    run(pick(mc.ready));
}

void mc_tick(const char *where)
{
    mc.where = where;
    if (++mc.steps > mc.max_steps)
        mc_fail_at(where, "livelock: no end after %u steps", mc.max_steps);
    mc_me()->now.clock[mc.current]++;
}

void mc_step(const char *where)
{
    if (mc.current != MC_MAIN) {
        unsigned mine = 1u << mc.current;
        if (mc.mode == MC_PRIORITIES) {
            for (int i = 0; i < MC_CHANGES; i++)
                if (mc.steps == mc.changes[i])
                    mc_me()->priority = -1 - i;
        }
        if (mc.ready != mine) {
            if (mc.preemptions < mc.bound) {
                unsigned next = pick(mc.ready);
                mc.preemptions += next != mc.current;
                run(next);
            } else {
                mc.cut = true;
            }
        }
    }
    mc_tick(where);
}

void mc_stored(void)
{
    mc.ready |= mc.paused;
    mc.paused = 0;
    mc.idle_rounds = 0;
}

static void stand_back(unsigned *among, const char *what, const char *where)
{
    if (mc.current == MC_MAIN)
        return;
    mc_tick(where);
    mc_log(what, "%s", "");
    mc.ready &= ~(1u << mc.current);
    *among |= 1u << mc.current;
    leave();
}

void skuai_model_pause(const char *where) { stand_back(&mc.paused, "pause", where); }
void mc_defer_at(const char *where) { stand_back(&mc.deferred, "defer", where); }

static bool futex_wait(const skua_word32 *word, uint32_t expected, bool timed, const char *where)
{
    mc_step(where);
    uint64_t newest = mc_look(&word->raw, sizeof word->raw, where);
    if (newest != expected) {
        mc_log("wait", "%s == %u? is %u: goes on", mc_name_of(word), expected, (uint32_t)newest);
        return true;
    }
    if (timed && mc_choose(2) == 1) {
        mc_log("wait", "%s == %u: times out at once", mc_name_of(word), expected);
        return false;
    }
    if (mc.current == MC_MAIN)
        mc_fail_at(where, "setup or finish waits for ever");
    mc_log("wait", "%s == %u: blocks", mc_name_of(word), expected);
    struct mc_thread *me = mc_me();
    me->state = timed ? MC_WAITING_TIMED : MC_WAITING;
    me->waits_for = word;
    me->timed_out = false;
    mc.ready &= ~(1u << mc.current);
    leave();
    mc.where = where;
    mc_log("wait", "%s: %s", mc_name_of(word), me->timed_out ? "timed out" : "woken");
    return !me->timed_out;
}

void mc_futex_wait_at(const skua_word32 *word, uint32_t expected, const char *where)
{
    futex_wait(word, expected, false, where);
}

bool mc_futex_wait_timed_at(const skua_word32 *word, uint32_t expected, const char *where)
{
    return futex_wait(word, expected, true, where);
}

unsigned mc_futex_wake_at(const skua_word32 *word, unsigned n, const char *where)
{
    mc_step(where);
    unsigned waiting = 0, woken = 0;
    for (unsigned i = 1; i < mc.threads; i++) {
        enum mc_state state = mc.thread[i].state;
        if ((state == MC_WAITING || state == MC_WAITING_TIMED) && mc.thread[i].waits_for == word)
            waiting |= 1u << i;
    }
    for (; woken < n && waiting != 0; woken++) {
        bool all = n - woken >= (unsigned)__builtin_popcount(waiting);
        unsigned thread = all ? nth_of(waiting, 0) : nth_of(waiting, mc_choose((unsigned)__builtin_popcount(waiting)));
        waiting &= ~(1u << thread);
        mc.thread[thread].state = MC_READY;
        mc.ready |= 1u << thread;
        mc.idle_rounds = 0;
    }
    mc_log("wake", "%s: %u woken", mc_name_of(word), woken);
    return woken;
}

/* ---- executions ---- */

int mc_thread_named(const char *name, void (*fn)(void *), void *arg)
{
    if (mc.threads == MC_THREADS)
        mc_fail_at(name, "more than %d threads", MC_THREADS - 1);
    unsigned id = mc.threads++;
    struct mc_thread *thread = &mc.thread[id];
    *thread = (struct mc_thread){
        .name = name, .fn = fn, .arg = arg, .state = MC_READY, .priority = (int)id, .now = mc_me()->now,
    };
    if (mc.mode == MC_PRIORITIES)
        thread->priority = (int)mc_random(1000);
    mc.ready |= 1u << id;
    fiber_reset(id);
    return (int)id;
}

void mc_allow_blocked(int thread) { mc.thread[thread].allow_blocked = true; }
bool mc_is_blocked(int thread) { return mc.thread[thread].state == MC_WAITING; }

static void main_thread(void)
{
    mc.test->setup();
    if (mc.ready != 0)
        leave();
    mc.current = MC_MAIN;
    for (unsigned i = 1; i < mc.threads; i++)
        mc_join(&mc_me()->now, &mc.thread[i].now);
    if (mc.test->finish != NULL)
        mc.test->finish();
    mc_abandon();
}

static void fiber_main(void)
{
    struct mc_thread *me = mc_me();
    if (mc.current == MC_MAIN)
        main_thread();
    me->fn(me->arg);
    me->state = MC_ENDED;
    mc.ready &= ~(1u << mc.current);
    mc.where = "";
    mc_log("end", "%s", "");
    leave();
    abort(); /* nobody switches to a thread that ended */
}

static void on_signal(int number)
{
    snprintf(mc.failure, sizeof mc.failure, "%s after %s (an assertion's text is on stderr)",
             number == SIGABRT ? "aborted" : "bad memory access", mc.where[0] != 0 ? mc.where : "no step");
    mc_log("FAIL", "%s", mc.failure); /* not safe in a handler, but all is over and one thread runs */
    siglongjmp(crash, 1);
}

static void catch_signals(void)
{
    static bool done;
    static char stack[64 * 1024];
    if (done)
        return;
    done = true;
    sigaltstack(&(stack_t){.ss_sp = stack, .ss_size = sizeof stack}, NULL);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK | SA_NODEFER};
    sigaction(SIGABRT, &action, NULL);
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
}

void mc_execute(void)
{
    catch_signals();
    mc.at = mc.steps = mc.idle_rounds = 0;
    mc.preemptions = mc.stale_loads = 0;
    mc.ready = mc.paused = mc.deferred = 0;
    mc.failure[0] = 0;
    mc.finishing = false;
    mc.where = "";
    mc_memory_reset();
    mc.thread[MC_MAIN] = (struct mc_thread){.name = "main", .state = MC_READY};
    mc.threads = 1;
    mc.current = MC_MAIN;
    fiber_reset(MC_MAIN);
    if (sigsetjmp(crash, 0) == 0)
        fiber_switch(DRIVER, MC_MAIN);
}
