# SPDX-License-Identifier: BSD-2-Clause
#
# The shared library exports exactly the functions that the public headers declare.

function(objrmap_export_map file)
    file(GLOB headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/objrmap/*.h)
    list(FILTER headers EXCLUDE REGEX "/posix\\.h$")
    set(names "")
    foreach(header IN LISTS headers)
        file(STRINGS ${header} lines REGEX "^[a-z].*[ *]vm_[a-z0-9_]+\\(")
        foreach(line IN LISTS lines)
            if(line MATCHES "^typedef")
                continue()
            endif()
            string(REGEX REPLACE "^[^(]*[ *](vm_[a-z0-9_]+)\\(.*" "\\1" name "${line}")
            list(APPEND names ${name})
        endforeach()
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
    endforeach()
    list(SORT names)
    list(JOIN names ";\n    " body)
    file(WRITE ${file} "OBJRMAP_${PROJECT_VERSION_MAJOR} {\nglobal:\n    ${body};\nlocal:\n    *;\n};\n")
endfunction()
