/* The timer wheel against a list that is searched from end to end, and at its edges. */
#include "sched/timer_wheel.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "sched/env.h"
#include "support/test.h"

enum { MODEL_TIMERS = 400, MODEL_STEPS = 40000, MANY = 1000000 };

static struct skuai_wheel *wheel_create(uint64_t now_ns)
{
    struct skuai_wheel *wheel = aligned_alloc(SKUAI_CACHE_LINE, sizeof *wheel);
    CHECK(wheel != NULL);
    skuai_wheel_init(wheel, now_ns);
    return wheel;
}

/* All that is due at now_ns, over as many calls as it takes. */
static uint64_t expire_all(struct skuai_wheel *wheel, uint64_t now_ns, struct skuai_timer_list *list)
{
    uint64_t count = 0;
    do
        count += skuai_wheel_expire_locked(wheel, now_ns, list, UINT32_MAX);
    while (skuai_wheel_next_ns_locked(wheel) <= now_ns);
    return count;
}

/* The reference. */
struct model {
    struct skuai_wheel *wheel;
    uint64_t now_ns, random, arming;
    uint32_t armed;
    struct {
        struct skuai_timer timer;
        uint64_t arming;
        bool armed, was_past;
    } timers[MODEL_TIMERS];
};

static uint64_t some_deadline(struct model *model)
{
    uint64_t any = skuai_random_next(&model->random);
    switch (skuai_random_below(&model->random, 10)) {
    case 0: return model->now_ns - (any & 1023);                          /* past */
    case 1: return model->now_ns + 1000 + (any & 3);                      /* many of the same */
    case 2: return UINT64_MAX;
    case 3: {                                                             /* around a slot's edge */
        uint32_t shift = 6 * (1 + skuai_random_below(&model->random, 8));
        return (((model->now_ns >> shift) + 1 + (any & 1)) << shift) + (any >> 60) - 8;
    }
    case 4: case 5: case 6: return model->now_ns + (any & 0xfffff);
    default: return model->now_ns + (any >> (8 + skuai_random_below(&model->random, 56)));
    }
}

static void model_arm(struct model *model, uint32_t i)
{
    uint64_t deadline_ns = some_deadline(model);
    uint64_t next_ns = skuai_wheel_next_ns(model->wheel);
    bool lowered = skuai_wheel_rearm_locked(model->wheel, &model->timers[i].timer, deadline_ns);
    CHECK_EQ(lowered, deadline_ns < next_ns);
    model->armed += !model->timers[i].armed;
    model->timers[i].armed = true;
    model->timers[i].was_past = deadline_ns <= model->now_ns;
    model->timers[i].arming = model->arming++;
}

static bool model_cancel(struct model *model, uint32_t i)
{
    bool was_armed = skuai_wheel_cancel_locked(&model->timers[i].timer);
    CHECK_EQ(was_armed, model->timers[i].armed);
    model->armed -= was_armed;
    model->timers[i].armed = false;
    return was_armed;
}

static uint64_t model_earliest(const struct model *model)
{
    uint64_t earliest = UINT64_MAX;
    for (uint32_t i = 0; i < MODEL_TIMERS; i++)
        if (model->timers[i].armed && model->timers[i].timer.deadline_ns < earliest)
            earliest = model->timers[i].timer.deadline_ns;
    return earliest;
}

/* `popped` was due and nothing that is still armed should have come before it. */
static void model_pop(struct model *model, struct skuai_timer *popped)
{
    uint32_t index = (uint32_t)(((char *)popped - (char *)&model->timers[0]) / (ptrdiff_t)sizeof model->timers[0]);
    CHECK(model->timers[index].armed && popped->deadline_ns <= model->now_ns);
    model->timers[index].armed = false;
    model->armed--;
    if (model->timers[index].was_past)
        return;
    for (uint32_t i = 0; i < MODEL_TIMERS; i++) {
        if (!model->timers[i].armed || model->timers[i].was_past)
            continue;
        uint64_t other_ns = model->timers[i].timer.deadline_ns;
        CHECK(other_ns > popped->deadline_ns ||
              (other_ns == popped->deadline_ns && model->timers[i].arming > model->timers[index].arming));
    }
}

static void model_expire(struct model *model, uint32_t max)
{
    struct skuai_timer_list list = {0};
    uint32_t count = skuai_wheel_expire_locked(model->wheel, model->now_ns, &list, max);
    CHECK(count <= max);
    for (struct skuai_timer *timer = list.first, *next; timer != NULL; timer = next, count--) {
        next = timer->next;
        CHECK(next != NULL || timer == list.last);
        model_pop(model, timer);
    }
    CHECK_EQ(count, 0);
}

static void model_advance(struct model *model)
{
    switch (skuai_random_below(&model->random, 8)) {
    case 0: model->now_ns += skuai_random_next(&model->random) >> (24 + skuai_random_below(&model->random, 40)); break;
    case 1: case 2: { /* exactly to the next, as a simulation does */
        uint64_t next_ns = skuai_wheel_next_ns_locked(model->wheel);
        if (next_ns != UINT64_MAX && next_ns > model->now_ns)
            model->now_ns = next_ns;
        break;
    }
    case 3: (void)skuai_wheel_expire_locked(model->wheel, model->now_ns >> 1, &(struct skuai_timer_list){0}, 0); break;
    default: model->now_ns += skuai_random_below(&model->random, 2000); break;
    }
}

static void model_check_next(struct model *model)
{
    uint64_t next_ns = skuai_wheel_next_ns_locked(model->wheel), earliest_ns = model_earliest(model);
    CHECK_EQ(model->wheel->armed, model->armed);
    CHECK(skuai_wheel_next_ns(model->wheel) == next_ns);
    if (earliest_ns > model->now_ns)
        CHECK(next_ns <= earliest_ns);
    else
        CHECK(next_ns <= model->now_ns);
    if (model->armed <= SKUAI_WHEEL_SEARCH_MAX && earliest_ns > model->now_ns)
        CHECK(next_ns == earliest_ns);
}

static void run_model(uint64_t seed, uint32_t timers)
{
    struct model *model = calloc(1, sizeof *model);
    CHECK(model != NULL);
    model->random = seed;
    model->now_ns = seed * UINT64_C(1000000007);
    model->wheel = wheel_create(model->now_ns);
    for (uint32_t step = 0; step < MODEL_STEPS; step++) {
        uint32_t i = skuai_random_below(&model->random, timers), choice = skuai_random_below(&model->random, 16);
        if (choice < 9) {
            model_arm(model, i);
        } else if (choice < 12) {
            (void)model_cancel(model, i);
        } else {
            model_advance(model);
            model_expire(model, choice == 12 ? 3 : UINT32_MAX);
        }
        if (step % 16 == 0)
            model_check_next(model);
        if (model->now_ns >> 62 != 0) /* far enough */
            break;
    }
    while (model_earliest(model) != UINT64_MAX) { /* jump to the end of time: all but "never" expires */
        model->now_ns = UINT64_MAX;
        for (uint32_t i = 0; i < timers; i++)
            if (model->timers[i].timer.deadline_ns == UINT64_MAX)
                (void)model_cancel(model, i);
        model_expire(model, UINT32_MAX);
    }
    CHECK_EQ(model->armed, 0);
    CHECK(skuai_wheel_next_ns_locked(model->wheel) == UINT64_MAX);
    free(model->wheel);
    free(model);
}

TEST(wheel_agrees_with_a_sorted_list)
{
    for (uint64_t seed = 1; seed <= 12; seed++)
        run_model(seed, seed % 3 == 0 ? 5 : seed % 3 == 1 ? 60 : MODEL_TIMERS);
}

TEST(wheel_expires_neither_early_nor_late)
{
    struct skuai_wheel *wheel = wheel_create(7);
    for (uint32_t bit = 0; bit < 64; bit++) { /* one timer to either side of, and at, each power of two */
        struct skuai_timer timers[3] = {0};
        uint64_t middle_ns = (UINT64_C(1) << bit) + wheel->seen_ns;
        if (middle_ns < wheel->seen_ns || middle_ns >= UINT64_MAX - 1)
            break;
        for (uint32_t i = 0; i < 3; i++)
            (void)skuai_wheel_arm_locked(wheel, &timers[2 - i], middle_ns + 1 - i);
        for (uint32_t i = 0; i < 3; i++) {
            struct skuai_timer_list list = {0};
            uint64_t due_ns = timers[i].deadline_ns;
            CHECK(skuai_wheel_next_ns_locked(wheel) == due_ns || due_ns <= wheel->seen_ns);
            if (due_ns > wheel->seen_ns)
                CHECK_EQ(skuai_wheel_expire_locked(wheel, due_ns - 1, &list, 9), 0);
            CHECK_EQ(skuai_wheel_expire_locked(wheel, due_ns, &list, 1), 1);
            CHECK(list.first == &timers[i] && list.last == &timers[i]);
            CHECK(!skuai_wheel_cancel_locked(&timers[i]));
        }
    }
    CHECK_EQ(wheel->armed, 0);
    free(wheel);
}

TEST(wheel_never_and_past_deadlines)
{
    struct skuai_wheel *wheel = wheel_create(1000);
    struct skuai_timer never = {0}, past = {0}, zero = {0};
    struct skuai_timer_list list = {0};
    CHECK(!skuai_wheel_arm_locked(wheel, &never, UINT64_MAX));
    CHECK(skuai_wheel_next_ns(wheel) == UINT64_MAX);
    CHECK(skuai_wheel_arm_locked(wheel, &past, 999));
    CHECK(skuai_wheel_arm_locked(wheel, &zero, 0));
    CHECK(skuai_wheel_next_ns(wheel) == 0);
    CHECK_EQ(skuai_wheel_expire_locked(wheel, 1, &list, 9), 2); /* a time that went backwards counts as 1000 */
    CHECK(list.first == &past && past.next == &zero && zero.next == NULL);
    CHECK_EQ(skuai_wheel_expire_locked(wheel, UINT64_MAX, &list, 9), 0);
    CHECK(skuai_timer_is_armed_locked(&never) && !skuai_timer_is_armed_locked(&past));
    CHECK(skuai_wheel_cancel_locked(&never));
    free(wheel);
}

TEST(wheel_next_is_lowered_by_arm_and_raised_by_cancel)
{
    struct skuai_wheel *wheel = wheel_create(0);
    struct skuai_timer a = {0}, b = {0};
    CHECK(skuai_wheel_arm_locked(wheel, &a, 500000));
    CHECK(!skuai_wheel_arm_locked(wheel, &b, 600000));
    CHECK(skuai_wheel_rearm_locked(wheel, &b, 400000));
    CHECK_EQ(skuai_wheel_next_ns(wheel), 400000);
    CHECK(skuai_wheel_cancel_locked(&b));
    CHECK(skuai_wheel_next_ns(wheel) <= 500000);
    CHECK_EQ(skuai_wheel_next_ns_locked(wheel), 500000);
    CHECK_EQ(skuai_wheel_next_ns(wheel), 500000);
    CHECK(skuai_wheel_cancel_locked(&a));
    CHECK(skuai_wheel_next_ns_locked(wheel) == UINT64_MAX);
    free(wheel);
}

/* Arms a million over a second and lets time pass in uneven steps. */
TEST(wheel_a_million_timers)
{
    struct skuai_wheel *wheel = wheel_create(5000);
    struct skuai_timer *timers = calloc(MANY, sizeof *timers);
    CHECK(timers != NULL);
    uint64_t random = 1, now_ns = 5000, expired = 0, cancelled = 0, last_ns = 0;
    for (uint32_t i = 0; i < MANY; i++)
        (void)skuai_wheel_arm_locked(wheel, &timers[i], now_ns + 1000000 + skuai_random_below(&random, 1000000000));
    for (uint32_t i = 0; i < MANY; i += 7)
        cancelled += skuai_wheel_cancel_locked(&timers[i]);
    while (wheel->armed != 0) {
        struct skuai_timer_list list = {0};
        now_ns += skuai_random_below(&random, 200000);
        expired += expire_all(wheel, now_ns, &list);
        for (struct skuai_timer *timer = list.first; timer != NULL; timer = timer->next) {
            CHECK(timer->deadline_ns >= last_ns && timer->deadline_ns <= now_ns);
            last_ns = timer->deadline_ns;
        }
    }
    CHECK_EQ(expired + cancelled, MANY);
    free(timers);
    free(wheel);
}

/* A slot that holds very many is opened in steps, in order, and can be armed into and cancelled from meanwhile. */
TEST(wheel_opens_a_crowded_slot_in_steps)
{
    enum { CROWD = 10 * SKUAI_WHEEL_OPEN_MAX };
    struct skuai_wheel *wheel = wheel_create(0);
    struct skuai_timer *timers = calloc(2 * CROWD, sizeof *timers);
    CHECK(timers != NULL);
    const uint64_t due_ns = 3 * UINT64_C(64) * 64 * 64 + 777;
    struct skuai_timer_list list = {0};
    uint32_t armed = 0, calls = 0, fetched = 0;
    uint64_t count = 0;
    for (; armed < CROWD; armed++)
        (void)skuai_wheel_arm_locked(wheel, &timers[armed], due_ns);
    CHECK(skuai_wheel_next_ns_locked(wheel) <= due_ns);
    do {
        count += skuai_wheel_expire_locked(wheel, due_ns, &list, 100);
        if (calls < 5) {
            (void)skuai_wheel_arm_locked(wheel, &timers[armed++], due_ns);
            struct skuai_timer *gone = &timers[CROWD - 1 - calls];
            if (wheel->fetched != NULL) /* at the first call */
                gone = (struct skuai_timer *)(uintptr_t)wheel->fetched;
            CHECK(skuai_wheel_cancel_locked(gone));
            memset(gone, 0xff, sizeof *gone); /* it is somebody else's memory now */
            fetched += gone < &timers[CROWD - 5];
        }
        calls++;
    } while (skuai_wheel_next_ns_locked(wheel) <= due_ns);
    CHECK_EQ(count, CROWD);
    CHECK(calls > 10);
    CHECK_EQ(fetched, 1);
    const struct skuai_timer *before = NULL;
    for (struct skuai_timer *timer = list.first; timer != NULL; before = timer, timer = timer->next)
        CHECK(before == NULL || before < timer); /* the order of arming is that of the array */
    CHECK(list.last == &timers[armed - 1]);
    free(timers);
    free(wheel);
}

TEST(wheel_forgets_an_opened_slot_that_empties)
{
    enum { CROWD = 3 * SKUAI_WHEEL_OPEN_MAX };
    struct skuai_wheel *wheel = wheel_create(0);
    struct skuai_timer *timers = calloc(CROWD, sizeof *timers);
    CHECK(timers != NULL);
    struct skuai_timer_list list = {0};
    for (uint32_t i = 0; i < CROWD; i++)
        (void)skuai_wheel_arm_locked(wheel, &timers[i], 5 * 64 * 64 + 700 + i % 2);
    CHECK_EQ(skuai_wheel_expire_locked(wheel, 5 * 64 * 64, &list, 1), 0);
    CHECK(wheel->opening != 0);
    for (uint32_t i = 0; i < CROWD; i++)
        CHECK(skuai_wheel_cancel_locked(&timers[i]));
    CHECK(skuai_wheel_next_ns_locked(wheel) == UINT64_MAX);
    CHECK_EQ(skuai_wheel_expire_locked(wheel, 6 * 64 * 64, &list, 1), 0);
    CHECK(skuai_wheel_arm_locked(wheel, &timers[0], 7 * 64 * 64));
    CHECK_EQ(skuai_wheel_expire_locked(wheel, 7 * 64 * 64, &list, 1), 1);
    free(timers);
    free(wheel);
}

/* Days of suspension with timers at all distances: as many steps as there are timers, not ticks. */
TEST(wheel_jumps_over_years)
{
    struct skuai_wheel *wheel = wheel_create(123456789);
    struct skuai_timer timers[500] = {0};
    for (uint64_t i = 0; i < 500; i++)
        (void)skuai_wheel_arm_locked(wheel, &timers[i], wheel->seen_ns + i * i * i * i * UINT64_C(1000000));
    struct skuai_timer_list list = {0};
    CHECK_EQ(expire_all(wheel, UINT64_MAX / 2, &list), 500);
    uint32_t i = 0;
    for (struct skuai_timer *timer = list.first; timer != NULL; timer = timer->next)
        CHECK(timer == &timers[i++]);
    CHECK(skuai_wheel_arm_locked(wheel, &timers[0], wheel->seen_ns + 5));
    CHECK(skuai_wheel_next_ns(wheel) == UINT64_MAX / 2 + 5);
    CHECK(skuai_wheel_cancel_locked(&timers[0]));
    free(wheel);
}

/* Owners arm and cancel on one wheel from several threads while all of them expire: each armed timer ends once. */
struct party {
    struct skuai_wheel *wheel;
    skua_word64 *clock;
    skua_word64 *ended; /* expired by anybody or cancelled */
    uint64_t random, armed;
};

static void *take_part(void *arg)
{
    struct party *party = arg;
    struct skuai_timer timers[16] = {0};
    for (uint32_t step = 0; step < 20000; step++) {
        bool last = step >= 20000 - 16;
        struct skuai_timer *timer = &timers[step % 16];
        uint64_t now_ns = skuai_add_64(party->clock, 10, SKUAI_RELAXED); /* a clock; publishes nothing */
        struct skuai_timer_list list = {0};
        skuai_lock_acquire(&party->wheel->lock);
        uint64_t ended = skuai_wheel_cancel_locked(timer);
        if (!last) {
            (void)skuai_wheel_arm_locked(party->wheel, timer, now_ns + skuai_random_below(&party->random, 5000));
            party->armed++;
        }
        ended += skuai_wheel_expire_locked(party->wheel, now_ns, &list, 4);
        skuai_lock_release(&party->wheel->lock);
        skuai_add_64(party->ended, ended, SKUAI_RELAXED); /* a count; read after the threads' end */
    }
    return NULL;
}

TEST(wheel_is_shared_under_its_lock)
{
    struct skuai_wheel *wheel = wheel_create(0);
    skua_word64 clock = {0}, ended = {0};
    struct party parties[4];
    pthread_t threads[4];
    uint64_t armed = 0;
    for (uint64_t i = 0; i < 4; i++) {
        parties[i] = (struct party){.wheel = wheel, .clock = &clock, .ended = &ended, .random = i};
        CHECK_EQ(pthread_create(&threads[i], NULL, take_part, &parties[i]), 0);
    }
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        armed += parties[i].armed;
    }
    CHECK_EQ(skuai_load_64(&ended, SKUAI_RELAXED), armed); /* ordered by the joins */
    CHECK_EQ(wheel->armed, 0);
    CHECK(!skuai_lock_is_held(&wheel->lock) && skuai_lock_try(&wheel->lock) && !skuai_lock_try(&wheel->lock));
    skuai_lock_release(&wheel->lock);
    free(wheel);
}
