# Checks every #include of the tree against the floors: includes point downwards only, and sub-folders on one floor do not
# know each other. usage: cmake -DROOT=<source folder> -P CheckLayers.cmake
#
# tests/ and bench/ may include everything.
cmake_minimum_required(VERSION 3.25)

set(floor_0 runtime/core)
set(floor_1 cpu)
set(floor_2 shaders models/arch models/text models/store models/predictor models/tasks)
set(floor_3 models/train)
set(floor_4 runtime/engine runtime/ledger models/compress)
set(floor_5 runtime/route)
set(floor_6 runtime/server runtime/eval runtime/assemble)
set(floor_7 runtime/cli runtime/capi)

set(places "")
foreach(level RANGE 7)
  foreach(place IN LISTS floor_${level})
    list(APPEND places "${place}")
    set(level_of_${place} ${level})
  endforeach()
endforeach()

# place_of(PATH OUT): the folder of the table that PATH lies in, or "".
function(place_of path out)
  foreach(place IN LISTS places)
    string(FIND "${path}" "${place}/" position)
    if(position EQUAL 0)
      set(${out} "${place}" PARENT_SCOPE)
      return()
    endif()
  endforeach()
  set(${out} "" PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE sources RELATIVE "${ROOT}" "${ROOT}/runtime/*.h" "${ROOT}/runtime/*.cc"
     "${ROOT}/cpu/*.h" "${ROOT}/cpu/*.cc" "${ROOT}/shaders/*.h" "${ROOT}/shaders/*.cc"
     "${ROOT}/models/*.h" "${ROOT}/models/*.cc")
set(errors "")
set(n_includes 0)
foreach(source IN LISTS sources)
  place_of("${source}" from)
  if(from STREQUAL "")
    list(APPEND errors "${source}: lies in no folder of the floor table")
    continue()
  endif()
  file(STRINGS "${ROOT}/${source}" lines REGEX "^[ \t]*#[ \t]*include[ \t]+\"")
  foreach(line IN LISTS lines)
    string(REGEX REPLACE "^[^\"]*\"([^\"]*)\".*$" "\\1" target "${line}")
    math(EXPR n_includes "${n_includes} + 1")
    place_of("${target}" to)
    if(to STREQUAL "")
      list(APPEND errors "${source}: \"${target}\" is not a path from the root into a floor")
    elseif(NOT to STREQUAL from AND NOT level_of_${to} LESS level_of_${from})
      list(APPEND errors
           "${source} (floor ${level_of_${from}}) includes \"${target}\" (floor ${level_of_${to}})")
    endif()
  endforeach()
endforeach()

if(n_includes EQUAL 0)
  message(FATAL_ERROR "no #include found below ${ROOT}")
endif()
if(errors)
  list(JOIN errors "\n  " text)
  message(FATAL_ERROR "includes that do not point downwards:\n  ${text}")
endif()
list(LENGTH sources n_sources)
message(STATUS "${n_includes} includes in ${n_sources} files point downwards")
