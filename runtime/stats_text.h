/* The counters of skua_stats by name: one list, for all that writes them as text. */
#ifndef SKUAI_STATS_TEXT_H
#define SKUAI_STATS_TEXT_H

#include "skua/runtime.h"

enum skuai_metric_kind { SKUAI_COUNTER, SKUAI_GAUGE };

struct skuai_metric {
    const char *name; /* without a prefix, and of a counter without a suffix */
    const char *help;
    enum skuai_metric_kind kind;
    uint64_t value;
};

enum { SKUAI_METRICS = 21 };

void skuai_stats_list(const skua_stats *stats, struct skuai_metric metrics[SKUAI_METRICS]);

#endif
