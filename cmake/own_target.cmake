# skua_own_target(<target>): how every C target of this project is compiled. A program that only links with Skua
# inherits none of it.
set(SKUA_WARNINGS -Wall -Wextra -Wconversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes)
if(SKUA_WERROR)
    list(APPEND SKUA_WARNINGS -Werror)
endif()

set(SKUA_INSTRUMENTATION "")
if(SKUA_SANITIZE)
    list(APPEND SKUA_INSTRUMENTATION "-fsanitize=${SKUA_SANITIZE}" -fno-sanitize-recover=all -fno-omit-frame-pointer)
    if(SKUA_SANITIZE MATCHES "thread" AND CMAKE_C_COMPILER_ID STREQUAL "GNU")
        # gcc warns that ThreadSanitizer does not see fences. None here carries a happens-before edge by itself
        # (sched/atomic.h), so there is nothing to miss.
        list(APPEND SKUA_WARNINGS -Wno-tsan)
    endif()
endif()
if(SKUA_COVERAGE)
    list(APPEND SKUA_INSTRUMENTATION --coverage)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        list(APPEND SKUA_INSTRUMENTATION -fprofile-update=atomic) # the counters are shared by all threads
    endif()
endif()

function(skua_own_target target)
    set_target_properties(${target} PROPERTIES
        C_STANDARD 11
        C_STANDARD_REQUIRED ON
        C_EXTENSIONS ON
        C_VISIBILITY_PRESET hidden
        POSITION_INDEPENDENT_CODE ON)
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}" "${PROJECT_SOURCE_DIR}/include")
    target_compile_options(${target} PRIVATE "$<$<COMPILE_LANGUAGE:C>:${SKUA_WARNINGS}>" ${SKUA_INSTRUMENTATION})
    target_link_options(${target} PRIVATE ${SKUA_INSTRUMENTATION})
    if(SKUA_DEBUG)
        target_compile_definitions(${target} PRIVATE SKUAI_DEBUG=1)
    endif()
endfunction()
