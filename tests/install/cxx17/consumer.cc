// Skua from C++17: lambdas as fibers, a mutex, a group, a parallel loop.
#include <skua.h>

#include <cstdint>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

namespace {

template <typename Function> int spawn(skua_task **task, Function function)
{
    auto kept = std::make_unique<Function>(std::move(function));
    int rc = skua_spawn(
        task,
        [](void *arg) -> int {
            std::unique_ptr<Function> called(static_cast<Function *>(arg));
            return (*called)();
        },
        kept.get());
    if (rc == 0)
        (void)kept.release();
    return rc;
}

int app(void *)
{
    static skua_mutex mutex = SKUA_MUTEX_INIT;
    int counted = 0;
    std::vector<skua_task *> tasks(10);
    for (auto &task : tasks)
        if (spawn(&task, [&counted] {
                for (int i = 0; i < 100; i++) {
                    if (int rc = skua_mutex_lock(&mutex); rc < 0)
                        return rc;
                    counted++;
                    skua_mutex_unlock(&mutex);
                }
                return 0;
            }) < 0)
            return 1;
    for (auto *task : tasks)
        if (std::int64_t result = -1; skua_join(task, &result) < 0 || result != 0)
            return 1;
    std::printf("%s: counted %d\n", skua_version(), counted);
    return counted == 1000 ? 0 : 1;
}

} // namespace

int main() { return skua_main(app, nullptr); }
