# The shared library, what is installed, and packages for Debian (cpack). Nothing that is installed needs this tree.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Of the same objects as the static one, which are position-independent and hide what is not public.
add_library(skua_shared SHARED "${PROJECT_SOURCE_DIR}/cmake/shared.c")
skua_own_target(skua_shared)
target_link_libraries(skua_shared PRIVATE "$<LINK_LIBRARY:WHOLE_ARCHIVE,skua>" PUBLIC Threads::Threads)
if(SKUA_HWLOC)
    target_link_libraries(skua_shared PRIVATE PkgConfig::HWLOC)
endif()
target_link_options(skua_shared PRIVATE -Wl,-z,defs -Wl,-z,relro -Wl,-z,now)
# As long as the version begins with 0 each minor one may break programs.
set_target_properties(skua_shared PROPERTIES
    OUTPUT_NAME skua
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    EXPORT_NAME skua)
set_target_properties(skua PROPERTIES EXPORT_NAME static)
target_include_directories(skua_shared INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
target_include_directories(skua INTERFACE "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

install(TARGETS skua_shared EXPORT skuaTargets
    LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT runtime NAMELINK_COMPONENT development)
install(TARGETS skua EXPORT skuaTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT development)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT development
    FILES_MATCHING PATTERN "*.h")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/CHANGELOG.md" "${PROJECT_SOURCE_DIR}/README.md"
    DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT development)

install(FILES "${PROJECT_SOURCE_DIR}/tools/gdb/skua-gdb.py" DESTINATION "${CMAKE_INSTALL_DATADIR}/skua"
    COMPONENT development)

# find_package(skua)
set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/skua")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/skuaConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/skuaConfig.cmake" INSTALL_DESTINATION "${package_folder}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/skuaConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/skuaConfig.cmake" "${PROJECT_BINARY_DIR}/skuaConfigVersion.cmake"
    DESTINATION "${package_folder}" COMPONENT development)
install(EXPORT skuaTargets NAMESPACE skua:: DESTINATION "${package_folder}" COMPONENT development)

# pkg-config. From where its file lies: so the prefix may be moved.
file(RELATIVE_PATH SKUA_PC_TO_PREFIX "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
set(SKUA_PC_REQUIRES "")
if(SKUA_HWLOC)
    set(SKUA_PC_REQUIRES "hwloc >= 2.0")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/skua.pc.in" "${PROJECT_BINARY_DIR}/skua.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/skua.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig" COMPONENT development)

# cpack -G DEB: libskua0.1, libskua-dev and skua-tools.
set(CPACK_PACKAGE_NAME skua)
set(CPACK_PACKAGE_VENDOR "The Skua authors")
set(CPACK_PACKAGE_CONTACT "The Skua authors <skua@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${PROJECT_DESCRIPTION}")
set(CPACK_PACKAGING_INSTALL_PREFIX "/usr")
set(CPACK_GENERATOR DEB)
set(CPACK_COMPONENTS_ALL runtime development)
if(SKUA_EXAMPLES)
    list(APPEND CPACK_COMPONENTS_ALL tools) # tools/CMakeLists.txt
endif()
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME "libskua${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libskua-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
    "${CPACK_DEBIAN_RUNTIME_PACKAGE_NAME} (= ${PROJECT_VERSION}), libhwloc-dev")
set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME skua-tools)
set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION utils)
include(CPack)
