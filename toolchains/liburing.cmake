# liburing 2.9 or newer: older ones lack the provided-buffer rings and most of what the kernel
# learned since. Its five objects become part of the module's own archive, so that an installed rt
# needs no liburing at its user's, and no path of this machine gets into the package. Where there is
# only a shared one (-luring), the user needs that too.
set(RT_LIBURING_ROOT "" CACHE PATH
    "Folder with liburing >= 2.9 (include/ and lib/); empty: toolchains/setup's, else the system's")

function(rt_use_liburing target)
    if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
        return()
    endif()
    set(root "${RT_LIBURING_ROOT}")
    if(NOT root)
        set(ours /opt/rt-toolchain)
        if(DEFINED ENV{RT_TOOLCHAIN_ROOT})
            set(ours $ENV{RT_TOOLCHAIN_ROOT})
        endif()
        if(EXISTS ${ours}/liburing/complete)
            set(root ${ours}/liburing/usr)
        endif()
    endif()

    set(only)
    if(root)
        set(only PATHS ${root}/include ${root}/lib NO_DEFAULT_PATH)
    endif()
    find_path(include liburing.h ${only} NO_CACHE)
    find_library(library NAMES liburing.a uring
        PATH_SUFFIXES ${CMAKE_LIBRARY_ARCHITECTURE} ${only} NO_CACHE)

    set(found "none")
    if(include AND library)
        set(found "an older one")   # which has no version header
        set(header ${include}/liburing/io_uring_version.h)
        if(EXISTS ${header})
            file(STRINGS ${header} lines REGEX "define IO_URING_VERSION_(MAJOR|MINOR)")
            string(REGEX REPLACE "[^0-9]+" "." found "${lines}")
            string(REGEX REPLACE "^\\.|\\.$" "" found "${found}")
        endif()
    endif()
    if(NOT found MATCHES "^[0-9]" OR found VERSION_LESS 2.9)
        message(FATAL_ERROR
            "rt needs liburing 2.9 or newer and found: ${found} ${include} ${library}\n"
            "On Debian 12 run toolchains/setup; elsewhere install liburing's development package, "
            "or say -DRT_LIBURING_ROOT=<folder with include/ and lib/>.")
    endif()
    message(STATUS "liburing ${found}: ${library}")

    if(root)   # the kernel's headers lie beside it
        target_include_directories(${target} SYSTEM PRIVATE
            ${include} ${include}/${CMAKE_LIBRARY_ARCHITECTURE})
    endif()
    if(library MATCHES "\\.a$")
        set(objects_dir ${CMAKE_CURRENT_BINARY_DIR}/liburing)
        file(MAKE_DIRECTORY ${objects_dir})
        execute_process(COMMAND ${CMAKE_AR} x ${library}
            WORKING_DIRECTORY ${objects_dir} COMMAND_ERROR_IS_FATAL ANY)
        file(GLOB objects ${objects_dir}/*.o*)
        set_source_files_properties(${objects} PROPERTIES EXTERNAL_OBJECT TRUE)
        target_sources(${target} PRIVATE ${objects})
    else()
        target_link_libraries(${target} PRIVATE uring)
    endif()
endfunction()
