/* Cancel everywhere: mutexes, read-write locks and condition variables. Nobody is inside with another, nobody leaves a
 * lock locked, and what a queue in a mutex holds is there exactly once. */
#include "support/cancel_everywhere.h"

#include "skua/cond.h"
#include "skua/mutex.h"
#include "skua/rwlock.h"

/* ---- a queue ----------------------------------------------------------------------------------------------------- */

enum { ROOM = 2, PUTTERS = 2, GETTERS = 2, EACH = 3, ITEMS = PUTTERS * EACH };

struct queue {
    skua_mutex guard;
    skua_cond filled, emptied;
    int items[ROOM], count, inside;
    unsigned char put[ITEMS], got[ITEMS];
    int next_putter, getters; /* that have not been ended */
    bool uses_until;
};

static void come_in(struct queue *queue) { CHECK_EQ(queue->inside++, 0); }
static void go_out(struct queue *queue)
{
    CHECK_EQ(--queue->inside, 0);
    skua_mutex_unlock(&queue->guard);
}

/* Waits until there are not `count` any more, with the mutex locked. */
static int wait_while(struct queue *queue, skua_cond *cond, int count)
{
    int rc = 0;
    while (rc == 0 && queue->count == count) {
        queue->inside--;
        rc = queue->uses_until ? skua_cond_wait_until(cond, &queue->guard, skua_after(5 * SKUA_US))
                               : skua_cond_wait(cond, &queue->guard);
        come_in(queue); /* whatever has happened */
        if (rc == -ETIMEDOUT)
            rc = 0;
    }
    return rc;
}

static int put(struct queue *queue, int item)
{
    int rc = skua_mutex_lock(&queue->guard);
    if (rc < 0)
        return rc;
    come_in(queue);
    rc = wait_while(queue, &queue->emptied, ROOM);
    if (rc == 0) {
        queue->items[queue->count++] = item;
        queue->put[item]++;
        skua_cond_signal(&queue->filled);
    }
    go_out(queue);
    return rc;
}

static int get(struct queue *queue)
{
    int rc = skua_mutex_lock(&queue->guard);
    if (rc < 0)
        return rc;
    come_in(queue);
    rc = wait_while(queue, &queue->filled, 0);
    if (rc == 0) {
        queue->got[queue->items[--queue->count]]++;
        skua_cond_signal(&queue->emptied);
    }
    go_out(queue);
    return rc;
}

static int puts_items(void *arg)
{
    struct queue *queue = arg;
    int first = queue->next_putter++ * EACH, rc = 0;
    for (int i = 0; i < EACH && rc == 0; i++)
        rc = put(queue, first + i);
    return rc;
}

static int gets_items(void *arg)
{
    struct queue *queue = arg;
    int rc;
    queue->getters++;
    while ((rc = get(queue)) == 0)
        ;
    queue->getters--;
    return rc;
}

/* A getter without a stack. */
struct getter {
    SKUA_FRAME;
    struct {
        struct queue *queue;
    } in;
    skua_op op;
    skua_cond_waiting waiting;
    int64_t rc;
};
SKUA_ASYNC(getter)
{
    SKUA_BEGIN(self);
    self->in.queue->getters++;
    for (self->rc = 0; self->rc == 0;) {
        SKUA_AWAIT(skua_mutex_lock_start(&self->op, &self->in.queue->guard));
        self->rc = self->op.result;
        if (self->rc < 0)
            break;
        come_in(self->in.queue);
        while (self->rc == 0 && self->in.queue->count == 0) {
            self->in.queue->inside--;
            SKUA_AWAIT(skua_cond_wait_start(&self->waiting, &self->in.queue->filled, &self->in.queue->guard));
            come_in(self->in.queue);
            self->rc = SKUA_RESULT(&self->waiting);
        }
        if (self->rc == 0) {
            self->in.queue->got[self->in.queue->items[--self->in.queue->count]]++;
            skua_cond_signal(&self->in.queue->emptied);
        }
        go_out(self->in.queue);
    }
    self->in.queue->getters--;
    SKUA_END(self->rc);
}

static int queues(void *arg)
{
    struct queue *queue = arg;
    skua_task *putters[PUTTERS], *getters[GETTERS];
    *queue = (struct queue){ .uses_until = queue->uses_until };
    skua_mutex_init(&queue->guard);
    skua_cond_init(&queue->filled);
    skua_cond_init(&queue->emptied);
    for (int i = 0; i < PUTTERS; i++)
        CHECK_OK(skua_spawn(&putters[i], puts_items, queue));
    CHECK_OK(skua_spawn(&getters[0], gets_items, queue));
    CHECK_OK(SKUA_SPAWN(&getters[1], getter, .queue = queue));
    (void)skua_sleep(40 * SKUA_US);
    for (int i = 0; i < PUTTERS; i++)
        end_task(putters[i]);
    {
        SKUA_SHIELD();
        CHECK_OK(skua_sleep(SKUA_MS));
        CHECK(queue->count == 0 || queue->getters == 0); /* a getter that waits beside an item has lost a signal */
    }
    for (int i = 0; i < GETTERS; i++)
        end_task(getters[i]);
    return 0;
}

static void check_queue(void *arg)
{
    struct queue *queue = arg;
    CHECK(!skua_mutex_is_locked(&queue->guard));
    CHECK(queue->filled.waiters.first == NULL && queue->emptied.waiters.first == NULL);
    for (int i = 0; i < queue->count; i++)
        queue->got[queue->items[i]]++;
    for (int i = 0; i < ITEMS; i++)
        CHECK_EQ(queue->got[i], queue->put[i]);
    skua_cond_fini(&queue->filled);
    skua_cond_fini(&queue->emptied);
    skua_mutex_fini(&queue->guard);
}

TEST(a_queue_in_a_mutex)
{
    struct queue queue = { .uses_until = false };
    cancel_everywhere(queues, check_queue, &queue);
    queue.uses_until = true;
    cancel_everywhere(queues, check_queue, &queue);
}

/* ---- two mutexes by select, and a read-write lock ---------------------------------------------------------------- */

struct rooms {
    skua_mutex doors[2];
    skua_rwlock hall;
    int inside[2], readers, writers, visits;
};

static int takes_any_door(void *arg)
{
    struct rooms *rooms = arg;
    for (int i = 0; i < 3; i++) {
        skua_op locks[2];
        int64_t door = SKUA_SELECT(skua_mutex_lock_prepare(&locks[0], &rooms->doors[0]),
                                   skua_mutex_lock_prepare(&locks[1], &rooms->doors[1]));
        if (door < 0)
            return (int)door;
        CHECK_EQ(rooms->inside[door]++, 0);
        (void)skua_yield();
        rooms->inside[door]--;
        rooms->visits++;
        skua_mutex_unlock(&rooms->doors[door]);
    }
    return 0;
}

static int reads(void *arg)
{
    struct rooms *rooms = arg;
    for (int i = 0; i < 3; i++) {
        int rc = skua_rwlock_read_lock(&rooms->hall);
        if (rc < 0)
            return rc;
        rooms->readers++;
        CHECK_EQ(rooms->writers, 0);
        (void)skua_sleep(SKUA_US);
        rooms->readers--;
        skua_rwlock_read_unlock(&rooms->hall);
    }
    return 0;
}

static int writes(void *arg)
{
    struct rooms *rooms = arg;
    for (int i = 0; i < 2; i++) {
        int rc = skua_rwlock_write_lock_until(&rooms->hall, skua_after(4 * SKUA_US));
        if (rc == -ETIMEDOUT)
            continue;
        if (rc < 0)
            return rc;
        CHECK_EQ(rooms->writers++, 0);
        CHECK_EQ(rooms->readers, 0);
        (void)skua_yield();
        rooms->writers--;
        skua_rwlock_write_unlock(&rooms->hall);
    }
    return 0;
}

static int visits(void *arg)
{
    static skua_fiber_fn *const visitors[] = { takes_any_door, takes_any_door, takes_any_door, reads, reads, writes,
                                               writes };
    enum { VISITORS = sizeof visitors / sizeof visitors[0] };
    struct rooms *rooms = arg;
    skua_task *tasks[VISITORS];
    *rooms = (struct rooms){ .visits = 0 };
    for (int i = 0; i < 2; i++)
        skua_mutex_init(&rooms->doors[i]);
    skua_rwlock_init(&rooms->hall);
    for (int i = 0; i < VISITORS; i++)
        CHECK_OK(skua_spawn(&tasks[i], visitors[i], rooms));
    for (int i = 0; i < VISITORS; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_rooms(void *arg)
{
    struct rooms *rooms = arg;
    CHECK(!skua_rwlock_is_locked(&rooms->hall));
    for (int i = 0; i < 2; i++) {
        CHECK(!skua_mutex_is_locked(&rooms->doors[i]));
        skua_mutex_fini(&rooms->doors[i]);
    }
    skua_rwlock_fini(&rooms->hall);
}

TEST(doors_and_halls)
{
    struct rooms rooms;
    cancel_everywhere(visits, check_rooms, &rooms);
}

/* ---- who stands in the way and leaves ---------------------------------------------------------------------------- */

/* A reader is inside until another has come, a writer waits for it to leave, and the other waits behind the writer. If
 * the writer is cancelled the other must come in, though nobody unlocks anything. */
struct doorway {
    skua_rwlock hall;
    skua_event came;
    bool writer_left, other_waits, was_late;
};

static int stays(void *arg)
{
    struct doorway *doorway = arg;
    SKUA_SHIELD();
    CHECK_OK(skua_rwlock_read_lock(&doorway->hall));
    if (skua_event_wait_until(&doorway->came, skua_after(SKUA_S)) == -ETIMEDOUT)
        doorway->was_late = doorway->writer_left && doorway->other_waits;
    skua_rwlock_read_unlock(&doorway->hall);
    return 0;
}

static int stands_in_the_way(void *arg)
{
    struct doorway *doorway = arg;
    (void)skua_sleep(5 * SKUA_US);
    int rc = skua_rwlock_write_lock(&doorway->hall);
    if (rc == 0)
        skua_rwlock_write_unlock(&doorway->hall);
    doorway->writer_left = rc < 0;
    return 0;
}

static int comes_behind(void *arg)
{
    struct doorway *doorway = arg;
    SKUA_SHIELD();
    CHECK_OK(skua_sleep(12 * SKUA_US));
    doorway->other_waits = true;
    CHECK_OK(skua_rwlock_read_lock(&doorway->hall));
    skua_event_set(&doorway->came);
    skua_rwlock_read_unlock(&doorway->hall);
    return 0;
}

static int doorways(void *arg)
{
    static skua_fiber_fn *const people[] = { stays, stands_in_the_way, comes_behind };
    struct doorway *doorway = arg;
    skua_task *tasks[3];
    *doorway = (struct doorway){ .was_late = false };
    skua_rwlock_init(&doorway->hall);
    skua_event_init(&doorway->came, SKUA_EVENT_MANUAL);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&tasks[i], people[i], doorway));
    SKUA_SHIELD();
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_join(tasks[i], NULL));
    return 0;
}

static void check_doorway(void *arg)
{
    struct doorway *doorway = arg;
    CHECK(!doorway->was_late);
    CHECK(!skua_rwlock_is_locked(&doorway->hall));
    skua_rwlock_fini(&doorway->hall);
}

TEST(a_writer_that_leaves_lets_readers_in)
{
    struct doorway doorway;
    cancel_everywhere(doorways, check_doorway, &doorway);
}
