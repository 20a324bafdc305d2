// The one C++ file: benchmarks in C as benchmarks of Google Benchmark (harness.h), and its results to report.c.
//
// Each registered benchmark becomes one of Google Benchmark's, named <name>[/<arg>=<value>…]/<runtime>, without
// arguments of its own. Repetitions of different benchmarks are interleaved at random, so that a busy minute of the
// machine spoils one repetition of each and not all of one.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "bench/harness.h"
#include "bench/report.h"

struct bench_state {
    benchmark::State &gb;
    const struct bench &bench;
    double cpu_ns; // of a self-timed benchmark
};

namespace {

std::deque<bench> &registered()
{
    static std::deque<bench> benches; // a deque: elements stay where they are
    return benches;
}

std::string name_with_args(const bench &bench)
{
    std::string name = bench.name;
    for (int i = 0; i < BENCH_ARGS && bench.args[i].name != nullptr; i++)
        name += (i == 0 ? "/" : ",") + std::string(bench.args[i].name) + "=" + std::to_string(bench.args[i].value);
    return name;
}

std::string full_name(const bench &bench) { return name_with_args(bench) + "/" + bench.runtime; }

const char cpu_counter[] = "cpu ns";

void run_bench(benchmark::State &gb, const bench &bench)
{
    bench_state state{gb, bench, 0.0};
    bench.run(&state);
    if (bench.self_timed)
        gb.counters[cpu_counter] = state.cpu_ns;
}

// Keeps all runs; they come in the order in which the benchmarks end, which is a random one.
class collector : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context &) override { return true; }

    void ReportRuns(const std::vector<Run> &runs) override
    {
        for (const Run &run : runs)
            if (run.run_type == Run::RT_Iteration)
                by_name[run.run_name.function_name].push_back(run);
    }

    std::map<std::string, std::vector<Run>> by_name;
};

// False: it failed.
bool report_run(bench_report *report, const benchmark::BenchmarkReporter::Run &run, const bench &bench)
{
    if (run.error_occurred) {
        std::fprintf(stderr, "%s failed: %s\n", run.benchmark_name().c_str(), run.error_message.c_str());
        return false;
    }
    const std::string name = name_with_args(bench);
    const double ops = bench.ops * static_cast<double>(run.iterations);
    auto add = [&](const std::string &what, double total) {
        bench_report_add(report, name.c_str(), bench.runtime, (what + "/op").c_str(), total / ops);
    };
    add("ns", run.real_accumulated_time * 1e9);
    if (!bench.self_timed)
        add("cpu ns", run.cpu_accumulated_time * 1e9);
    for (const auto &[what, counter] : run.counters)
        add(what, counter.value);
    return true;
}

} // namespace

void bench_register(const struct bench *bench) { registered().push_back(*bench); }

bool bench_next(struct bench_state *state) { return state->gb.KeepRunning(); }

void bench_pause(struct bench_state *state) { state->gb.PauseTiming(); }

void bench_resume(struct bench_state *state) { state->gb.ResumeTiming(); }

void bench_set_time(struct bench_state *state, uint64_t wall_ns, uint64_t cpu_ns)
{
    state->gb.SetIterationTime(static_cast<double>(wall_ns) / 1e9);
    state->cpu_ns += static_cast<double>(cpu_ns);
}

const void *bench_context(const struct bench_state *state) { return state->bench.context; }

int bench_arg(const struct bench_state *state, int index) { return state->bench.args[index].value; }

void bench_count(struct bench_state *state, const char *name, double total) { state->gb.counters[name] = total; }

void bench_fail(struct bench_state *state, const char *why) { state->gb.SkipWithError(why); }

int main(int argc, char **argv)
{
    const char *results = nullptr;
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        if (std::strncmp(argv[i], "--results=", 10) == 0)
            results = argv[i] + 10;
        else
            argv[kept++] = argv[i];
    }
    argc = kept;
    argv[argc] = nullptr;

    for (const bench &bench : registered()) {
        auto *gb = benchmark::RegisterBenchmark(full_name(bench).c_str(), run_bench, bench);
        gb->MeasureProcessCPUTime();
        if (bench.self_timed)
            gb->UseManualTime();
        else
            gb->UseRealTime();
    }
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    bench_report *report = bench_report_create();
    if (report == nullptr)
        return 1;
    collector collected;
    bool ok = benchmark::RunSpecifiedBenchmarks(&collected) != 0;
    for (const bench &bench : registered())
        for (const auto &run : collected.by_name[full_name(bench)])
            ok = report_run(report, run, bench) && ok;
    bench_report_print(report);
    if (results != nullptr && bench_report_write(report, results) < 0) {
        std::perror(results);
        ok = false;
    }
    bench_report_destroy(report);
    return ok ? 0 : 1;
}
