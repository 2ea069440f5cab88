# Run by ctest: no object compiled for one instruction set may hold a weak symbol. An inline function of
# an ordinary header becomes one, and the linker may keep that copy, with its AVX-512 instructions,
# for callers that run everywhere.
#
#   cmake -D NM=nm -D "OBJECTS=a.o b.o" -P CheckNoWeakSymbols.cmake
separate_arguments(OBJECTS)
if(NOT OBJECTS)
  message(FATAL_ERROR "no objects to check")
endif()
foreach(object IN LISTS OBJECTS)
  execute_process(COMMAND "${NM}" -C --defined-only "${object}" OUTPUT_VARIABLE symbols
                  RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "${NM} failed on ${object}")
  endif()
  # nm prints "address type name"; W w V v u are the weak and unique types.
  string(REGEX MATCHALL "[0-9a-f]+ [WwVvu] [^\n]+" weak "${symbols}")
  if(weak)
    string(REPLACE ";" "\n  " weak "${weak}")
    message(SEND_ERROR "${object} has weak symbols:\n  ${weak}")
  endif()
endforeach()
