/* Cancel everywhere (support/cancel_everywhere.h): programs over events, joins, selects, sets, sleeps and scopes. What
 * is accounted for here is built on automatic events: a permit is one that is set, a box of one message is two of them.
 *
 * The first tests show that the mode sees what it is there to see: primitives that lose something when cancelled.
 */
#define CANCEL_TSAN_SEEDS 6 /* the programs are small, and what is wrong is to be seen */
#include "support/cancel_everywhere.h"

#include "sched/wait.h"
#include "sched/waiters.h"
#include "support/random_tasks.h"

/* ---- a box of one message ---------------------------------------------------------------------------------------- */

enum { SENDERS = 2, RECEIVERS = 2, MESSAGES = 3 };

/* What becomes of each message. */
enum fate { WITH_SENDER, IN_BOX, RECEIVED };

struct box {
    skua_event empty, full; /* one of them is set, or somebody has the box in hand */
    int message;
    bool loses;             /* a bug: see receive() */
};

struct boxes {
    struct box box;
    enum fate fates[SENDERS * MESSAGES];
    int sent, received; /* the tasks' own counts */
    int next_sender;
};

static void box_init(struct box *box)
{
    skua_event_init(&box->empty, SKUA_EVENT_AUTO);
    skua_event_init(&box->full, SKUA_EVENT_AUTO);
    skua_event_set(&box->empty);
}

static int send_to(struct box *box, int message)
{
    int rc = skua_event_wait(&box->empty);
    if (rc < 0)
        return rc;
    box->message = message;
    skua_event_set(&box->full);
    return 0;
}

static int receive(struct box *box, int *message)
{
    int rc = skua_event_wait(&box->full);
    if (rc < 0)
        return rc;
    *message = box->message;
    skua_event_set(&box->empty);
    if (box->loses && (rc = skua_yield()) < 0) /* has the message, and says that it has not */
        return rc;
    return 0;
}

static int sends(void *arg)
{
    struct boxes *all = arg;
    int first = all->next_sender++ * MESSAGES;
    for (int i = 0; i < MESSAGES; i++) {
        int rc = send_to(&all->box, first + i);
        if (rc < 0)
            return rc;
        if (all->fates[first + i] == WITH_SENDER) /* else it has been received already */
            all->fates[first + i] = IN_BOX;
        all->sent++;
    }
    return 0;
}

static int receives(void *arg)
{
    struct boxes *all = arg;
    int message;
    while (receive(&all->box, &message) == 0) {
        CHECK(all->fates[message] != RECEIVED);
        all->fates[message] = RECEIVED;
        all->received++;
    }
    return 0;
}

/* Lets the receivers have what there is, then ends them. */
static int boxes(void *arg)
{
    struct boxes *all = arg;
    skua_task *senders[SENDERS], *receivers[RECEIVERS];
    *all = (struct boxes){ .box.loses = all->box.loses };
    box_init(&all->box);
    for (int i = 0; i < SENDERS; i++)
        CHECK_OK(skua_spawn(&senders[i], sends, all));
    for (int i = 0; i < RECEIVERS; i++)
        CHECK_OK(skua_spawn(&receivers[i], receives, all));
    (void)skua_sleep(SKUA_MS);
    for (int i = 0; i < SENDERS; i++)
        end_task(senders[i]);
    for (int i = 0; i < RECEIVERS; i++)
        end_task(receivers[i]);
    return 0;
}

static void check_boxes(void *arg)
{
    struct boxes *all = arg;
    bool full = skua_event_is_set(&all->box.full), empty = skua_event_is_set(&all->box.empty);
    int counts[3] = { 0 };
    CHECK_EQ(full + empty, 1);
    CHECK(all->box.full.waiters.first == NULL && all->box.empty.waiters.first == NULL);
    for (int i = 0; i < SENDERS * MESSAGES; i++)
        counts[all->fates[i]]++;
    CHECK_EQ(counts[RECEIVED], all->received);
    CHECK_EQ(counts[IN_BOX], (int)full);
    CHECK_EQ(counts[IN_BOX] + counts[RECEIVED], all->sent);
}

static void boxes_everywhere(void *all)
{
    CHECK(cancel_everywhere(boxes, check_boxes, all) > 50);
}

TEST(a_box_loses_no_message)
{
    struct boxes all = { .box.loses = false };
    boxes_everywhere(&all);
}

TEST(a_box_that_loses_one_is_seen)
{
    struct boxes all = { .box.loses = true };
    test_expect_abort(boxes_everywhere, &all, "CHECK_EQ(counts[IN_BOX], (int)full)");
}

/* ---- an op that is withdrawn wrongly ----------------------------------------------------------------------------- */

enum { WAITERS = 8 };

/* A gate that lets all pass who wait, and once it is open whoever comes. The bug: a withdrawal that does not ask
 * whether somebody has claimed the op, whose owner is then told that it has not got what it has got. */
struct gate {
    skua_word32 lock;
    skua_waiters waiters;
    bool is_open, withdraws_wrongly;
    int given, got, told_canceled;
};

static bool gate_withdraw(skua_op *op)
{
    struct gate *gate = op->owner;
    return skuai_waiters_withdraw(skuai_lock_at(&gate->lock), &gate->waiters, op) || gate->withdraws_wrongly;
}

static void gate_start(struct skuai_worker *worker, skua_op *op, bool may_wait)
{
    struct gate *gate = op->owner;
    skuai_lock_acquire(skuai_lock_at(&gate->lock));
    if (gate->is_open) {
        gate->given++;
        skuai_op_set_done(op, 0);
    } else if (may_wait) {
        skuai_op_arm_here(worker, op);
        skuai_waiters_append(&gate->waiters, op);
    }
    skuai_lock_release(skuai_lock_at(&gate->lock));
}

static const struct skuai_op_kind gate_kind = { .name = "gate_wait", .start = gate_start, .withdraw = gate_withdraw };

static void gate_open(struct gate *gate)
{
    struct skuai_fires fires = SKUAI_FIRES_NONE;
    skua_op *op;
    skuai_lock_acquire(skuai_lock_at(&gate->lock));
    gate->is_open = true;
    while ((op = skuai_waiters_claim(&gate->waiters)) != NULL) {
        gate->given++;
        skuai_fires_add(&fires, op, 0);
    }
    skuai_lock_release(skuai_lock_at(&gate->lock));
    skuai_fires_finish(&fires);
}

static int passes(void *arg)
{
    struct gate *gate = arg;
    skua_op *op = malloc(sizeof *op); /* kept, so that who completes it late hits nothing else */
    CHECK(op != NULL);
    int64_t rc = skuai_call(skuai_op_prepare(op, &gate_kind, gate));
    gate->got += rc == 0;
    gate->told_canceled += rc == -ECANCELED;
    SKUA_SHIELD();
    skua_sleep(SKUA_MS);
    free(op);
    return 0;
}

static int gates(void *arg)
{
    struct gate *gate = arg;
    skua_task *tasks[WAITERS];
    *gate = (struct gate){ .withdraws_wrongly = gate->withdraws_wrongly };
    for (int i = 0; i < WAITERS; i++)
        CHECK_OK(skua_spawn(&tasks[i], passes, gate));
    (void)skua_sleep(5 * SKUA_US);
    gate_open(gate);
    for (int i = 0; i < WAITERS; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_gates(void *arg)
{
    struct gate *gate = arg;
    CHECK_EQ(gate->got, gate->given);
    CHECK_EQ(gate->got + gate->told_canceled, WAITERS);
}

static void gates_everywhere(void *gate) { cancel_everywhere(gates, check_gates, gate); }

TEST(a_claimed_op_is_waited_for)
{
    struct gate gate = { .withdraws_wrongly = false };
    gates_everywhere(&gate);
}

TEST(a_claimed_op_that_is_withdrawn_is_seen)
{
    struct gate gate = { .withdraws_wrongly = true };
    test_expect_abort(gates_everywhere, &gate, ""); /* by the accounts, or by the fire, which finds no sink */
}

/* ---- permits ----------------------------------------------------------------------------------------------------- */

enum { PERMITS = 2, USERS = 4, ROUNDS = 3 };

struct permits {
    skua_event permits[PERMITS];
    int in_use, uses;
};

static void use(struct permits *all, int64_t permit, bool canceled)
{
    CHECK(all->in_use <= PERMITS);
    all->uses += !canceled;
    all->in_use--;
    skua_event_set(&all->permits[permit]);
}

/* A fiber that takes any of them. */
static int uses(void *arg)
{
    struct permits *all = arg;
    skua_op waits[PERMITS];
    skua_op *arms[PERMITS];
    for (int i = 0; i < PERMITS; i++)
        arms[i] = skua_event_wait_prepare(&waits[i], &all->permits[i]);
    for (int round = 0; round < ROUNDS; round++) {
        int64_t permit = skua_select(arms, PERMITS);
        if (permit < 0)
            return (int)permit;
        all->in_use++;
        int rc = skua_yield();
        use(all, permit, rc < 0);
        if (round == 1)
            skua_select_until(arms, 0, skua_after(1)); /* nothing, in a scope */
    }
    return 0;
}

/* The same as a future, which also sleeps, and gives up after a while. */
struct user {
    SKUA_FRAME;
    struct {
        struct permits *all;
    } in;
    skua_selection selection;
    skua_op waits[PERMITS];
    skua_sleep_op nap, patience;
    skua_op *arms[PERMITS + 1];
    int round;
};
SKUA_ASYNC(user)
{
    SKUA_BEGIN(self);
    for (self->round = 0; self->round < ROUNDS; self->round++) {
        for (int i = 0; i < PERMITS; i++)
            self->arms[i] = skua_event_wait_prepare(&self->waits[i], &self->in.all->permits[i]);
        self->arms[PERMITS] = skua_sleep_prepare(&self->patience, 3 * SKUA_US);
        SKUA_AWAIT(skua_select_start(&self->selection, self->arms, PERMITS + 1));
        if (SKUA_RESULT(&self->selection) < 0)
            SKUA_RETURN(SKUA_RESULT(&self->selection));
        if (SKUA_RESULT(&self->selection) == PERMITS)
            continue;
        self->in.all->in_use++;
        SKUA_AWAIT(skua_sleep_start(&self->nap, 2 * SKUA_US));
        use(self->in.all, SKUA_RESULT(&self->selection), self->nap.result < 0);
    }
    SKUA_END(0);
}

static void permits_init(struct permits *all)
{
    *all = (struct permits){ .in_use = 0 };
    for (int i = 0; i < PERMITS; i++) {
        skua_event_init(&all->permits[i], SKUA_EVENT_AUTO);
        skua_event_set(&all->permits[i]);
    }
}

static void check_permits(void *arg)
{
    struct permits *all = arg;
    CHECK_EQ(all->in_use, 0);
    for (int i = 0; i < PERMITS; i++) {
        CHECK(skua_event_is_set(&all->permits[i]));
        CHECK(all->permits[i].waiters.first == NULL);
    }
}

static int permits_of_fibers(void *arg)
{
    skua_task *tasks[USERS];
    permits_init(arg);
    for (int i = 0; i < USERS; i++)
        CHECK_OK(skua_spawn(&tasks[i], uses, arg));
    for (int i = 0; i < USERS; i++)
        end_or_join(tasks[i]);
    return 0;
}
TEST(permits_of_fibers_that_select)
{
    struct permits all;
    cancel_everywhere(permits_of_fibers, check_permits, &all);
}

static int permits_of_futures(void *arg)
{
    skua_task *tasks[USERS];
    permits_init(arg);
    for (int i = 0; i < USERS; i++)
        CHECK_OK(SKUA_SPAWN(&tasks[i], user, .all = arg));
    for (int i = 0; i < USERS; i++)
        end_or_join(tasks[i]);
    return 0;
}
TEST(permits_of_futures_that_select)
{
    struct permits all;
    cancel_everywhere(permits_of_futures, check_permits, &all);
}

/* Sets of both, one in the other. */
struct users {
    SKUA_FRAME;
    struct {
        struct permits *all;
    } in;
    struct user futures[2];
    skua_child kids[2];
    skua_set set;
};
SKUA_ASYNC(users)
{
    SKUA_BEGIN(self);
    for (int i = 0; i < 2; i++)
        skua_child_future(&self->kids[i], SKUA_FUTURE(&self->futures[i], user, .all = self->in.all));
    SKUA_AWAIT(skua_race_start(&self->set, self->kids, 2));
    SKUA_END(SKUA_RESULT(&self->set));
}

static int permits_of_sets(void *arg)
{
    struct users race;
    struct user future;
    skua_child kids[3];
    skua_task *task;
    permits_init(arg);
    CHECK_OK(skua_spawn(&task, uses, arg));
    skua_child_task(&kids[0], task);
    skua_child_future(&kids[1], SKUA_FUTURE(&future, user, .all = arg));
    skua_child_future(&kids[2], SKUA_FUTURE(&race, users, .all = arg));
    (void)skua_join_all(kids, 3);
    for (int i = 0; i < 3; i++)
        CHECK(kids[i].ended);
    CHECK_OK(skua_spawn(&task, uses, arg));
    skua_child_task(&kids[0], task);
    skua_child_future(&kids[1], SKUA_FUTURE(&future, user, .all = arg));
    (void)skua_any(kids, 2);
    return 0;
}
TEST(permits_of_sets)
{
    struct permits all;
    cancel_everywhere(permits_of_sets, check_permits, &all);
}

/* ---- scopes ------------------------------------------------------------------------------------------------------ */

struct scopes {
    skua_event lock;      /* set: it is free */
    int held, last_words; /* how many tasks had the lock, and what those left behind that were shielded */
};

static int takes_lock(void *arg)
{
    struct scopes *all = arg;
    for (int round = 0; round < 2; round++) {
        {
            SKUA_DEADLINE(4 * SKUA_US);
            int rc = skua_event_wait(&all->lock);
            if (rc == -ETIMEDOUT)
                continue;
            if (rc < 0)
                return rc;
        }
        all->held++;
        (void)skua_sleep(3 * SKUA_US);
        SKUA_SHIELD();
        CHECK_OK(skua_sleep(SKUA_US)); /* not even a cancellation ends this one */
        all->last_words++;
        {
            SKUA_DEADLINE(SKUA_US);
            CHECK_EQ(skua_sleep(SKUA_S), -ETIMEDOUT);
        }
        skua_event_set(&all->lock);
    }
    return 0;
}

static int scopes(void *arg)
{
    struct scopes *all = arg;
    skua_task *tasks[3];
    *all = (struct scopes){ .held = 0 };
    skua_event_init(&all->lock, SKUA_EVENT_AUTO);
    skua_event_set(&all->lock);
    for (int i = 0; i < 3; i++)
        CHECK_OK(skua_spawn(&tasks[i], takes_lock, arg));
    for (int i = 0; i < 3; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_scopes(void *arg)
{
    struct scopes *all = arg;
    CHECK_EQ(all->held, all->last_words);
    CHECK(skua_event_is_set(&all->lock));
    CHECK(all->lock.waiters.first == NULL);
}

TEST(scopes_and_a_lock)
{
    struct scopes all;
    cancel_everywhere(scopes, check_scopes, &all);
}

/* ---- handles ----------------------------------------------------------------------------------------------------- */

struct handles {
    int started, ended;
};

static int short_task(void *arg)
{
    struct handles *all = arg;
    int rc = skua_sleep(2 * SKUA_US);
    all->ended++;
    return rc < 0 ? rc : 7;
}

/* Of each two handles that an arm may use up, exactly the one that was joined is. */
static int joins(void *arg)
{
    struct handles *all = arg;
    skua_task *tasks[2], *left;
    skua_join_op ops[2];
    int64_t result;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(skua_spawn(&tasks[i], short_task, all));
        all->started++;
    }
    int64_t first = SKUA_SELECT(skua_join_prepare(&ops[0], tasks[0]), skua_join_prepare(&ops[1], tasks[1]));
    if (first < 0) {
        end_task(tasks[0]);
        end_task(tasks[1]);
        return (int)first;
    }
    CHECK(ops[first].value == 7 || ops[first].value == -ECANCELED);
    left = tasks[1 - first];
    if (skua_join(left, &result) < 0)
        result = end_task(left);
    CHECK(result == 7 || result == -ECANCELED);
    return 0;
}

static int handles(void *arg)
{
    struct handles *all = arg;
    skua_task *tasks[2];
    *all = (struct handles){ 0, 0 };
    for (int i = 0; i < 2; i++)
        CHECK_OK(skua_spawn(&tasks[i], joins, all));
    for (int i = 0; i < 2; i++)
        end_or_join(tasks[i]);
    return 0;
}

static void check_handles(void *arg)
{
    struct handles *all = arg;
    CHECK_EQ(all->started, all->ended);
}

TEST(handles_as_arms)
{
    struct handles all;
    cancel_everywhere(handles, check_handles, &all);
}

/* ---- random trees ------------------------------------------------------------------------------------------------ */

struct tree {
    struct random_tasks all;
    struct random_task root;
};

static int tree(void *arg)
{
    struct tree *tree = arg;
    tree->all = (struct random_tasks){ 0, 0, 0 };
    tree->root = (struct random_task){ &tree->all, skua_random(), 1 };
    return random_root(&tree->root);
}

static void check_tree(void *arg) { check_random_tasks(&((struct tree *)arg)->all); }

TEST(random_trees)
{
    struct tree all;
    cancel_everywhere(tree, check_tree, &all);
}
