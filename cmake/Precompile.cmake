# Headers of others that most files include, compiled once: parsing and instantiating them again in each file was a quarter
# of the build's time. Files include all that they use all the same; the preset `clang` builds without this, and fails where
# one does not.
#
# ac_precompile(TARGET KIND), KIND one of
#   floor  libraries: the standard library and fmt
#   verbs  the command line: nlohmann too, since nearly every verb prints JSON
#   test   tests: GoogleTest, compiled with the options of tests
# Kernels (AddIsa.cmake) get none: they are compiled for other processors, and include nothing of this.
#
# g++ pays for every byte of a precompiled header in every file, so a kind holds no more than what most of its files use.
option(AC_PCH "Precompile the headers that most files include" ON)
if(AC_KERNELS_ONLY)
  set(AC_PCH OFF)
endif()

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # A file's compiler lives for seconds; collecting garbage meanwhile walks all of the headers, precompiled ones too.
  # It takes up to half a gigabyte instead.
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:--param=ggc-min-heapsize=1000000>)
endif()

# Compiler options of a test, on top of the configuration's: tests are compiled often and run briefly.
set(AC_TEST_OPTIONS $<$<CONFIG:Release>:-O1>)

# ac_add_precompiled(KIND [PIE] HEADERS ... LINK ... OPTIONS ...): the target that owns the headers of one kind.
# PIE: for executables, which are compiled with -fPIE where libraries are with -fPIC.
function(ac_add_precompiled kind)
  cmake_parse_arguments(arg "PIE" "" "HEADERS;LINK;OPTIONS" ${ARGN})
  set(source "${CMAKE_BINARY_DIR}/precompiled_${kind}.cc")
  file(CONFIGURE OUTPUT "${source}" CONTENT "// The headers of ac_precompile(... ${kind}).\n")
  add_library(ac_precompiled_${kind} OBJECT "${source}")
  target_link_libraries(ac_precompiled_${kind} PRIVATE ${arg_LINK})
  target_compile_options(ac_precompiled_${kind} PRIVATE ${arg_OPTIONS})
  if(arg_PIE)
    set_target_properties(ac_precompiled_${kind} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(ac_precompiled_${kind} PRIVATE ${CMAKE_CXX_COMPILE_OPTIONS_PIE})
  endif()
  target_precompile_headers(ac_precompiled_${kind} PRIVATE ${arg_HEADERS})
endfunction()

function(ac_precompile target kind)
  if(AC_PCH)
    target_precompile_headers(${target} REUSE_FROM ac_precompiled_${kind})
  endif()
endfunction()

# To be called once, after the dependencies are found.
function(ac_add_all_precompiled)
  if(NOT AC_PCH)
    return()
  endif()
  set(standard <algorithm> <array> <charconv> <chrono> <cmath> <cstddef> <cstdint> <cstdlib> <cstring> <functional>
               <limits> <map> <memory> <numeric> <optional> <set> <span> <string> <string_view> <tuple>
               <type_traits> <utility> <variant> <vector> <fmt/format.h>)
  ac_add_precompiled(floor HEADERS ${standard} LINK fmt::fmt)
  ac_add_precompiled(verbs PIE HEADERS ${standard} <nlohmann/json.hpp> LINK fmt::fmt nlohmann_json::nlohmann_json)
  ac_add_precompiled(test PIE HEADERS ${standard} <gtest/gtest.h> LINK fmt::fmt GTest::gtest OPTIONS ${AC_TEST_OPTIONS})
endfunction()
