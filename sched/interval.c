/* See skua/interval.h. */
#include "skua/interval.h"

static uint64_t later(uint64_t instant_ns, uint64_t by_ns)
{
    return by_ns < SKUA_NEVER - instant_ns ? instant_ns + by_ns : SKUA_NEVER;
}

skua_interval skua_interval_start(uint64_t period_ns, enum skua_interval_policy policy)
{
    return (skua_interval){ .period_ns = period_ns != 0 ? period_ns : 1,
                            .next_ns = skua_after(period_ns),
                            .policy = policy };
}

uint64_t skua_interval_advance(skua_interval *interval)
{
    uint64_t now = skua_now(), due = interval->next_ns;
    uint64_t missed = now > due ? (now - due) / interval->period_ns : 0;
    switch ((enum skua_interval_policy)interval->policy) {
    case SKUA_INTERVAL_BURST:
        interval->next_ns = later(due, interval->period_ns);
        break;
    case SKUA_INTERVAL_DELAY:
        interval->next_ns = later(missed != 0 ? now : due, interval->period_ns);
        break;
    case SKUA_INTERVAL_SKIP: /* the product is at most now - due */
        interval->next_ns = later(due + missed * interval->period_ns, interval->period_ns);
        break;
    }
    return missed;
}

int skua_interval_tick(skua_interval *interval, uint64_t *missed)
{
    int rc = skua_sleep_until(interval->next_ns);
    if (rc < 0)
        return rc;
    uint64_t left_out = skua_interval_advance(interval);
    if (missed != NULL)
        *missed = left_out;
    return 0;
}
