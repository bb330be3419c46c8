# SPDX-License-Identifier: Apache-2.0
# embed(target file...): each file becomes `extern const std::string_view <name>` in namespace vswitch::embedded,
# declared in schemas/embedded.h; <name> is the file name with dots as underscores. The file on disk is the only copy.
function(embed target)
  foreach(file IN LISTS ARGN)
    get_filename_component(base ${file} NAME)
    string(REPLACE "." "_" name ${base})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/embedded/${name}.cc)
    add_custom_command(
      OUTPUT ${out}
      COMMAND ${CMAKE_COMMAND} -DIN=${PROJECT_SOURCE_DIR}/${file} -DOUT=${out} -DNAME=${name}
              -P ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake
      DEPENDS ${PROJECT_SOURCE_DIR}/${file} ${PROJECT_SOURCE_DIR}/cmake/embed_file.cmake)
    target_sources(${target} PRIVATE ${out})
  endforeach()
endfunction()
