# SPDX-License-Identifier: BSD-2-Clause
#
# What `make install` puts where: headers, libraries, pkg-config files, a CMake package, the command
# and the manual pages.

include(CMakePackageConfigHelpers)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/objrmap)
set(installed objrmap objrmap-posix)
if(TARGET objrmap-shared)
    list(APPEND installed objrmap-shared)
endif()
install(TARGETS ${installed} EXPORT objrmap-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET objrmap-cli)
    install(TARGETS objrmap-cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/objrmap DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN *.h)

install(EXPORT objrmap-targets NAMESPACE objrmap:: DESTINATION ${package_dir})
configure_package_config_file(cmake/objrmap-config.cmake.in objrmap-config.cmake
                              INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(objrmap-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/objrmap-config.cmake
              ${CMAKE_CURRENT_BINARY_DIR}/objrmap-config-version.cmake DESTINATION ${package_dir})

# The .pc files name directories relative to themselves, so that an installed tree may be moved.
file(RELATIVE_PATH pc_to_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
foreach(name objrmap objrmap-posix)
    configure_file(cmake/${name}.pc.in ${name}.pc @ONLY)
    install(FILES ${CMAKE_CURRENT_BINARY_DIR}/${name}.pc
            DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()

foreach(section 1 3 5)
    file(GLOB pages CONFIGURE_DEPENDS man/*.${section})
    if(pages)
        install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
    endif()
endforeach()
