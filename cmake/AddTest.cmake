# ac_add_test(NAME SOURCES ... LINK ... ENVIRONMENT ... TIMEOUT n): one GoogleTest executable, one ctest entry.
function(ac_add_test name)
  cmake_parse_arguments(arg "" "TIMEOUT" "SOURCES;LINK;ENVIRONMENT" ${ARGN})
  add_executable(${name} ${arg_SOURCES})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${arg_LINK} GTest::gtest GTest::gmock GTest::gtest_main)
  # Where data made by others lies beside a checkout; tests that need it skip with a message without it.
  target_compile_definitions(${name} PRIVATE AC_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data"
                                             AC_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_compile_options(${name} PRIVATE ${AC_TEST_OPTIONS})
  ac_precompile(${name} test)
  add_test(NAME ${name} COMMAND ${name})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set_tests_properties(${name} PROPERTIES TIMEOUT ${arg_TIMEOUT} ENVIRONMENT "${arg_ENVIRONMENT}")
endfunction()

# ac_add_fuzz(NAME SOURCES ... LINK ...): one libFuzzer target; its seeds are tests/fuzz/seeds/NAME.
function(ac_add_fuzz name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK" ${ARGN})
  if(NOT AC_FUZZ)
    return()
  endif()
  add_executable(fuzz_${name} ${arg_SOURCES})
  target_include_directories(fuzz_${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(fuzz_${name} PRIVATE ${arg_LINK})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer)
  if(NOT TARGET fuzz_targets)
    add_custom_target(fuzz_targets)
  endif()
  add_dependencies(fuzz_targets fuzz_${name})
  set(AC_FUZZ_SECONDS 30 CACHE STRING "Seconds that ctest runs each fuzz target")
  add_test(NAME fuzz_${name}
           COMMAND "${PROJECT_SOURCE_DIR}/tests/fuzz/run_one.sh" $<TARGET_FILE:fuzz_${name}>
                   "${PROJECT_SOURCE_DIR}/tests/fuzz/seeds/${name}" ${AC_FUZZ_SECONDS})
endfunction()
