/* Cancel everywhere: groups. Whatever is cancelled, a wait comes back when all members have ended, and each is counted
 * once. */
#include "support/cancel_everywhere.h"

#include "skua/group.h"

enum { MEMBERS = 5 };

struct crew {
    uint32_t flags, limit;
    int begun, ended, started, taken, failing;
    int results[MEMBERS + 1]; /* how often each was taken */
};

struct hand {
    struct crew *crew;
    int i;
};

static int works(void *arg)
{
    struct hand *hand = arg;
    hand->crew->begun++;
    int rc = skua_sleep((uint64_t)(hand->i % 3) * SKUA_US);
    hand->crew->ended++;
    return rc < 0 ? rc : hand->i == hand->crew->failing ? -EIO : hand->i;
}

struct future_hand {
    SKUA_FRAME;
    struct {
        struct hand *hand;
    } in;
    skua_sleep_op nap;
};
SKUA_ASYNC(future_hand)
{
    SKUA_BEGIN(self);
    self->in.hand->crew->begun++;
    SKUA_AWAIT(skua_sleep_start(&self->nap, 2 * SKUA_US));
    self->in.hand->crew->ended++;
    SKUA_END(self->nap.result);
}

/* Its own members, of a group inside. */
static int leads(void *arg)
{
    struct hand *hand = arg;
    struct crew *crew = hand->crew;
    crew->begun++;
    {
        SKUA_GROUP(inner);
        for (int i = 0; i < 2; i++)
            crew->started += skua_group_go(&inner, works, hand) == 0;
        if (crew->limit == 0) /* else left without a wait */
            (void)skua_group_wait(&inner);
    }
    crew->ended++;
    return 0;
}

static void start_members(struct crew *crew, skua_group *group, struct hand hands[MEMBERS + 1])
{
    for (int i = 0; i < MEMBERS; i++) {
        hands[i] = (struct hand){ crew, i };
        int rc = i == 3   ? SKUA_GROUP_GO(group, future_hand, .hand = &hands[i])
                 : i == 4 ? skua_group_go(group, leads, &hands[i])
                          : skua_group_go(group, works, &hands[i]);
        CHECK(rc == 0 || rc == -ECANCELED);
        crew->started += rc == 0;
    }
}

static int voyage(void *arg)
{
    struct crew *crew = arg;
    struct hand hands[MEMBERS + 1];
    skua_group group;
    skua_group_result result;
    skua_group_counts counts;
    *crew = (struct crew){ .flags = crew->flags, .limit = crew->limit, .failing = crew->failing };
    skua_group_init_with(&group, &(skua_group_attr){ .flags = crew->flags, .limit = crew->limit });
    start_members(crew, &group, hands);
    while ((crew->flags & SKUA_GROUP_COLLECT) && skua_group_next(&group, &result) == 1) {
        CHECK(result.tag < MEMBERS);
        CHECK_EQ(crew->results[result.tag]++, 0);
        crew->taken++;
    }
    int64_t rc = skua_group_wait(&group);
    CHECK_EQ(crew->ended, crew->begun);
    CHECK_EQ(crew->begun, crew->started);
    skua_group_count(&group, &counts);
    CHECK_EQ(counts.live, 0);
    CHECK(rc == 0 || rc == -EIO || rc == -ECANCELED);
    skua_group_fini(&group);
    return 0;
}

/* A member, and not only who waits, is in a task of the program: a voyage in each of two. */
static int voyages(void *arg)
{
    skua_task *task;
    CHECK_OK(skua_spawn(&task, voyage, arg));
    end_or_join(task);
    return 0;
}

static void check_crew(void *arg)
{
    struct crew *crew = arg;
    CHECK_EQ(crew->ended, crew->begun);
    CHECK_EQ(crew->begun, crew->started);
    CHECK(crew->taken <= crew->started);
}

static void sail(uint32_t flags, uint32_t limit, int failing)
{
    struct crew crew = { .flags = flags, .limit = limit, .failing = failing };
    cancel_everywhere(voyages, check_crew, &crew);
}

TEST(groups) { sail(0, 0, -1); }
TEST(groups_with_a_failure) { sail(0, 0, 1); }
TEST(groups_that_keep_going) { sail(SKUA_GROUP_KEEP_GOING, 0, 1); }
TEST(groups_that_collect) { sail(SKUA_GROUP_COLLECT, 0, 2); }
TEST(limited_groups) { sail(SKUA_GROUP_COLLECT | SKUA_GROUP_KEEP_GOING, 2, 0); }
