/* Sources (io/source.c, Q1 … Q8) between readers, the driver, a closer and whoever opens the same memory next: nothing
 * that the kernel has told is slept through; a stale event finds nobody; a call that was under way when its source was
 * closed touches nothing of the next life; the descriptor is closed once, and by nobody who is still needed; a wait
 * that was withdrawn, or that a select has decided against, is known to nobody.
 */
/* model-sources: io/source.c sched/op.c */
/* model-defines: NDEBUG=1 */
#include <errno.h>
#include <string.h>

#include "io/source.h"
#include "model/mc.h"
#include "sched/spawn.h"
#include "sched/wait.h"

enum { SOCKETS = 2, OPS = 2, FD = 5 };

/* ---- a kernel: two sockets, of which one after the other has the same descriptor -------------------------------- */

static struct socket {
    skua_word32 bytes;      /* to be read */
    skua_word32 room;       /* to be written into */
    bool is_open, is_watched;
    uint64_t token;
    uint32_t shard;         /* once watched: the poller */
} sockets[SOCKETS];
static struct socket *by_fd; /* whom the descriptor belongs to */
static unsigned in_calls;    /* system calls under way with it */
static skua_word32 events;   /* a bit per socket and direction: what the driver has not been told */
static uint64_t tokens[SOCKETS];

static uint32_t event_of(const struct socket *socket, enum skuai_direction direction)
{
    return 1u << (2 * (unsigned)(socket - sockets) + (unsigned)direction);
}
static void tell(struct socket *socket, enum skuai_direction direction)
{
    tokens[socket - sockets] = socket->token;
    skuai_or_32(&events, event_of(socket, direction), SKUAI_ACQ_REL);
    mc_futex_wake(&events, 1);
}
static void tell_if_watched(struct socket *socket, enum skuai_direction direction)
{
    if (socket->is_watched)
        tell(socket, direction);
}

/* Takes one byte, or room for one. */
static int try_call(struct socket *socket, enum skuai_direction direction)
{
    skua_word32 *word = direction == SKUAI_READING ? &socket->bytes : &socket->room;
    uint32_t seen = skuai_load_32(word, SKUAI_RELAXED); /* may be old, but for what one was told of */
    while (seen != 0)
        if (skuai_cas_32(word, &seen, seen - 1, SKUAI_RELAXED))
            return 1;
    return -EAGAIN;
}

/* ---- the driver ------------------------------------------------------------------------------------------------- */

static struct skuai_source source;
static unsigned closed, recycled;
static skua_word32 is_recycled, begun;

bool skuai_driver_is_childs(const struct skuai_driver *driver) { (void)driver; return false; }
/* As if the next life were waited for on another worker. */
uint32_t skuai_driver_shard(const struct skuai_driver *driver, const struct skuai_worker *worker, uint32_t index)
{
    (void)driver;
    (void)worker;
    (void)index;
    return 1 + (uint32_t)(by_fd - sockets);
}
int skuai_driver_watch(struct skuai_driver *driver, uint32_t shard, int fd, uint64_t token)
{
    (void)driver;
    by_fd->shard = shard;
    mc_assert(fd == FD && by_fd->is_open && !by_fd->is_watched, "a descriptor that is watched already, or none");
    by_fd->is_watched = true;
    by_fd->token = token;
    for (int direction = 0; direction < SKUAI_DIRECTIONS; direction++) /* what is ready now is told */
        if (skuai_add_32(direction == SKUAI_READING ? &by_fd->bytes : &by_fd->room, 0, SKUAI_ACQ_REL) != 0)
            tell(by_fd, (enum skuai_direction)direction);
    return 0;
}
bool skuai_driver_unwatch(struct skuai_driver *driver, uint32_t shard, int fd)
{
    (void)driver;
    mc_assert(shard == by_fd->shard, "another poller watches it");
    mc_assert(fd == FD && by_fd->is_open && by_fd->is_watched, "not watched, or closed already");
    by_fd->is_watched = false;
    return true;
}
void skuai_driver_let_go(struct skuai_driver *driver, int fd, bool closes)
{
    (void)driver;
    mc_assert(closes, "it is a stream's");
    mc_assert(fd == FD && by_fd->is_open && !by_fd->is_watched, "closed twice, or still watched");
    mc_assert(in_calls == 0, "closed under a system call");
    by_fd->is_open = false;
    closed++;
}
void skuai_driver_lost(struct skuai_driver *driver, int fd)
{
    (void)driver;
    (void)fd;
    mc_assert(false, "nobody else closes it");
}
int skuai_thread_yield(void)
{
    mc_assert(false, "it is a stream's: nobody waits for others");
    return 0;
}
void skuai_driver_closed_twice(struct skuai_driver *driver, const char *call)
{
    (void)driver;
    (void)call;
    mc_assert(false, "reported by who closes by another name");
}
void skuai_driver_recycle(struct skuai_driver *driver, struct skuai_source *of)
{
    (void)driver;
    mc_assert(of == &source && source.waiters[0].first == NULL && source.waiters[1].first == NULL, "somebody waits");
    recycled++;
    skuai_store_32(&is_recycled, 1, SKUAI_RELEASE); /* as the lock of the driver's list does */
    mc_futex_wake(&is_recycled, 1);
}

/* As skuai_source_open(). */
static void open_source(struct socket *socket)
{
    socket->is_open = true;
    by_fd = socket;
    SKUAI_WRITE(source.fd, FD);
    uint64_t generation = skuai_load_64(&source.readiness, SKUAI_RELAXED) >> 32;
    skuai_store_64(&source.readiness, generation << 32 | SKUAI_READY_READ | SKUAI_READY_WRITE, SKUAI_RELAXED);
    skuai_store_32(&source.users, 0, SKUAI_RELEASE);
}

/* Whoever looks into the poller: takes what there is, and delivers it some time later. */
static void driver(void *arg)
{
    (void)arg;
    for (;;) {
        uint32_t told = skuai_exchange_32(&events, 0, SKUAI_ACQUIRE);
        if (told == 0)
            mc_futex_wait(&events, 0);
        for (int i = 0; i < SOCKETS; i++) {
            uint32_t both = told >> (2 * i) & 3, ready = 0;
            if (both & 1)
                ready |= SKUAI_READY_READ;
            if (both & 2)
                ready |= SKUAI_READY_WRITE;
            if (ready != 0)
                skuai_source_event(&source, (uint32_t)(tokens[i] >> 32), ready);
        }
    }
}

/* ---- waiting, as plain threads do ------------------------------------------------------------------------------- */

static skua_op ops[OPS];

void skuai_op_arm_here(struct skuai_worker *worker, skua_op *op)
{
    (void)worker;
    skua_word32 *word = op->select == NULL ? &op->state : &((struct skuai_select *)op->select)->decided;
    skuai_op_arm(op, (uintptr_t)word);
}
void skuai_sink_fire(uintptr_t sink) { mc_futex_wake((skua_word32 *)sink, 1); }
void *skuai_sink_hold(uintptr_t sink) { (void)sink; return NULL; }
void skuai_sink_unhold(void *held) { (void)held; }

static int finish_wait(skua_op *op)
{
    for (uint32_t state; (state = (uint32_t)skuai_op_state(op)) != SKUAI_OP_DONE;)
        mc_futex_wait(&op->state, state);
    int rc = (int)SKUAI_READ(op->result);
    mc_free(op, sizeof *op);
    return rc;
}

static int wait_in(skua_op *op, enum skuai_direction direction, uint32_t life)
{
    mc_alloc(op, sizeof *op);
    skuai_source_wait_in_prepare(op, &source, direction, life);
    skuai_op_kind_of(op)->start(NULL, op, true);
    return finish_wait(op);
}

/* Cancelled at any time (skuai_op_interrupt). */
static int wait_and_withdraw(skua_op *op, enum skuai_direction direction, uint32_t life)
{
    mc_alloc(op, sizeof *op);
    skuai_source_wait_in_prepare(op, &source, direction, life);
    skuai_op_kind_of(op)->start(NULL, op, true);
    if (!skuai_op_is_done(op) && skuai_op_kind_of(op)->withdraw(op)) {
        mc_free(op, sizeof *op);
        return -ETIMEDOUT;
    }
    return finish_wait(op);
}

/* ---- calls ------------------------------------------------------------------------------------------------------ */

static struct socket *mine; /* of whose bytes the test's reader may have some */
static unsigned tries;

static int try_once(enum skuai_direction direction, uint32_t life, const struct socket *whose)
{
    if (!skuai_readiness_has(skuai_source_readiness(&source), direction))
        return -EAGAIN;
    if (!skuai_source_enter(&source, life))
        return -ECANCELED;
    uint64_t seen = skuai_source_readiness(&source);
    mc_assert(SKUAI_READ(source.fd) == FD && by_fd->is_open, "a system call with a descriptor that is closed");
    mc_assert(by_fd == whose, "a call has come into another life");
    in_calls++;
    tries++;
    int rc = try_call(by_fd, direction);
    in_calls--;
    if (rc == -EAGAIN)
        skuai_source_drained(&source, seen, direction);
    skuai_source_leave(&source);
    return rc;
}

static int call(skua_op *op, enum skuai_direction direction, uint32_t life, const struct socket *whose)
{
    int rc;
    while ((rc = try_once(direction, life, whose)) == -EAGAIN)
        if ((rc = wait_in(op, direction, life)) < 0)
            return rc;
    return rc;
}

static int got[OPS];
static void reader(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    uint32_t life;
    got[i] = skuai_source_begin(&source, &life) ? call(&ops[i], SKUAI_READING, life, mine) : -EBADF;
}
static void reader_of_two(void *arg)
{
    reader(arg);
    mc_assert(got[(uintptr_t)arg] == 1, "the first byte");
    reader(arg);
}
static void writer(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    uint32_t life;
    got[i] = skuai_source_begin(&source, &life) ? call(&ops[i], SKUAI_WRITING, life, mine) : -EBADF;
}
static void sender(void *arg)
{
    struct socket *socket = arg;
    skuai_add_32(&socket->bytes, 1, SKUAI_RELAXED);
    tell_if_watched(socket, SKUAI_READING);
}
static void sender_of_two(void *arg)
{
    sender(arg);
    sender(arg);
}
static void room_maker(void *arg)
{
    struct socket *socket = arg;
    skuai_add_32(&socket->room, 1, SKUAI_RELAXED);
    tell_if_watched(socket, SKUAI_WRITING);
}
static void closer(void *arg)
{
    (void)arg;
    (void)skuai_source_close(&source);
}

static void reset(void)
{
    memset(&source, 0, sizeof source);
    memset(sockets, 0, sizeof sockets);
    memset(ops, 0, sizeof ops);
    memset(got, 0, sizeof got);
    memset(tokens, 0, sizeof tokens);
    events.raw = is_recycled.raw = begun.raw = 0;
    in_calls = closed = recycled = tries = 0;
    mine = &sockets[0];
    open_source(&sockets[0]);
    mc_name(&source.readiness, "readiness");
    mc_name(&source.users, "users");
    mc_name(&source.lock.word, "lock");
    mc_name(&source.fd, "fd");
    mc_name(&events, "events");
    for (int i = 0; i < SOCKETS; i++)
        mc_name(&sockets[i].bytes, "bytes %d", i);
    for (int i = 0; i < OPS; i++)
        mc_name(&ops[i].state, "op%d.state", i);
    mc_allow_blocked(mc_thread(driver, NULL));
}

static void nobody_is_left(void)
{
    mc_assert(source.waiters[0].first == NULL && source.waiters[1].first == NULL, "somebody still waits");
    mc_assert(in_calls == 0, "a call is still under way");
}
static void is_closed(void)
{
    nobody_is_left();
    mc_assert(closed == 1 && recycled == 1 && skuai_load_32(&source.users, SKUAI_RELAXED) == SKUAI_SOURCE_CLOSED,
              "not closed, or twice");
}

#define SEARCH .stale = 2, .max_executions = 60000, .random = 10000

/* ---- events ----------------------------------------------------------------------------------------------------- */

static void one_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_thread(sender, &sockets[0]);
}
static void one_finish(void)
{
    nobody_is_left();
    mc_assert(got[0] == 1, "no byte");
    /* EAGAIN, the event, the byte; and one more, when the event comes between two tries. */
    mc_assert(tries <= 3, "tried, though nothing had come");
}
MC_TEST(one, .setup = one_setup, .finish = one_finish, .bound = 4, .stale = 2, .max_executions = 100000);

static void two_in_a_row_setup(void)
{
    reset();
    mc_thread(reader_of_two, (void *)0);
    mc_thread(sender_of_two, &sockets[0]);
}
static void two_in_a_row_finish(void)
{
    nobody_is_left();
    mc_assert(got[0] == 1 && sockets[0].bytes.raw == 0, "no byte");
}
MC_TEST(two_in_a_row, .setup = two_in_a_row_setup, .finish = two_in_a_row_finish, SEARCH);

static void two_readers_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_thread(reader, (void *)1);
    mc_thread(sender_of_two, &sockets[0]);
}
static void both_finish(void)
{
    nobody_is_left();
    mc_assert(got[0] == 1 && got[1] == 1, "one has no byte");
}
MC_TEST(two_readers, .setup = two_readers_setup, .finish = both_finish, SEARCH);

/* Each direction is its own: who waits for the one is not woken by the other. */
static void directions_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_thread(writer, (void *)1);
    mc_thread(sender, &sockets[0]);
    mc_thread(room_maker, &sockets[0]);
}
MC_TEST(directions, .setup = directions_setup, .finish = both_finish, SEARCH);

/* Only bytes come: who waits for room goes on waiting. */
static int waiting_writer;
static void not_this_direction_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_allow_blocked(waiting_writer = mc_thread(writer, (void *)1));
    mc_thread(sender, &sockets[0]);
}
static void not_this_direction_finish(void)
{
    mc_assert(got[0] == 1, "no byte");
    mc_assert(mc_is_blocked(waiting_writer) && source.waiters[SKUAI_WRITING].first == &ops[1], "woken for nothing");
}
MC_TEST(not_this_direction, .setup = not_this_direction_setup, .finish = not_this_direction_finish, SEARCH);

/* ---- cancelling ------------------------------------------------------------------------------------------------- */

static void hasty_reader(void *arg)
{
    (void)arg;
    uint32_t life;
    mc_assert(skuai_source_begin(&source, &life), "nobody closes it");
    while ((got[0] = try_once(SKUAI_READING, life, mine)) == -EAGAIN)
        if ((got[0] = wait_and_withdraw(&ops[0], SKUAI_READING, life)) < 0)
            return;
}
static void withdrawn_setup(void)
{
    reset();
    mc_thread(hasty_reader, NULL);
    mc_thread(sender, &sockets[0]);
}
static void withdrawn_finish(void)
{
    nobody_is_left();
    mc_assert(got[0] == 1 || got[0] == -ETIMEDOUT, "neither a byte nor cancelled");
    mc_assert(sockets[0].bytes.raw == (got[0] != 1), "a byte was lost");
}
MC_TEST(withdrawn, .setup = withdrawn_setup, .finish = withdrawn_finish, .bound = 4, .stale = 2,
        .max_executions = 100000);

static void withdrawn_beside_setup(void)
{
    reset();
    mc_thread(hasty_reader, NULL);
    mc_thread(reader, (void *)1);
    mc_thread(sender_of_two, &sockets[0]);
}
static void withdrawn_beside_finish(void)
{
    nobody_is_left();
    mc_assert(got[1] == 1, "the other one's byte");
}
MC_TEST(withdrawn_beside, .setup = withdrawn_beside_setup, .finish = withdrawn_beside_finish, SEARCH);

/* ---- closing ---------------------------------------------------------------------------------------------------- */

static void closed_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_thread(closer, NULL);
}
static void closed_finish(void)
{
    is_closed();
    mc_assert(got[0] == -ECANCELED || got[0] == -EBADF, "a byte from nowhere");
}
MC_TEST(closed_under_a_reader, .setup = closed_setup, .finish = closed_finish, .bound = 4, .stale = 2,
        .max_executions = 100000);

static void closed_and_sent_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_thread(sender, &sockets[0]);
    mc_thread(closer, NULL);
}
static void closed_and_sent_finish(void)
{
    is_closed();
    mc_assert(got[0] == 1 || got[0] == -ECANCELED || got[0] == -EBADF, "neither a byte nor closed");
}
MC_TEST(closed_and_sent, .setup = closed_and_sent_setup, .finish = closed_and_sent_finish, SEARCH);

static void closed_under_two_setup(void)
{
    reset();
    mc_thread(reader, (void *)0);
    mc_thread(writer, (void *)1);
    mc_thread(closer, NULL);
}
static void closed_under_two_finish(void)
{
    is_closed();
    for (int i = 0; i < 2; i++)
        mc_assert(got[i] == -ECANCELED || got[i] == -EBADF, "ready, by nothing");
}
MC_TEST(closed_under_two, .setup = closed_under_two_setup, .finish = closed_under_two_finish, SEARCH);

/* ---- the next life ---------------------------------------------------------------------------------------------- */

/* A call that begins while the source is open: who closes it waits for that, no longer. */
static uint32_t begin(void)
{
    uint32_t life;
    mc_assert(skuai_source_begin(&source, &life), "nobody has closed it yet");
    skuai_store_32(&begun, 1, SKUAI_RELEASE);
    mc_futex_wake(&begun, 1);
    return life;
}
static void begun_reader(void *arg)
{
    (void)arg;
    got[0] = call(&ops[0], SKUAI_READING, begin(), mine);
}

/* Closes it, opens the next one with the same descriptor in the same memory, and reads from that. */
static void next_reader(void *arg)
{
    (void)arg;
    uint32_t life;
    while (skuai_load_32(&begun, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&begun, 0);
    (void)skuai_source_close(&source);
    while (skuai_load_32(&is_recycled, SKUAI_ACQUIRE) == 0)
        mc_futex_wait(&is_recycled, 0);
    open_source(&sockets[1]);
    mc_assert(skuai_source_begin(&source, &life), "nobody closes it");
    while ((got[1] = try_once(SKUAI_READING, life, &sockets[1])) == -EAGAIN) {
        if ((got[1] = wait_in(&ops[1], SKUAI_READING, life)) < 0)
            break;
        mc_assert(sockets[1].bytes.raw != 0, "a stale event has woken the next life");
    }
}
static void reused_setup(void)
{
    reset();
    mc_thread(begun_reader, NULL);
    mc_thread(next_reader, NULL);
    mc_thread(sender, &sockets[0]);
    mc_thread(sender, &sockets[1]);
}
static void reused_finish(void)
{
    nobody_is_left();
    mc_assert(closed == 1 && recycled == 1, "not closed, or twice");
    mc_assert(got[0] == 1 || got[0] == -ECANCELED, "neither a byte nor closed");
    mc_assert(got[1] == 1 && sockets[1].bytes.raw == 0, "the next life's byte");
}
MC_TEST(reused, .setup = reused_setup, .finish = reused_finish, SEARCH);

/* The same, with the event of the first life already told: it is in the driver's hands, or there is none. */
static void stale_setup(void)
{
    reset();
    begun.raw = 1;
    sockets[0].bytes.raw = 1;
    (void)skuai_driver_watch(NULL, 0, FD, (uint64_t)0 << 32);
    source.armed = true;
    mc_thread(next_reader, NULL);
    mc_thread(sender, &sockets[1]);
}
static void stale_finish(void)
{
    nobody_is_left();
    mc_assert(got[1] == 1, "the next life's byte");
}
MC_TEST(stale_event, .setup = stale_setup, .finish = stale_finish, .bound = 3, .stale = 2, .max_executions = 100000);

/* ---- arms ------------------------------------------------------------------------------------------------------- */

/* A select of reading and writing: exactly one of the two, and the other one is known to nobody. */
static struct skuai_select choice;
static void selecter(void *arg)
{
    (void)arg;
    int64_t arm;
    skuai_source_drained(&source, skuai_source_readiness(&source), SKUAI_READING);
    skuai_source_drained(&source, skuai_source_readiness(&source), SKUAI_WRITING);
    bool linked[2] = { false, false };
    for (int i = 0; i < 2; i++) {
        mc_alloc(&ops[i], sizeof ops[i]);
        skuai_source_wait_prepare(&ops[i], &source, (enum skuai_direction)i);
        ops[i].select = &choice;
        ops[i].arm = (uint32_t)i;
    }
    for (int i = 0; i < 2 && skuai_select_decided(&choice) < 0; i++) {
        skuai_op_kind_of(&ops[i])->start(NULL, &ops[i], true);
        linked[i] = skuai_op_state(&ops[i]) != SKUAI_OP_LOST;
    }
    while ((arm = skuai_select_decided(&choice)) < 0)
        mc_futex_wait(&choice.decided, SKUAI_SELECT_OPEN);
    while (!skuai_op_is_done(&ops[arm]))
        skuai_pause();
    got[0] = (int)arm;
    got[1] = (int)SKUAI_READ(ops[arm].result);
    if (linked[1 - arm])
        mc_assert(skuai_op_kind_of(&ops[1 - arm])->withdraw(&ops[1 - arm]), "an arm that lost has been claimed");
    for (int i = 0; i < 2; i++)
        mc_free(&ops[i], sizeof ops[i]);
}
static void select_setup(void)
{
    reset();
    choice.decided.raw = SKUAI_SELECT_OPEN;
    mc_thread(selecter, NULL);
    mc_thread(sender, &sockets[0]);
    mc_thread(room_maker, &sockets[0]);
}
static void select_finish(void)
{
    nobody_is_left();
    mc_assert(got[1] == 0, "an arm that is ready says so");
}
MC_TEST(arms, .setup = select_setup, .finish = select_finish, SEARCH);

static void select_closed_setup(void)
{
    reset();
    choice.decided.raw = SKUAI_SELECT_OPEN;
    mc_thread(selecter, NULL);
    mc_thread(sender, &sockets[0]);
    mc_thread(closer, NULL);
}
static void select_closed_finish(void)
{
    is_closed();
    mc_assert(got[1] == 0 || got[1] == -ECANCELED || got[1] == -EBADF, "ready, or closed");
}
MC_TEST(arms_closed, .setup = select_closed_setup, .finish = select_closed_finish, SEARCH);

/* ---- what stays in the word ------------------------------------------------------------------------------------- */

static void stays(void *arg)
{
    (void)arg;
    mc_assert(skuai_readiness_ends_short(skuai_source_readiness(&source)), "nothing has happened yet");
    static const uint32_t ends[] = { SKUAI_READY_HANGUP, SKUAI_READY_ERROR, SKUAI_READY_PRIORITY };
    for (int i = 0; i < 3; i++) {
        skuai_store_64(&source.readiness, 0, SKUAI_RELAXED);
        skuai_source_event(&source, 0, ends[i] | SKUAI_READY_READ | SKUAI_READY_WRITE);
        uint64_t seen = skuai_source_readiness(&source);
        mc_assert(!skuai_readiness_ends_short(seen), "a short count hides what is behind");
        skuai_source_drained(&source, seen, SKUAI_READING);
        seen = skuai_source_readiness(&source);
        mc_assert(!skuai_readiness_has(seen, SKUAI_READING) && skuai_readiness_has(seen, SKUAI_WRITING), "EAGAIN");
        mc_assert(!skuai_readiness_ends_short(seen), "it stays");
    }
    /* The count wraps within its bits. */
    skuai_store_64(&source.readiness, UINT64_C(7) << 32 | UINT32_C(0xffffff00), SKUAI_RELAXED);
    skuai_source_event(&source, 7, SKUAI_READY_READ);
    mc_assert(skuai_source_readiness(&source) == (UINT64_C(7) << 32 | SKUAI_READY_READ), "the count runs over");
}
static void stays_setup(void)
{
    reset();
    mc_thread(stays, NULL);
}
MC_TEST(what_stays, .setup = stays_setup, .bound = MC_UNBOUNDED);

/* ---- known wrong ------------------------------------------------------------------------------------------------ */

/* Takes readiness away whatever has come since the try. */
static void forgetful_reader(void *arg)
{
    (void)arg;
    uint32_t life;
    mc_assert(skuai_source_begin(&source, &life), "nobody closes it");
    for (;;) {
        if (skuai_source_enter(&source, life)) {
            got[0] = try_call(by_fd, SKUAI_READING);
            skuai_source_leave(&source);
        }
        if (got[0] != -EAGAIN)
            return;
        skuai_source_drained(&source, skuai_source_readiness(&source), SKUAI_READING);
        wait_in(&ops[0], SKUAI_READING, life);
    }
}
static void forgetful_setup(void)
{
    reset();
    (void)skuai_driver_watch(NULL, 0, FD, 0);
    source.armed = true;
    mc_thread(forgetful_reader, NULL);
    mc_thread(sender, &sockets[0]);
}
MC_TEST_MUST_FAIL(forgets_an_event, "a wake-up was lost", .setup = forgetful_setup);

/* Q8 left out: goes on with whatever lives in the memory now. */
static void careless_reader(void *arg)
{
    (void)arg;
    uint32_t life = begin();
    if (try_once(SKUAI_READING, life, mine) == -EAGAIN && wait_in(&ops[0], SKUAI_READING, life) == 0 &&
        skuai_source_begin(&source, &life))
        (void)try_once(SKUAI_READING, life, mine);
}
static void careless_setup(void)
{
    reset();
    mc_thread(careless_reader, NULL);
    mc_thread(next_reader, NULL);
    mc_thread(sender, &sockets[0]);
    mc_thread(sender, &sockets[1]);
}
MC_TEST_MUST_FAIL(another_life, "a call has come into another life", .setup = careless_setup);

/* Q6 left out: calls the kernel without saying so. */
static void uncounted_reader(void *arg)
{
    (void)arg;
    uint32_t life;
    if (skuai_source_begin(&source, &life) && skuai_readiness_has(skuai_source_readiness(&source), SKUAI_READING))
        mc_assert(by_fd->is_open, "a system call with a descriptor that is closed");
}
static void uncounted_setup(void)
{
    reset();
    mc_thread(uncounted_reader, NULL);
    mc_thread(closer, NULL);
}
MC_TEST_MUST_FAIL(uncounted, "a descriptor that is closed", .setup = uncounted_setup);
