# Which sources make the library on this platform: SKUA_SOURCES. Also SKUA_CONTEXT_CHOICE, for the summary.
#
# A file whose name ends in one of the words below exists for one kind of system; all others are for all.
set(linux_only futex epoll uring linux pidfd inotify)
set(bsd_only kqueue bsd)

set(foreign ${linux_only} ${bsd_only})
if(CMAKE_SYSTEM_NAME STREQUAL "Linux")
    list(REMOVE_ITEM foreign ${linux_only})
elseif(CMAKE_SYSTEM_NAME MATCHES "BSD|DragonFly|Darwin")
    list(REMOVE_ITEM foreign ${bsd_only})
endif()
list(JOIN foreign "|" foreign)

set(SKUA_SOURCES "")
foreach(folder IN ITEMS sched io sync runtime)
    file(GLOB found CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/${folder}/*.c")
    list(APPEND SKUA_SOURCES ${found})
endforeach()
list(FILTER SKUA_SOURCES EXCLUDE REGEX "_(${foreign})\\.c$")
list(FILTER SKUA_SOURCES EXCLUDE REGEX "_test_only\\.c$")
list(FILTER SKUA_SOURCES EXCLUDE REGEX "/sched/context_[^/]*$")

# How fibers switch.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    set(context_asm "${PROJECT_SOURCE_DIR}/sched/context_x86_64.S")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
    set(context_asm "${PROJECT_SOURCE_DIR}/sched/context_aarch64.S")
else()
    set(context_asm "")
endif()

if(SKUA_CONTEXT STREQUAL "auto")
    if(context_asm AND EXISTS "${context_asm}")
        set(SKUA_CONTEXT_CHOICE asm)
    else()
        set(SKUA_CONTEXT_CHOICE ucontext)
    endif()
elseif(SKUA_CONTEXT MATCHES "^(asm|ucontext)$")
    set(SKUA_CONTEXT_CHOICE "${SKUA_CONTEXT}")
else()
    message(FATAL_ERROR "SKUA_CONTEXT is `${SKUA_CONTEXT}`; it can be auto, asm or ucontext")
endif()

if(SKUA_CONTEXT_CHOICE STREQUAL "asm")
    if(NOT context_asm OR NOT EXISTS "${context_asm}")
        message(FATAL_ERROR "SKUA_CONTEXT=asm: there is no assembly switch for ${CMAKE_SYSTEM_PROCESSOR}")
    endif()
    enable_language(ASM)
    list(APPEND SKUA_SOURCES "${context_asm}")
    set(context_c "${PROJECT_SOURCE_DIR}/sched/context_asm.c") # what all the assembly switches share
else()
    set(context_c "${PROJECT_SOURCE_DIR}/sched/context_ucontext.c")
    add_compile_definitions(SKUAI_UCONTEXT=1) # who switches includes context.h, tests and benchmarks as well
endif()
if(EXISTS "${context_c}")
    list(APPEND SKUA_SOURCES "${context_c}")
endif()

# A fiber may wake on another thread, so the address of a thread-local must not be cached across its calls: link-time
# optimisation would see through the functions of this file.
set_source_files_properties("${PROJECT_SOURCE_DIR}/sched/tls.c" PROPERTIES COMPILE_OPTIONS -fno-lto)
