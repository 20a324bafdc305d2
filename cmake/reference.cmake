# The reference, made from the comments of the public headers: `cmake --build … --target reference`. Man pages, and HTML
# by Doxygen; a warning is an error. What was built is installed. Sets SKUA_REFERENCE_MISSING, for the summary.
set(SKUA_REFERENCE_MISSING "")
find_package(Python3 COMPONENTS Interpreter QUIET)
find_program(SKUA_DOXYGEN doxygen)
mark_as_advanced(SKUA_DOXYGEN)
if(NOT Python3_Interpreter_FOUND)
    list(APPEND SKUA_REFERENCE_MISSING python3)
endif()
if(NOT SKUA_DOXYGEN)
    list(APPEND SKUA_REFERENCE_MISSING doxygen)
endif()
if(SKUA_REFERENCE_MISSING)
    return()
endif()

set(SKUA_REFERENCE_DIR "${PROJECT_BINARY_DIR}/reference")
configure_file("${PROJECT_SOURCE_DIR}/tools/Doxyfile.in" "${SKUA_REFERENCE_DIR}/Doxyfile" @ONLY)
file(GLOB reference_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/include/*.h" "${PROJECT_SOURCE_DIR}/include/skua/*.h")
set(tools "${PROJECT_SOURCE_DIR}/tools")
add_custom_command(OUTPUT "${SKUA_REFERENCE_DIR}/built"
    COMMAND "${Python3_EXECUTABLE}" -B "${tools}/man_pages.py" "${PROJECT_VERSION}" "${PROJECT_SOURCE_DIR}/include"
            "${SKUA_REFERENCE_DIR}/man3"
    COMMAND "${SKUA_DOXYGEN}" "${SKUA_REFERENCE_DIR}/Doxyfile"
    COMMAND "${CMAKE_COMMAND}" -E touch "${SKUA_REFERENCE_DIR}/built"
    DEPENDS ${reference_sources} "${tools}/headers.py" "${tools}/docstrings.py" "${tools}/doxygen_filter.py"
            "${tools}/man_pages.py" "${SKUA_REFERENCE_DIR}/Doxyfile"
    COMMENT "Reference: man pages and HTML"
    VERBATIM)
add_custom_target(reference DEPENDS "${SKUA_REFERENCE_DIR}/built")

if(SKUA_INSTALL)
    include(GNUInstallDirs)
    install(DIRECTORY "${SKUA_REFERENCE_DIR}/man3" DESTINATION "${CMAKE_INSTALL_MANDIR}" COMPONENT development OPTIONAL)
    install(DIRECTORY "${SKUA_REFERENCE_DIR}/html" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT development OPTIONAL)
endif()
