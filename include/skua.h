/* Skua: a multi-threaded work-stealing async runtime for C. One header per concept; this one has them all. */
#ifndef SKUA_H
#define SKUA_H

#include "skua/algorithm.h"
#include "skua/base.h"
#include "skua/combine.h"
#include "skua/event.h"
#include "skua/future.h"
#include "skua/op.h"
#include "skua/parallel.h"
#include "skua/runtime.h"
#include "skua/scope.h"
#include "skua/select.h"
#include "skua/sort.h"
#include "skua/task.h"
#include "skua/time.h"

#endif
