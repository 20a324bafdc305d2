/* Oneshots: the value gets to the receiver, or stays with who has it; both kinds of memory. */
#include <errno.h>
#include <string.h>

#include "skua/oneshot.h"
#include "support/crowd.h"

static int ends(void *arg)
{
    (void)arg;
    int in = 5, out = 0, place;
    skua_oneshot o = SKUA_ONESHOT_INIT(&place, sizeof place), *h;
    CHECK_EQ(skua_oneshot_try_receive(&o, &out), -EAGAIN);
    CHECK_EQ(skua_oneshot_receive_until(&o, &out, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_oneshot_try_unwanted(&o), -EAGAIN);
    CHECK_EQ(skua_oneshot_send(&o, &in), 0);
    CHECK_EQ(skua_oneshot_receive(&o, &out), 1);
    CHECK_EQ(out, 5);
    CHECK_EQ(skua_oneshot_receive(&o, &out), 0);

    CHECK_OK(skua_oneshot_create(&h, sizeof in)); /* sent, handed over by the close */
    CHECK_EQ(skua_oneshot_send(h, &in), 0);
    out = 0;
    CHECK_EQ(skua_oneshot_close_receiver(h, &out), 1);
    CHECK_EQ(out, 5);

    CHECK_OK(skua_oneshot_create(&h, sizeof in)); /* sent, received, closed */
    CHECK_EQ(skua_oneshot_send(h, &in), 0);
    CHECK_EQ(skua_oneshot_receive_until(h, &out, 0), 1);
    CHECK_EQ(skua_oneshot_close_receiver(h, NULL), 0);

    CHECK_OK(skua_oneshot_create(&h, sizeof in)); /* not wanted */
    CHECK_EQ(skua_oneshot_unwanted_until(h, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK_EQ(skua_oneshot_close_receiver(h, NULL), 0);
    CHECK_EQ(skua_oneshot_try_unwanted(h), 0);
    CHECK_EQ(skua_oneshot_unwanted(h), 0);
    CHECK_EQ(skua_oneshot_send(h, &in), -EPIPE);

    CHECK_OK(skua_oneshot_create(&h, sizeof in)); /* not sent */
    skua_oneshot_close_sender(h);
    CHECK_EQ(skua_oneshot_receive(h, &out), 0);
    CHECK_EQ(skua_oneshot_close_receiver(h, &out), 0);

    CHECK_OK(skua_oneshot_create(&h, 0)); /* no bytes, only the fact */
    CHECK_EQ(skua_oneshot_send(h, NULL), 0);
    CHECK_EQ(skua_oneshot_receive(h, NULL), 1);
    CHECK_EQ(skua_oneshot_close_receiver(h, NULL), 0);
    CHECK_EQ(skua_oneshot_create(&h, SIZE_MAX), -ENOMEM);

    skua_oneshot_init(&o, &place, sizeof place);
    CHECK_EQ(skua_oneshot_send(&o, &in), 0);
    skua_cancel(skua_self());
    CHECK_EQ(skua_oneshot_receive(&o, &out), -ECANCELED);
    CHECK_EQ(skua_oneshot_try_receive(&o, &place), 1); /* it was still there, and may stay where it was */
    CHECK_EQ(place, 5);
    return 0;
}
TEST(both_ends) { run_everywhere(ends, NULL); }

static void sends_twice(void *arg)
{
    (void)skua_oneshot_send(arg, NULL);
    (void)skua_oneshot_send(arg, NULL);
}
static void closes_twice(void *arg)
{
    (void)skua_oneshot_close_receiver(arg, NULL);
    (void)skua_oneshot_close_receiver(arg, NULL);
}
TEST(an_end_is_used_up_once)
{
    skua_oneshot o = SKUA_ONESHOT_INIT(NULL, 0);
    test_expect_abort(sends_twice, &o, "skua_oneshot_send");
    test_expect_abort(closes_twice, &o, "skua_oneshot_close_receiver");
}

/* ---- requests and replies ---- */

struct request {
    uint64_t number;
    skua_oneshot *answer;
};
struct post {
    struct request *request; /* __atomic; one at a time */
    uint64_t rounds, answered, refused, dropped, received;
    int over;
};

/* Answers, in a big value, or drops the request. */
struct answer {
    uint64_t number, words[5];
};
static void answers(void *arg, unsigned who)
{
    struct post *post = arg;
    (void)who;
    while (!__atomic_load_n(&post->over, __ATOMIC_ACQUIRE)) {
        struct request *request = __atomic_exchange_n(&post->request, NULL, __ATOMIC_ACQ_REL);
        if (request == NULL) {
            skua_yield();
            continue;
        }
        skua_oneshot *o = request->answer;
        struct answer answer = { request->number, { request->number + 1 } };
        if (answer.number % 8 == 0)
            skua_yield();
        if (answer.number % 5 == 0) {
            skua_oneshot_close_sender(o);
            __atomic_add_fetch(&post->dropped, 1, __ATOMIC_RELAXED);
        } else {
            int rc = skua_oneshot_send(o, &answer);
            CHECK(rc == 0 || rc == -EPIPE);
            __atomic_add_fetch(rc == 0 ? &post->answered : &post->refused, 1, __ATOMIC_RELAXED);
        }
    }
}

static void ask(struct post *post, struct request *request)
{
    struct request *none = NULL;
    while (!__atomic_compare_exchange_n(&post->request, &none, request, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
        none = NULL;
        skua_yield();
    }
}

static void check_answer(const struct answer *answer, uint64_t number)
{
    CHECK_EQ(answer->number, number);
    CHECK_EQ(answer->words[0], number + 1);
}

static uint64_t asks_on_the_stack(struct post *post, uint64_t number)
{
    struct answer place, answer;
    skua_oneshot o = SKUA_ONESHOT_INIT(&place, sizeof place);
    struct request request = { number, &o };
    ask(post, &request);
    int rc = skua_oneshot_receive(&o, &answer);
    CHECK_EQ(rc, number % 5 != 0);
    if (rc == 1)
        check_answer(&answer, number);
    CHECK_EQ(o.lock.raw, 0);
    memset(&o, 0xff, sizeof o);
    return rc == 1;
}

static uint64_t asks_on_the_heap(struct post *post, uint64_t number)
{
    struct answer answer;
    struct request request = { number, NULL };
    CHECK_OK(skua_oneshot_create(&request.answer, sizeof answer));
    skua_oneshot *o = request.answer;
    ask(post, &request);
    int rc = skua_oneshot_receive_until(o, &answer, skua_after(number % 3000));
    CHECK(rc == 1 || rc == 0 || rc == -ETIMEDOUT);
    if (rc == -ETIMEDOUT) /* the request is on our stack, and read when it is answered */
        rc = skua_oneshot_receive(o, &answer);
    if (rc == 1)
        check_answer(&answer, number);
    CHECK_EQ(skua_oneshot_close_receiver(o, &answer), 0);
    return rc == 1;
}

static void asks(void *arg, unsigned who)
{
    struct post *post = arg;
    uint64_t received = 0;
    if (who == 1) {
        answers(arg, who);
        return;
    }
    for (uint64_t i = 0; i < post->rounds; i++)
        received += i % 2 ? asks_on_the_stack(post, i) : asks_on_the_heap(post, i);
    post->received = received;
    __atomic_store_n(&post->over, 1, __ATOMIC_RELEASE);
}

static void check_post(const struct post *post)
{
    CHECK_EQ(post->answered + post->dropped, post->rounds);
    CHECK_EQ(post->received, post->answered);
    CHECK_EQ(post->refused, 0);
}

static int replies(void *arg)
{
    (void)arg;
    struct post post = { .rounds = test_scaled(200) };
    crowd_of_fibers(2, asks, &post);
    check_post(&post);
    return 0;
}
TEST(replies) { run_everywhere(replies, NULL); }
TEST(replies_to_and_from_plain_threads)
{
    struct post post = { .rounds = test_scaled(3000) };
    crowd_of_all(2, 1, 1, asks, &post); /* the asker a fiber, the answerer a thread */
    check_post(&post);
}

/* ---- racing ends: the value is with exactly one ---- */

struct race {
    skua_oneshot *o;
    int sent;
};
static int sends(void *arg)
{
    struct race *race = arg;
    int value = 9;
    race->sent = skua_oneshot_send(race->o, &value);
    return 0;
}
static int leaves(void *arg)
{
    struct race *race = arg;
    int value = 0, rc = skua_oneshot_receive(race->o, &value);
    CHECK(rc == 1 || rc == -ECANCELED);
    rc = skua_oneshot_close_receiver(race->o, &value) == 1 || rc == 1;
    CHECK_EQ(value, rc ? 9 : 0);
    return rc;
}
static int races(void *arg)
{
    (void)arg;
    uint64_t random = test_seed();
    for (uint64_t i = 0; i < test_scaled(200); i++) {
        struct race race = { NULL, 1 };
        skua_task *sender, *receiver;
        int64_t received;
        CHECK_OK(skua_oneshot_create(&race.o, sizeof(int)));
        CHECK_OK(skua_spawn(&receiver, leaves, &race));
        if (test_rand(&random) % 2)
            skua_yield();
        CHECK_OK(skua_spawn(&sender, sends, &race));
        skua_cancel(receiver);
        CHECK_OK(skua_join(receiver, &received));
        CHECK_OK(skua_join(sender, NULL));
        CHECK_EQ(race.sent, received ? 0 : -EPIPE);
    }
    return 0;
}
TEST(sent_while_the_receiver_leaves) { run_everywhere(races, NULL); }

static int waits_unwanted(void *arg)
{
    int rc = skua_oneshot_unwanted(arg);
    skua_oneshot_close_sender(arg);
    return rc;
}
static int unwanted(void *arg)
{
    (void)arg;
    skua_oneshot *o;
    skua_task *task;
    skua_op op;
    int64_t result;
    CHECK_OK(skua_oneshot_create(&o, 4));
    CHECK_OK(skua_spawn(&task, waits_unwanted, o));
    while (__atomic_load_n(&o->sender, __ATOMIC_RELAXED) == NULL)
        skua_yield();
    CHECK_EQ(skua_await(skua_oneshot_unwanted_start(&op, o)), -EBUSY);
    CHECK_EQ(skua_oneshot_close_receiver(o, NULL), 0);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 0);
    return 0;
}
TEST(told_that_nobody_wants_it) { run_everywhere(unwanted, NULL); }

/* ---- arms and futures ---- */

struct receives {
    SKUA_FRAME;
    struct {
        skua_oneshot *o;
    } in;
    skua_oneshot_op receive;
    int value;
};
SKUA_ASYNC(receives)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_oneshot_receive_start(&self->receive, self->in.o, &self->value));
    SKUA_END(self->receive.result == 1 ? self->value : self->receive.result);
}

static int arms(void *arg)
{
    (void)arg;
    int in = 3, out[2] = { 0, 0 }, places[2];
    skua_oneshot o[2] = { SKUA_ONESHOT_INIT(&places[0], sizeof in), SKUA_ONESHOT_INIT(&places[1], sizeof in) };
    skua_oneshot_op ops[2];
    skua_op *both[] = { skua_oneshot_receive_prepare(&ops[0], &o[0], &out[0]),
                        skua_oneshot_receive_prepare(&ops[1], &o[1], &out[1]) };
    skua_task *task;
    int64_t result;
    CHECK_EQ(skua_select_try(both, 2), -EAGAIN);
    CHECK_EQ(skua_select_until(both, 2, skua_after(SKUA_MS)), -ETIMEDOUT);
    CHECK(o[0].receiver == NULL && o[1].receiver == NULL);
    CHECK_EQ(skua_oneshot_send(&o[1], &in), 0);
    CHECK_EQ(skua_select(both, 2), 1);
    CHECK(ops[1].result == 1 && out[1] == 3 && out[0] == 0);
    skua_oneshot_init(&o[1], &places[1], sizeof in);
    CHECK_OK(SKUA_SPAWN(&task, receives, .o = &o[1]));
    skua_yield();
    CHECK_EQ(skua_oneshot_send(&o[1], &in), 0);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, 3);
    CHECK_OK(SKUA_SPAWN(&task, receives, .o = &o[0]));
    skua_cancel(task);
    CHECK_OK(skua_join(task, &result));
    CHECK_EQ(result, -ECANCELED);
    skua_oneshot_close_sender(&o[0]);
    CHECK_EQ(skua_select(both, 1), 0);
    CHECK_EQ(ops[0].result, 0);
    return 0;
}
TEST(arms_and_futures) { run_everywhere(arms, NULL); }
