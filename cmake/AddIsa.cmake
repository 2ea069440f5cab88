# ac_add_isa(NAME FLAGS ... SOURCES ...): compiles kernel sources once more for one instruction set.
# AC_ISA names the namespace that the kernels of this copy live in.
function(ac_add_isa target isa)
  cmake_parse_arguments(arg "" "" "FLAGS;SOURCES" ${ARGN})
  add_library(${target}_${isa} OBJECT ${arg_SOURCES})
  target_include_directories(${target}_${isa} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_compile_definitions(${target}_${isa} PRIVATE AC_ISA=${isa} AC_ISA_${isa}=1)
  target_compile_options(${target}_${isa} PRIVATE ${arg_FLAGS} -O3 -fno-math-errno -fno-exceptions)
  if(AC_SANITIZE)
    # Checks on every access of unrolled loops: at -O3 a file takes five minutes.
    target_compile_options(${target}_${isa} PRIVATE -O1)
  endif()
  if(AC_FUZZ)
    # Fuzzing is after the parsers; instrumented kernels would take most of the compile time.
    target_compile_options(${target}_${isa} PRIVATE -fno-sanitize=all)
  endif()
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${isa}>)
  set_property(GLOBAL APPEND PROPERTY AC_ISA_OBJECT_TARGETS ${target}_${isa})
endfunction()
