# The few dependencies of a cross compiled build of core, kernels and their tests, from packages of
# this machine's own architecture: fmt as headers, GoogleTest as sources.
if(NOT AC_KERNELS_ONLY)
  message(FATAL_ERROR "only -DAC_KERNELS_ONLY=ON can be cross compiled")
endif()
# fmt alone through a link, because all of /usr/include would bring another architecture's headers.
find_path(AC_FMT_INCLUDE fmt/core.h REQUIRED)
set(cross_include "${CMAKE_BINARY_DIR}/cross_include")
file(MAKE_DIRECTORY "${cross_include}")
file(CREATE_LINK "${AC_FMT_INCLUDE}/fmt" "${cross_include}/fmt" SYMBOLIC)
add_library(fmt::fmt-header-only INTERFACE IMPORTED)
set_target_properties(
  fmt::fmt-header-only PROPERTIES INTERFACE_COMPILE_DEFINITIONS FMT_HEADER_ONLY=1
                                  INTERFACE_INCLUDE_DIRECTORIES "${cross_include}")

set(AC_GOOGLETEST "/usr/src/googletest" CACHE PATH "Sources of GoogleTest")
set(INSTALL_GTEST OFF)
add_subdirectory("${AC_GOOGLETEST}" "${CMAKE_BINARY_DIR}/googletest" EXCLUDE_FROM_ALL)
# Not ours to warn about.
foreach(target IN ITEMS gtest gtest_main gmock gmock_main)
  target_compile_options(${target} PRIVATE -w)
  get_target_property(include ${target} INTERFACE_INCLUDE_DIRECTORIES)
  set_target_properties(${target} PROPERTIES INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${include}")
  if(NOT TARGET GTest::${target})
    add_library(GTest::${target} ALIAS ${target})
  endif()
endforeach()
