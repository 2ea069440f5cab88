# Run by ctest: a shared library exports the functions that its header declares and no other symbol.
#
#   cmake -D NM=nm -D LIBRARY=libx.so -D HEADER=x.h -P check_exports.cmake
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND "${NM}" -D --defined-only --format=posix "${LIBRARY}" OUTPUT_VARIABLE symbols
                RESULT_VARIABLE status ERROR_VARIABLE errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "${NM} failed: ${errors}")
endif()
# Names of C++ may hold what CMake takes for structure of lists.
string(REGEX REPLACE "[][;]" "?" symbols "${symbols}")
string(REGEX MATCHALL "[^\n]+" lines "${symbols}")
set(exported "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE " .*$" "" name "${line}")
  list(APPEND exported "${name}")
endforeach()

file(READ "${HEADER}" text)
string(REGEX REPLACE "[][;]" "?" text "${text}")
# At the beginning of a line: what defines AC_API declares nothing.
string(REGEX MATCHALL "\nAC_API [^(]*\\(" declarations "${text}")
set(declared "")
foreach(declaration IN LISTS declarations)
  string(REGEX MATCH "([a-z_]+)\\($" name "${declaration}")
  list(APPEND declared "${CMAKE_MATCH_1}")
endforeach()
if(NOT declared)
  message(FATAL_ERROR "${HEADER} declares nothing")
endif()

set(missing ${declared})
list(REMOVE_ITEM missing ${exported})
set(foreign ${exported})
list(REMOVE_ITEM foreign ${declared})
if(missing OR foreign)
  message(FATAL_ERROR "${LIBRARY}: declared and not exported: ${missing}; exported and not declared: ${foreign}")
endif()
list(LENGTH declared n_declared)
message(STATUS "${n_declared} functions are exported, and nothing else")
