// The one C++ file: benchmarks in C as benchmarks of Google Benchmark (harness.h), and its results to report.c.
//
//     skua-bench [--quick] [--often] [--rounds=N] [--filter=REGEX] [--results=FILE]
//
// Each registered benchmark becomes one of Google Benchmark's, named <name>[/<arg>=<value>…]/<runtime>, without
// arguments of its own. Rounds, and not Google Benchmark's repetitions: so whatever the machine does meanwhile, the
// runtimes of one name are measured within seconds of each other, and a busy minute spoils one round of each.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <regex>
#include <string>
#include <vector>

#include "bench/harness.h"
#include "bench/report.h"

namespace {

struct options {
    bool quick = false;
    bool often = false; // all in each round
    int rounds = 0;
    std::string filter = ".";
    const char *results = nullptr;
};

struct figure {
    std::string name, unit;
    double value;
};

} // namespace

struct bench_state {
    benchmark::State &gb;
    const struct bench &bench;
    bool quick;
    double cpu_ns;                // of a self-timed benchmark
    std::vector<figure> &figures; // the last call of run counts: Google Benchmark makes it again with more iterations
};

namespace {

const char unit_of_time[] = "ns/op";

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

void run_bench(benchmark::State &gb, const bench &bench, bool quick, std::vector<figure> &figures)
{
    figures.clear();
    bench_state state{gb, bench, quick, 0.0, figures};
    if (!bench.gives_figures) {
        bench.run(&state);
        if (bench.self_timed)
            gb.counters["cpu"] = state.cpu_ns;
        return;
    }
    while (gb.KeepRunning()) {
        bench.run(&state);
        gb.SetIterationTime(1.0); // nobody looks at it
    }
}

class collector : public benchmark::BenchmarkReporter {
public:
    bool ReportContext(const Context &) override { return true; }

    void ReportRuns(const std::vector<Run> &found) override
    {
        for (const Run &run : found)
            if (run.run_type == Run::RT_Iteration)
                runs.push_back(run);
    }

    std::vector<Run> runs;
};

// False: it failed.
bool report_run(bench_report *report, const benchmark::BenchmarkReporter::Run &run, const bench &bench,
                const std::vector<figure> &figures)
{
    if (run.error_occurred) {
        std::fprintf(stderr, "%s failed: %s\n", full_name(bench).c_str(), run.error_message.c_str());
        return false;
    }
    auto add = [&](const std::string &what, double value, const char *unit) {
        const std::string name = name_with_args(bench) + (what == "-" ? "" : "." + what);
        bench_report_add(report, name.c_str(), bench.runtime, unit, value);
    };
    for (const auto &figure : figures)
        add(figure.name, figure.value, figure.unit.c_str());
    if (bench.gives_figures)
        return true;
    const double ops = bench.ops * static_cast<double>(run.iterations);
    const auto cpu = run.counters.find("cpu");
    add("-", run.real_accumulated_time * 1e9 / ops, unit_of_time);
    add("cpu", (cpu != run.counters.end() ? cpu->second.value : run.cpu_accumulated_time * 1e9) / ops, unit_of_time);
    return true;
}

bool measure(bench_report *report, const bench &bench, const options &options)
{
    std::vector<figure> figures;
    benchmark::ClearRegisteredBenchmarks();
    auto *gb = benchmark::RegisterBenchmark(full_name(bench).c_str(), [&](benchmark::State &state) {
        run_bench(state, bench, options.quick, figures);
    });
    gb->MeasureProcessCPUTime();
    if (bench.self_timed || bench.gives_figures)
        gb->UseManualTime();
    else
        gb->UseRealTime();
    if (bench.gives_figures)
        gb->Iterations(1);
    else
        gb->MinTime(options.quick ? 0.02 : 0.05);
    collector collected;
    benchmark::RunSpecifiedBenchmarks(&collected, "all");
    return collected.runs.size() == 1 && report_run(report, collected.runs.front(), bench, figures);
}

// All runtimes of one name, in random order, then the next name.
bool run_round(bench_report *report, const std::vector<const bench *> &chosen, int round, const options &options,
               std::mt19937 &random)
{
    bool ok = true;
    for (size_t i = 0, end; i < chosen.size(); i = end) {
        std::vector<const bench *> same;
        for (end = i; end < chosen.size() && name_with_args(*chosen[end]) == name_with_args(*chosen[i]); end++)
            if (options.often || chosen[end]->every == 0 || round % chosen[end]->every == 0)
                same.push_back(chosen[end]);
        std::shuffle(same.begin(), same.end(), random);
        for (const bench *bench : same)
            ok = measure(report, *bench, options) && ok;
    }
    return ok;
}

// Same name, one after the other; otherwise as registered.
std::vector<const bench *> choose(const options &options)
{
    std::vector<const bench *> chosen;
    std::vector<std::string> names;
    const std::regex wanted(options.filter);
    for (const bench &bench : registered()) {
        if (!std::regex_search(full_name(bench), wanted) || (bench.full_only && options.quick))
            continue;
        chosen.push_back(&bench);
        if (std::find(names.begin(), names.end(), name_with_args(bench)) == names.end())
            names.push_back(name_with_args(bench));
    }
    auto place = [&](const bench *bench) { return std::find(names.begin(), names.end(), name_with_args(*bench)); };
    std::stable_sort(chosen.begin(), chosen.end(), [&](auto *a, auto *b) { return place(a) < place(b); });
    return chosen;
}

bool parse(options *options, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const std::string arg = argv[i];
        if (arg == "--quick")
            options->quick = true;
        else if (arg == "--often")
            options->often = true;
        else if (arg.rfind("--rounds=", 0) == 0)
            options->rounds = std::atoi(argv[i] + 9);
        else if (arg.rfind("--filter=", 0) == 0)
            options->filter = arg.substr(9);
        else if (arg.rfind("--results=", 0) == 0)
            options->results = argv[i] + 10;
        else
            return false;
    }
    if (options->rounds == 0)
        options->rounds = options->quick ? 3 : 7;
    return options->rounds > 0;
}

} // namespace

void bench_register(const struct bench *bench) { registered().push_back(*bench); }

bool bench_next(struct bench_state *state) { return state->gb.KeepRunning(); }

void bench_set_time(struct bench_state *state, uint64_t wall_ns, uint64_t cpu_ns)
{
    state->gb.SetIterationTime(static_cast<double>(wall_ns) / 1e9);
    state->cpu_ns += static_cast<double>(cpu_ns);
}

const void *bench_context(const struct bench_state *state) { return state->bench.context; }

int bench_arg(const struct bench_state *state, int index) { return state->bench.args[index].value; }

const char *bench_name(const struct bench_state *state) { return state->bench.name; }

bool bench_is_quick(const struct bench_state *state) { return state->quick; }

void bench_figure(struct bench_state *state, const char *figure, double value, const char *unit)
{
    state->figures.push_back({figure, unit, value});
}

void bench_fail(struct bench_state *state, const char *why) { state->gb.SkipWithError(why); }

int main(int argc, char **argv)
{
    options options;
    if (!parse(&options, argc, argv)) {
        std::fprintf(stderr, "usage: %s [--quick] [--often] [--rounds=N] [--filter=REGEX] [--results=FILE]\n", argv[0]);
        return 2;
    }
    const auto chosen = choose(options);
    if (chosen.empty()) {
        std::fprintf(stderr, "%s: no benchmark is called that%s\n", argv[0],
                     options.quick ? ", or not with --quick" : "");
        return 2;
    }
    bench_report *report = bench_report_create();
    if (report == nullptr)
        return 1;
    benchmark::Initialize(&argc, argv);
    std::mt19937 random(std::random_device{}());
    bool ok = true;
    for (int round = 0; round < options.rounds; round++) {
        std::fprintf(stderr, "round %d of %d\n", round + 1, options.rounds);
        ok = run_round(report, chosen, round, options, random) && ok;
    }
    bench_report_derive(report);
    bench_report_print(report);
    if (options.results != nullptr && bench_report_write(report, options.results) < 0) {
        std::perror(options.results);
        ok = false;
    }
    bench_report_destroy(report);
    return ok ? 0 : 1;
}
