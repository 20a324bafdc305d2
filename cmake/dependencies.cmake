# What Skua is built on. Sets SKUA_CK_FOUND, SKUA_HIREDIS_FOUND, SKUA_LIBUV_FOUND, SKUA_GLIB_FOUND, SKUA_HTTP_PARSER_FOUND
# and SKUA_KV_FOUND beside the imported targets.
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

# USDT probes (sched/probes.h). Only to be told: the header says so itself.
include(CheckIncludeFile)
check_include_file(sys/sdt.h SKUA_HAS_SDT)

# concurrencykit: for comparison in tests and benchmarks only.
set(SKUA_CK_FOUND FALSE)
if(PKG_CONFIG_FOUND AND NOT CMAKE_CROSSCOMPILING)
    pkg_check_modules(CK IMPORTED_TARGET ck)
    if(CK_FOUND)
        set(SKUA_CK_FOUND TRUE)
    endif()
endif()

# hiredis: for the example of a library of others under Skua.
set(SKUA_HIREDIS_FOUND FALSE)
if(PKG_CONFIG_FOUND AND SKUA_EXAMPLES AND NOT CMAKE_CROSSCOMPILING)
    pkg_check_modules(HIREDIS IMPORTED_TARGET hiredis)
    if(HIREDIS_FOUND)
        set(SKUA_HIREDIS_FOUND TRUE)
    endif()
endif()

# libuv: for the example of a runtime in a loop of others.
set(SKUA_LIBUV_FOUND FALSE)
if(PKG_CONFIG_FOUND AND SKUA_EXAMPLES AND NOT CMAKE_CROSSCOMPILING)
    pkg_check_modules(LIBUV IMPORTED_TARGET libuv)
    if(LIBUV_FOUND)
        set(SKUA_LIBUV_FOUND TRUE)
    endif()
endif()

# GLib: likewise. Not with ThreadSanitizer, which does not see how GLib's threads wait for each other.
set(SKUA_GLIB_FOUND FALSE)
if(PKG_CONFIG_FOUND AND SKUA_EXAMPLES AND NOT CMAKE_CROSSCOMPILING AND NOT SKUA_SANITIZE MATCHES "thread")
    pkg_check_modules(GLIB IMPORTED_TARGET gio-2.0>=2.36)
    if(GLIB_FOUND)
        set(SKUA_GLIB_FOUND TRUE)
    endif()
endif()

# http-parser: for the example of an HTTP server. Debian's has no file for pkg-config.
set(SKUA_HTTP_PARSER_FOUND FALSE)
if(SKUA_EXAMPLES AND NOT CMAKE_CROSSCOMPILING)
    find_path(HTTP_PARSER_INCLUDE_DIR http_parser.h)
    find_library(HTTP_PARSER_LIBRARY http_parser)
    if(HTTP_PARSER_INCLUDE_DIR AND HTTP_PARSER_LIBRARY)
        add_library(skua_http_parser INTERFACE IMPORTED)
        target_include_directories(skua_http_parser SYSTEM INTERFACE "${HTTP_PARSER_INCLUDE_DIR}")
        target_link_libraries(skua_http_parser INTERFACE "${HTTP_PARSER_LIBRARY}")
        set(SKUA_HTTP_PARSER_FOUND TRUE)
    endif()
    mark_as_advanced(HTTP_PARSER_INCLUDE_DIR HTTP_PARSER_LIBRARY)
endif()

# uthash, a hash table of macros, and libsodium, for a keyed hash: for the example of a key-value server.
set(SKUA_KV_FOUND FALSE)
if(PKG_CONFIG_FOUND AND SKUA_EXAMPLES AND NOT CMAKE_CROSSCOMPILING)
    pkg_check_modules(SODIUM IMPORTED_TARGET libsodium)
    find_path(UTHASH_INCLUDE_DIR uthash.h)
    if(SODIUM_FOUND AND UTHASH_INCLUDE_DIR)
        set(SKUA_KV_FOUND TRUE)
    endif()
endif()
