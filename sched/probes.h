/* USDT probes, for bpftrace, perf, SystemTap and gdb, where <sys/sdt.h> is there at compile time (systemtap-sdt-dev): a
 * nop each, and a note in the object file that says where its arguments are. Provider `skua`:
 *
 *   task_run(worker, task)        a run of a task begins on that worker; tasks are addresses, workers numbers
 *   task_ready(task)              it was spawned or woken, and put into a queue
 *   steal(worker, victim, tasks)
 *   sleep(worker), awake(worker)
 *   timers(count)                 so many have ended
 *   events(count)                 of descriptors, so many were delivered
 *   stuck(worker)                 a task has held it for stuck_ns
 *   spare(worker)                 a spare worker begins to stand in
 *
 *     bpftrace -e 'usdt:./program:skua:steal { @[arg0, arg1] = sum(arg2); }'
 */
#ifndef SKUAI_PROBES_H
#define SKUAI_PROBES_H

#if !defined(SKUAI_MODEL) && !defined(SKUAI_NO_TRACING) && defined(__has_include)
#if __has_include(<sys/sdt.h>)
#include <sys/sdt.h>
#define SKUAI_PROBE1(name, a) DTRACE_PROBE1(skua, name, a)
#define SKUAI_PROBE2(name, a, b) DTRACE_PROBE2(skua, name, a, b)
#define SKUAI_PROBE3(name, a, b, c) DTRACE_PROBE3(skua, name, a, b, c)
#endif
#endif

#if !defined(SKUAI_PROBE1)
#define SKUAI_PROBE1(name, a) ((void)(a))
#define SKUAI_PROBE2(name, a, b) ((void)(a), (void)(b))
#define SKUAI_PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
