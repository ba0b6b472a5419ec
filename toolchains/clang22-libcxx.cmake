# clang 22 with libc++ 22, linked statically: Debian's shared libc++ is version 19 and lacks what
# the headers of 22 call.
include(${CMAKE_CURRENT_LIST_DIR}/clang22.cmake)
set(CMAKE_CXX_FLAGS_INIT "-stdlib=libc++")
set(CMAKE_EXE_LINKER_FLAGS_INIT "-fuse-ld=lld -static-libstdc++")
