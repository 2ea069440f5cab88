# Run by ctest: installs the library, moves what was installed, and builds and runs the example with it, once through
# pkg-config and once through find_package.
#
#   cmake -D BUILD=... -D FOLDER=... -D LIBDIR=lib -D DOCDIR=share/doc/x -D CC=cc -D PKG_CONFIG=pkg-config
#         -D GENERATOR=Ninja -D VERSION=0.1.0 -D MODEL=x.gguf -P install_test.cmake
cmake_minimum_required(VERSION 3.25)

# run(OUT COMMAND...): what it printed; a failure ends the test.
function(run out)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE text ERROR_VARIABLE errors RESULT_VARIABLE status
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}: ${status}\n${text}\n${errors}")
  endif()
  set(${out} "${text}" PARENT_SCOPE)
endfunction()

# The example says its version, and goes on with a story where there is a model.
function(check_example program)
  execute_process(COMMAND "${program}" RESULT_VARIABLE status ERROR_VARIABLE usage)
  if(NOT status EQUAL 2 OR NOT usage MATCHES "usage: .*agentcompress ${VERSION}")
    message(FATAL_ERROR "${program}: ${status}\n${usage}")
  endif()
  execute_process(COMMAND "${program}" "${FOLDER}/none.gguf" "Once" RESULT_VARIABLE status ERROR_VARIABLE error)
  if(NOT status EQUAL 1 OR NOT error MATCHES "^not_found: .*none.gguf")
    message(FATAL_ERROR "${program} with a model that is not there: ${status}\n${error}")
  endif()
  if(NOT EXISTS "${MODEL}")
    message(STATUS "${MODEL} is not there: nothing was asked")
    return()
  endif()
  run(story "${program}" "${MODEL}" "Once upon a time")
  if(NOT story MATCHES "^, there was a little girl named Lily")
    message(FATAL_ERROR "${program} answered: ${story}")
  endif()
endfunction()

file(REMOVE_RECURSE "${FOLDER}")
file(MAKE_DIRECTORY "${FOLDER}/home")
# Neither settings nor a ledger of whoever runs this.
set(ENV{HOME} "${FOLDER}/home")
set(ENV{XDG_CONFIG_HOME} "${FOLDER}/home")
set(ENV{XDG_STATE_HOME} "${FOLDER}/home")

run(ignored "${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${FOLDER}/first" --component library)
file(RENAME "${FOLDER}/first" "${FOLDER}/moved")
set(prefix "${FOLDER}/moved")
set(example "${prefix}/${DOCDIR}/example.c")
set(ENV{LD_LIBRARY_PATH} "${prefix}/${LIBDIR}")

if(PKG_CONFIG)
  set(ENV{PKG_CONFIG_LIBDIR} "${prefix}/${LIBDIR}/pkgconfig")
  set(ENV{PKG_CONFIG_PATH} "")
  run(version "${PKG_CONFIG}" --modversion agentcompress)
  if(NOT version STREQUAL VERSION)
    message(FATAL_ERROR "pkg-config says version ${version}, expected ${VERSION}")
  endif()
  run(flags "${PKG_CONFIG}" --cflags --libs agentcompress)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run(ignored "${CC}" -std=c99 -Wall -Wextra -Wpedantic -Wconversion -Werror "${example}" ${flags} -o "${FOLDER}/by_pkg_config")
  check_example("${FOLDER}/by_pkg_config")
endif()

file(WRITE "${FOLDER}/consumer/CMakeLists.txt"
     "cmake_minimum_required(VERSION 3.25)\n"
     "project(consumer LANGUAGES C)\n"
     "find_package(agentcompress ${VERSION} CONFIG REQUIRED)\n"
     "add_executable(by_find_package \"${example}\")\n"
     "target_link_libraries(by_find_package PRIVATE agentcompress::agentcompress)\n")
run(ignored "${CMAKE_COMMAND}" -G "${GENERATOR}" -S "${FOLDER}/consumer" -B "${FOLDER}/consumer/build"
    "-DCMAKE_PREFIX_PATH=${prefix}" "-DCMAKE_C_COMPILER=${CC}" "-DCMAKE_BUILD_TYPE=Release")
run(ignored "${CMAKE_COMMAND}" --build "${FOLDER}/consumer/build")
check_example("${FOLDER}/consumer/build/by_find_package")
