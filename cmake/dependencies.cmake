# What Skua is built on. Sets SKUA_CK_FOUND beside the imported targets.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(PkgConfig)

if(SKUA_HWLOC)
    if(PKG_CONFIG_FOUND)
        pkg_check_modules(HWLOC IMPORTED_TARGET hwloc>=2.0)
    endif()
    if(NOT HWLOC_FOUND)
        message(FATAL_ERROR "hwloc 2.0 or later was not found (with pkg-config). Install libhwloc-dev and pkg-config, "
            "or configure with -DSKUA_HWLOC=OFF: workers then know nothing of caches and NUMA nodes.")
    endif()
endif()

# concurrencykit: for comparison in tests and benchmarks only.
set(SKUA_CK_FOUND FALSE)
if(PKG_CONFIG_FOUND AND NOT CMAKE_CROSSCOMPILING)
    pkg_check_modules(CK IMPORTED_TARGET ck)
    if(CK_FOUND)
        set(SKUA_CK_FOUND TRUE)
    endif()
endif()
