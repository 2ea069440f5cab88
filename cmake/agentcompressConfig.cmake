# find_package(agentcompress): the target agentcompress::agentcompress, a shared library that brings nothing else along.
include("${CMAKE_CURRENT_LIST_DIR}/agentcompressTargets.cmake")
