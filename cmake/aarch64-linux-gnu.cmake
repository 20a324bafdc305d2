# Cross compilation with Debian's gcc-aarch64-linux-gnu. Programs are static, so that qemu-user runs them without a
# foreign root file system.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_ASM_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
find_program(SKUA_QEMU NAMES qemu-aarch64 qemu-aarch64-static)
if(SKUA_QEMU)
    set(CMAKE_CROSSCOMPILING_EMULATOR "${SKUA_QEMU}")
endif()
