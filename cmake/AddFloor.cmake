# ac_add_floor(NAME SOURCES ... LINK ... PRIVATE_LINK ...): the static library of one folder.
# LINK names other folders' libraries and what their headers need; PRIVATE_LINK what only .cc files use.
function(ac_add_floor name)
  cmake_parse_arguments(arg "" "" "SOURCES;LINK;PRIVATE_LINK" ${ARGN})
  add_library(${name} STATIC ${arg_SOURCES})
  target_include_directories(${name} PUBLIC "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PUBLIC ${arg_LINK} PRIVATE ${arg_PRIVATE_LINK})
  ac_precompile(${name} floor)
  set_property(GLOBAL APPEND PROPERTY AC_FLOOR_TARGETS ${name})
endfunction()
