# Run by ctest: no two objects of the product may define the same function. Of two members of static libraries the linker
# takes the one it meets first and says nothing; what then runs depends on the order of libraries.
#
#   cmake -D NM=nm -D "FILES=a.a b.a c.o" -P CheckNoDuplicateSymbols.cmake
cmake_minimum_required(VERSION 3.25)
separate_arguments(FILES)
if(NOT FILES)
  message(FATAL_ERROR "no libraries or objects to check")
endif()

# strong_functions(OUT_LINES ...): lines "place T name" of all FILES; a place is file:member:address.
function(strong_functions out)
  execute_process(COMMAND "${NM}" ${ARGN} -A --defined-only --extern-only ${FILES} OUTPUT_VARIABLE symbols
                  RESULT_VARIABLE status ERROR_VARIABLE errors)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} failed: ${errors}")
  endif()
  # Demangled names may hold what CMake takes for structure of lists.
  string(REGEX REPLACE "[][;]" "?" symbols "${symbols}")
  string(REGEX MATCHALL "[^\n]+ T [^\n]+" lines "${symbols}")
  set(${out} "${lines}" PARENT_SCOPE)
endfunction()

strong_functions(lines)
set(n_functions 0)
set(places "")
foreach(line IN LISTS lines)
  string(REGEX MATCH "^(.+) T ([^ ]+)$" matched "${line}")
  set(place "${CMAKE_MATCH_1}")
  set(name "${CMAKE_MATCH_2}")
  math(EXPR n_functions "${n_functions} + 1")
  if(DEFINED "place_of_${name}")
    list(APPEND places "${place_of_${name}}" "${place}")
  else()
    set("place_of_${name}" "${place}")
  endif()
endforeach()
if(n_functions EQUAL 0)
  message(FATAL_ERROR "no functions found in ${FILES}")
endif()

if(places)
  # Readable names, by the same places.
  list(REMOVE_DUPLICATES places)
  strong_functions(readable -C)
  set(text "")
  foreach(line IN LISTS readable)
    string(REGEX MATCH "^(.+) T (.+)$" matched "${line}")
    if(CMAKE_MATCH_1 IN_LIST places)
      list(APPEND text "${CMAKE_MATCH_2} is defined in ${CMAKE_MATCH_1}")
    endif()
  endforeach()
  list(SORT text)
  list(JOIN text "\n  " text)
  message(FATAL_ERROR "functions that are defined more than once:\n  ${text}")
endif()
message(STATUS "${n_functions} functions are defined once")
