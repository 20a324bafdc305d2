/* Cancel everywhere: semaphores, notifications, oneshots. Every permit is there in the end, a notification that is
 * handed on is neither lost nor doubled, and every value was received or handed over. */
#include "support/cancel_everywhere.h"

#include "skua/notify.h"
#include "skua/oneshot.h"
#include "skua/semaphore.h"

/* ---- permits ----------------------------------------------------------------------------------------------------- */

enum { PERMITS = 3, USERS = 5, ROUNDS = 2 };

struct permits {
    skua_semaphore semaphore;
    uint64_t in_use;
};

struct user {
    struct permits *all;
    uint64_t wants;
    int way;
};

static int64_t take(struct user *user)
{
    skua_semaphore_op op;
    skua_sleep_op nap;
    int64_t arm;
    switch (user->way % 3) {
    case 0:
        return skua_semaphore_acquire(&user->all->semaphore, user->wants);
    case 1:
        return skua_semaphore_acquire_until(&user->all->semaphore, user->wants, skua_after(4 * SKUA_US));
    default:
        arm = SKUA_SELECT(skua_semaphore_acquire_prepare(&op, &user->all->semaphore, user->wants),
                          skua_sleep_prepare(&nap, 6 * SKUA_US));
        return arm == 0 ? op.result : arm < 0 ? arm : -ETIMEDOUT;
    }
}

static void give(struct permits *all, uint64_t permits)
{
    CHECK(all->in_use <= PERMITS);
    all->in_use -= permits;
    skua_semaphore_release(&all->semaphore, permits);
}

static int uses(void *arg)
{
    struct user *user = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t rc = take(user);
        if (rc == -ETIMEDOUT)
            continue;
        if (rc < 0)
            return (int)rc;
        user->all->in_use += user->wants;
        (void)skua_sleep(SKUA_US);
        give(user->all, user->wants);
    }
    return 0;
}

struct future_user {
    SKUA_FRAME;
    struct {
        struct permits *all;
    } in;
    skua_semaphore_op op;
    skua_sleep_op nap;
    int i;
};
SKUA_ASYNC(future_user)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < ROUNDS; self->i++) {
        SKUA_AWAIT(skua_semaphore_acquire_start(&self->op, &self->in.all->semaphore, 2));
        if (self->op.result < 0)
            SKUA_RETURN(self->op.result);
        self->in.all->in_use += 2;
        SKUA_AWAIT(skua_sleep_start(&self->nap, SKUA_US));
        give(self->in.all, 2);
    }
    SKUA_END(0);
}

static int permits(void *arg)
{
    struct permits *all = arg;
    struct user users[USERS - 1];
    skua_task *tasks[USERS];
    all->in_use = 0;
    skua_semaphore_init(&all->semaphore, PERMITS);
    for (int i = 0; i < USERS - 1; i++) {
        users[i] = (struct user){ all, 1 + (uint64_t)i % PERMITS, i };
        CHECK_OK(skua_spawn(&tasks[i], uses, &users[i]));
    }
    CHECK_OK(SKUA_SPAWN(&tasks[USERS - 1], future_user, .all = all));
    for (int i = 0; i < USERS; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_permits(void *arg)
{
    struct permits *all = arg;
    CHECK_EQ(all->in_use, 0);
    CHECK_EQ(skua_semaphore_available(&all->semaphore), PERMITS);
    CHECK(all->semaphore.waiters.first == NULL);
    CHECK_OK(skua_semaphore_try_acquire(&all->semaphore, PERMITS));
}

TEST(permits_of_a_semaphore)
{
    struct permits all;
    cancel_everywhere(permits, check_permits, &all);
}

/* ---- a baton ----------------------------------------------------------------------------------------------------- */

/* Whoever has it notifies the next; if nobody waits it is kept. */
struct baton {
    skua_notify passed;
    int holders, laps;
};

static int runs(void *arg)
{
    struct baton *baton = arg;
    for (int i = 0; i < 3; i++) {
        skua_op wait;
        skua_sleep_op nap;
        int64_t rc = i != 1 ? skua_notify_wait(&baton->passed)
                            : SKUA_SELECT(skua_notify_wait_prepare(&wait, &baton->passed),
                                          skua_sleep_prepare(&nap, 5 * SKUA_US));
        if (rc == 1)
            continue;
        if (rc < 0)
            return (int)rc;
        CHECK_EQ(baton->holders++, 0);
        (void)skua_yield();
        baton->holders--;
        baton->laps++;
        skua_notify_one(&baton->passed);
    }
    return 0;
}

static int relay(void *arg)
{
    struct baton *baton = arg;
    skua_task *tasks[4];
    *baton = (struct baton){ .holders = 0 };
    skua_notify_init(&baton->passed);
    skua_notify_one(&baton->passed);
    for (int i = 0; i < 4; i++)
        CHECK_OK(skua_spawn(&tasks[i], runs, baton));
    for (int i = 0; i < 4; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_baton(void *arg)
{
    struct baton *baton = arg;
    CHECK_EQ(skua_notify_try_wait(&baton->passed), 0);
    CHECK_EQ(skua_notify_try_wait(&baton->passed), -EAGAIN);
    CHECK(baton->passed.waiters.first == NULL);
}

TEST(a_baton)
{
    struct baton baton;
    cancel_everywhere(relay, check_baton, &baton);
}

/* ---- replies ----------------------------------------------------------------------------------------------------- */

enum { REPLIES = 4 };

struct replies {
    skua_oneshot *oneshots[REPLIES];
    int sent[REPLIES], received[REPLIES];
};

struct replying {
    struct replies *all;
    int i;
};

static int replies_to(void *arg)
{
    struct replying *self = arg;
    (void)skua_sleep((uint64_t)self->i * SKUA_US);
    if (self->i == 1 && skua_oneshot_unwanted_until(self->all->oneshots[1], skua_after(3 * SKUA_US)) == 0) {
        skua_oneshot_close_sender(self->all->oneshots[1]);
        return 0;
    }
    int rc = skua_oneshot_send(self->all->oneshots[self->i], &self->i);
    self->all->sent[self->i] = rc == 0;
    return rc;
}

static int asks(void *arg)
{
    struct replying *self = arg;
    int value = -1, late = -1;
    int rc = self->i % 2 == 0
                 ? skua_oneshot_receive(self->all->oneshots[self->i], &value)
                 : skua_oneshot_receive_until(self->all->oneshots[self->i], &value, skua_after(2 * SKUA_US));
    if (rc == 1)
        CHECK_EQ(value, self->i);
    int handed_over = skua_oneshot_close_receiver(self->all->oneshots[self->i], &late);
    CHECK(rc != 1 || handed_over == 0);
    if (handed_over == 1)
        CHECK_EQ(late, self->i);
    self->all->received[self->i] = rc == 1 || handed_over == 1;
    return 0;
}

static int replies(void *arg)
{
    struct replies *all = arg;
    struct replying parties[REPLIES];
    skua_task *tasks[2 * REPLIES];
    *all = (struct replies){ .sent = { 0 } };
    for (int i = 0; i < REPLIES; i++) {
        parties[i] = (struct replying){ all, i };
        CHECK_OK(skua_oneshot_create(&all->oneshots[i], sizeof(int)));
        CHECK_OK(skua_spawn(&tasks[i], asks, &parties[i]));
        CHECK_OK(skua_spawn(&tasks[REPLIES + i], replies_to, &parties[i]));
    }
    for (int i = 0; i < 2 * REPLIES; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_replies(void *arg)
{
    struct replies *all = arg;
    for (int i = 0; i < REPLIES; i++)
        CHECK_EQ(all->received[i], all->sent[i]);
}

TEST(replies_by_oneshots)
{
    struct replies all;
    cancel_everywhere(replies, check_replies, &all);
}

/* ---- who stands in the way and leaves ---------------------------------------------------------------------------- */

/* One permit is kept until a small request has been served, which waits behind one that is too large. If that is
 * cancelled the small one must be served, though nobody releases anything. */
struct line {
    skua_semaphore semaphore;
    skua_event served;
    bool large_left, small_waits, was_late;
};

static int keeps(void *arg)
{
    struct line *line = arg;
    SKUA_SHIELD();
    CHECK_OK(skua_semaphore_acquire(&line->semaphore, 1));
    if (skua_event_wait_until(&line->served, skua_after(SKUA_S)) == -ETIMEDOUT)
        line->was_late = line->large_left && line->small_waits;
    skua_semaphore_release(&line->semaphore, 1);
    return 0;
}

static int wants_much(void *arg)
{
    struct line *line = arg;
    (void)skua_sleep(5 * SKUA_US);
    int rc = skua_semaphore_acquire(&line->semaphore, PERMITS);
    if (rc == 0)
        skua_semaphore_release(&line->semaphore, PERMITS);
    line->large_left = rc < 0;
    return 0;
}

static int wants_little(void *arg)
{
    struct line *line = arg;
    SKUA_SHIELD();
    CHECK_OK(skua_sleep(12 * SKUA_US));
    line->small_waits = true;
    CHECK_OK(skua_semaphore_acquire(&line->semaphore, 1));
    skua_event_set(&line->served);
    skua_semaphore_release(&line->semaphore, 1);
    return 0;
}

static int lines(void *arg)
{
    static skua_fiber_fn *const people[] = { keeps, wants_much, wants_little };
    struct line *line = arg;
    skua_task *tasks[3];
    *line = (struct line){ .was_late = false };
    skua_semaphore_init(&line->semaphore, PERMITS);
    skua_event_init(&line->served, SKUA_EVENT_MANUAL);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&tasks[i], people[i], line));
    SKUA_SHIELD();
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}

static void check_line(void *arg)
{
    struct line *line = arg;
    CHECK(!line->was_late);
    CHECK_EQ(skua_semaphore_available(&line->semaphore), PERMITS);
}

TEST(a_large_request_that_leaves_lets_small_ones_pass)
{
    struct line line;
    cancel_everywhere(lines, check_line, &line);
}
