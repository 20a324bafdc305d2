/* pingpong, fiber_pingpong, sleepers. */
#include "bench/cases/work.h"

/* Two tasks take turns; `turn` is whose. Nobody's until both wakers are there. */
struct game {
    int turn;
    skua_waker players[2];
};

static bool is_turn(struct game *game, int me) { return __atomic_load_n(&game->turn, __ATOMIC_ACQUIRE) == me; }

static void pass_turn(struct game *game, int to)
{
    skua_waker next = game->players[to];
    __atomic_store_n(&game->turn, to, __ATOMIC_RELEASE);
    skua_wake(next);
}

struct player {
    SKUA_FRAME;
    struct {
        struct game *game;
        int me;
    } in;
    int i;
};
SKUA_ASYNC(player)
{
    SKUA_BEGIN(self);
    for (self->i = 0; self->i < TRIPS; self->i++) {
        while (!is_turn(self->in.game, self->in.me))
            SKUA_PARK();
        pass_turn(self->in.game, !self->in.me);
    }
    SKUA_END(self->i);
}

struct fiber_player {
    struct game *game;
    int me;
};

static int player_fiber(void *arg)
{
    const struct fiber_player *self = arg;
    int i;
    for (i = 0; i < TRIPS; i++) {
        while (!is_turn(self->game, self->me))
            skua_park();
        pass_turn(self->game, !self->me);
    }
    return i;
}

static int64_t play(struct game *game, skua_task *players[2])
{
    int64_t turns[2] = { 0, 0 };
    for (int i = 0; i < 2; i++)
        game->players[i] = skua_task_waker(players[i]);
    pass_turn(game, 0);
    for (int i = 0; i < 2; i++)
        work_must(skua_join(players[i], &turns[i]));
    work_check("turns", turns[0] + turns[1], 2 * TRIPS);
    return TRIPS;
}

static int64_t pingpong(void)
{
    struct game game = { .turn = -1 };
    skua_task *players[2];
    for (int i = 0; i < 2; i++)
        work_must(SKUA_SPAWN(&players[i], player, .game = &game, .me = i));
    return play(&game, players);
}

static int64_t fiber_pingpong(void)
{
    struct game game = { .turn = -1 };
    struct fiber_player args[2] = { { &game, 0 }, { &game, 1 } };
    skua_task *players[2];
    for (int i = 0; i < 2; i++)
        work_must(skua_spawn(&players[i], player_fiber, &args[i]));
    return play(&game, players);
}

struct sleeper {
    SKUA_FRAME;
    struct {
        struct count *count;
        uint64_t pause_ns;
    } in;
    skua_sleep_op sleep;
};
SKUA_ASYNC(sleeper)
{
    SKUA_BEGIN(self);
    SKUA_AWAIT(skua_sleep_start(&self->sleep, self->in.pause_ns));
    count_down(self->in.count);
    SKUA_END(0);
}

static int64_t sleepers(void)
{
    struct count *count = work_count(SLEEPERS);
    for (uint64_t i = 0; i < SLEEPERS; i++) {
        uint64_t place = i * 7919 % SLEEPERS; /* a prime: spread evenly, out of order */
        work_must(SKUA_GO(sleeper, .count = count, .pause_ns = SKUA_MS + place * (SLEEP_MS - 1) * SKUA_MS / SLEEPERS));
    }
    wait_for_zero(count);
    return SLEEPERS;
}

const struct work work_of_wake[] = {
    { "pingpong", pingpong },
    { "fiber_pingpong", fiber_pingpong },
    { "sleepers", sleepers },
    { NULL, NULL },
};
