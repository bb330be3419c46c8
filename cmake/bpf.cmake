# SPDX-License-Identifier: Apache-2.0
# bpf_skeleton(target dir/name.bpf.c): compiles the program for the kernel and makes dir/name.skel.h of it, which embeds it
# (bpftool-gen(8)).
find_program(CLANG NAMES clang-14 clang REQUIRED)
find_program(BPFTOOL bpftool REQUIRED PATHS /usr/sbin)

function(bpf_skeleton target source)
  cmake_path(GET source PARENT_PATH folder)
  cmake_path(GET source STEM name)
  set(out ${CMAKE_CURRENT_BINARY_DIR}/bpf)
  set(object ${out}/${folder}/${name}.o)
  set(skeleton ${out}/${folder}/${name}.skel.h)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${out}/${folder}
    # -g: libbpf reads the layout of the maps from the type information. The kernel's headers need those of the machine.
    COMMAND ${CLANG} -target bpf -O2 -g -Wall -Wextra -Werror -I ${PROJECT_SOURCE_DIR}
            -idirafter /usr/include/${CMAKE_LIBRARY_ARCHITECTURE} -MD -MT ${skeleton} -MF ${object}.d -c ${PROJECT_SOURCE_DIR}/${source}
            -o ${object}
    COMMAND ${BPFTOOL} gen skeleton ${object} name ${name} > ${skeleton}
    DEPENDS ${PROJECT_SOURCE_DIR}/${source}
    DEPFILE ${object}.d)
  add_custom_target(skeleton_${name} DEPENDS ${skeleton})  # for clang-tidy, which reads what uses it
  target_sources(${target} PRIVATE ${skeleton})
  target_include_directories(${target} SYSTEM PRIVATE ${out})
endfunction()
