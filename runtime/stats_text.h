/* The counters of skua_stats and skua_worker_stats by name: one list, for all that writes them as text. */
#ifndef SKUAI_STATS_TEXT_H
#define SKUAI_STATS_TEXT_H

#include <stddef.h>

#include "skua/runtime.h"

/* _NS: in nanoseconds, which Prometheus is given as seconds. */
enum skuai_metric_kind { SKUAI_COUNTER, SKUAI_GAUGE, SKUAI_COUNTER_NS, SKUAI_GAUGE_NS };

struct skuai_metric {
    const char *name; /* without a prefix, of a counter without a suffix, and without a unit of time */
    const char *help;
    enum skuai_metric_kind kind;
    size_t offset; /* of the uint64_t, or of the uint32_t that its last member says, in the struct */
    bool is_32;
};

enum { SKUAI_METRICS = 31, SKUAI_WORKER_METRICS = 16 };

extern const struct skuai_metric skuai_metrics[SKUAI_METRICS];               /* of skua_stats */
extern const struct skuai_metric skuai_worker_metrics[SKUAI_WORKER_METRICS]; /* of skua_worker_stats */

uint64_t skuai_metric_value(const struct skuai_metric *metric, const void *stats);

/* What is an array in both. */
extern const char *const skuai_distance_names[SKUA_DISTANCES];
extern const char *const skuai_late_names[SKUA_LATES];

#endif
